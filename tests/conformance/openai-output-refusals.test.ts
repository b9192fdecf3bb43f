/** Bad tools, formats, reasoning fields and conversations with calls: code, place and words of each refusal. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { InferdError } from '#contract/errors'
import { FakeModel, sayWords } from './fake-model.ts'
import { startTestServer, type TestServer } from './test-server.ts'

const MESSAGES = [{ role: 'user', content: 'hi' }]
const SCHEMA = { type: 'object' }
const model = new FakeModel()

let target: TestServer

beforeAll(async () => {
  target = await startTestServer({ model })
})

afterAll(async () => {
  await target.server.close({ graceMs: 0 })
})

interface Refusal {
  readonly status: number
  readonly code: string
  readonly param: string | null
  readonly message: string
}

async function send(path: string, fields: object): Promise<Refusal> {
  const body = JSON.stringify({ model: 'fake/model', ...fields })
  const response = await fetch(`${target.url}/v1/${path}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
  const { error } = (await response.json()) as { error: { code: string; message: string; param: string | null } }
  return { status: response.status, code: error?.code, param: error?.param, message: error?.message }
}

const invalid = (param: string, message: string): Refusal => ({ status: 400, code: 'invalid_parameter', param, message: `${param} ${message}` })
const unsupported = (param: string, message = 'with this value is not supported by this server'): Refusal => ({
  status: 400,
  code: 'unsupported_parameter',
  param,
  message: `${param}${message.startsWith(':') ? '' : ' '}${message}`,
})
const missing = (param: string): Refusal => ({ status: 400, code: 'invalid_parameter', param, message: `missing required parameter: ${param}` })
const unknown = (param: string): Refusal => ({ status: 400, code: 'invalid_parameter', param, message: `unrecognized argument: ${param}` })
const both = (first: string, second: string): Refusal => ({
  status: 400,
  code: 'invalid_parameter',
  param: second,
  message: `${first} and ${second} both ask for a format; give only one`,
})

const deep = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels)
const A_SCHEMA = 'must be a JSON schema as an object or as its JSON text, got'

const FORMAT_CASES: readonly (readonly [object, Refusal])[] = [
  [{ response_format: 'json' }, invalid('response_format', 'must be an object, got a string')],
  [{ response_format: {} }, missing('response_format.type')],
  [{ response_format: { type: 'xml' } }, invalid('response_format.type', 'must be one of text, json_object, json_schema, regex, grammar')],
  [{ response_format: { type: ['text'] } }, invalid('response_format.type', 'must be one of text, json_object, json_schema, regex, grammar')],
  [{ response_format: { type: 'text', schema: SCHEMA } }, unknown('response_format.schema')],
  [{ response_format: { type: 'json_object', json_schema: {} } }, unknown('response_format.json_schema')],
  [{ response_format: { type: 'json_schema' } }, missing('response_format.json_schema')],
  [{ response_format: { type: 'json_schema', json_schema: { schema: SCHEMA } } }, missing('response_format.json_schema.name')],
  [{ response_format: { type: 'json_schema', json_schema: { name: 'n' } } }, missing('response_format.json_schema.schema')],
  [
    { response_format: { type: 'json_schema', json_schema: { name: 'a b', schema: SCHEMA } } },
    invalid('response_format.json_schema.name', 'may hold letters, digits, underscores and dashes only'),
  ],
  [
    { response_format: { type: 'json_schema', json_schema: { name: 'x'.repeat(65), schema: SCHEMA } } },
    invalid('response_format.json_schema.name', 'must have 1 to 64 characters, got 65'),
  ],
  [
    { response_format: { type: 'json_schema', json_schema: { name: 'n', schema: 'x' } } },
    invalid('response_format.json_schema.schema', 'must be an object, got a string'),
  ],
  [
    { response_format: { type: 'json_schema', json_schema: { name: 'n', schema: SCHEMA, strict: 1 } } },
    invalid('response_format.json_schema.strict', 'must be true or false, got 1'),
  ],
  [{ response_format: { type: 'json_schema', json_schema: { name: 'n', schema: SCHEMA, x: 1 } } }, unknown('response_format.json_schema.x')],
  [
    { response_format: { type: 'json_schema', json_schema: { name: 'n', schema: SCHEMA }, schema: SCHEMA } },
    {
      ...invalid('response_format.schema', ''),
      message: 'response_format.json_schema and response_format.schema both hold a schema; give only one',
    },
  ],
  [{ response_format: { type: 'regex' } }, missing('response_format.pattern')],
  [{ response_format: { type: 'regex', pattern: '' } }, invalid('response_format.pattern', 'must not be empty')],
  [{ response_format: { type: 'grammar', grammar: 7 } }, invalid('response_format.grammar', 'must be a string, got 7')],
  [{ guided_json: [] }, invalid('guided_json', `${A_SCHEMA} an array`)],
  [{ guided_json: '{' }, invalid('guided_json', 'is not valid JSON')],
  [{ guided_json: '[1]' }, invalid('guided_json', `${A_SCHEMA} an array`)],
  [{ guided_json: deep(65) }, invalid('guided_json', 'is nested deeper than 64 levels')],
  [{ guided_json: '['.repeat(100_000) }, invalid('guided_json', 'is nested deeper than 64 levels')],
  [{ json_schema: true }, invalid('json_schema', `${A_SCHEMA} a boolean`)],
  [{ guided_regex: 7 }, invalid('guided_regex', 'must be a string, got 7')],
  [{ guided_choice: [] }, invalid('guided_choice', 'must have 1 to 10000 items, got 0')],
  [{ guided_choice: Array.from({ length: 10_001 }, () => 'a') }, invalid('guided_choice', 'must have 1 to 10000 items, got 10001')],
  [{ guided_choice: 'yes' }, invalid('guided_choice', 'must be an array, got a string')],
  [{ guided_choice: ['a', ''] }, invalid('guided_choice[1]', 'must not be empty')],
  [{ guided_choice: ['a', 1] }, invalid('guided_choice[1]', 'must be a string, got 1')],
  [{ guided_grammar: {} }, invalid('guided_grammar', 'must be a string, got an object')],
  [{ grammar: [] }, invalid('grammar', 'must be a string, got an array')],
  [{ guided_whitespace_pattern: ' ' }, unsupported('guided_whitespace_pattern')],
  [{ guided_decoding_backend: 'outlines' }, unsupported('guided_decoding_backend')],
  [{ structured_outputs: {} }, invalid('structured_outputs', 'must have one of json, json_object, regex, choice, grammar')],
  [{ structured_outputs: { json: SCHEMA, regex: 'a' } }, both('structured_outputs.json', 'structured_outputs.regex')],
  [{ structured_outputs: { json_object: false } }, unsupported('structured_outputs.json_object', 'must be true; leave it out otherwise')],
  [{ structured_outputs: { regex: 'a', whitespace_pattern: ' ' } }, unsupported('structured_outputs.whitespace_pattern')],
  [{ structured_outputs: { structural_tag: '{}' } }, unsupported('structured_outputs.structural_tag')],
  [{ structured_outputs: { json: SCHEMA, disable_additional_properties: true } }, unsupported('structured_outputs.disable_additional_properties')],
  [
    { structured_outputs: { regex: 'a', disable_any_whitespace: true } },
    invalid('structured_outputs.disable_any_whitespace', 'is only allowed with json and json_object'),
  ],
  [{ structured_outputs: { choice: ['a', null] } }, invalid('structured_outputs.choice[1]', 'must be a string, got null')],
  [{ structured_outputs: { x: 1 } }, unknown('structured_outputs.x')],
  [{ guided_regex: 'a', grammar: 'root ::= "a"' }, both('guided_regex', 'grammar')],
  [{ response_format: { type: 'json_object' }, structured_outputs: { regex: 'a' } }, both('response_format', 'structured_outputs.regex')],
]

test.each(FORMAT_CASES)('52: chat and text completions refuse %j', async (fields, expected) => {
  expect(await send('chat/completions', { messages: MESSAGES, ...fields })).toEqual(expected)
  expect(await send('completions', { prompt: 'hi', ...fields })).toEqual(expected)
})

const tool = (name: unknown, more: object = {}): object => ({ type: 'function', function: { name, ...more } })
const NAME = 'may hold letters, digits, underscores and dashes only'
const allow = (allowed: object): object => ({ tools: [tool('a')], tool_choice: { type: 'allowed_tools', allowed_tools: allowed } })

const TOOL_CASES: readonly (readonly [object, Refusal])[] = [
  [{ tools: {} }, invalid('tools', 'must be an array, got an object')],
  [{ tools: ['a'] }, invalid('tools[0]', 'must be an object, got a string')],
  [{ tools: [{}] }, missing('tools[0].type')],
  [{ tools: [{ type: 'function' }] }, missing('tools[0].function')],
  [{ tools: [{ type: 'custom', custom: {} }] }, unsupported('tools[0].type', ': only tools of the type function are supported by this server')],
  [{ tools: [{ ...tool('a'), x: 1 }] }, unknown('tools[0].x')],
  [{ tools: [tool(undefined)] }, missing('tools[0].function.name')],
  [{ tools: [tool('a'), tool('a b')] }, invalid('tools[1].function.name', NAME)],
  [{ tools: [tool('')] }, invalid('tools[0].function.name', 'must have 1 to 64 characters, got 0')],
  [{ tools: [tool('n'.repeat(65))] }, invalid('tools[0].function.name', 'must have 1 to 64 characters, got 65')],
  [{ tools: [tool('ü')] }, invalid('tools[0].function.name', NAME)],
  [{ tools: [tool('a'), tool('b'), tool('a')] }, invalid('tools[2].function.name', 'is the name of an earlier tool')],
  [
    { tools: [tool('a', { description: 'd'.repeat(16_385) })] },
    invalid('tools[0].function.description', 'must have 0 to 16384 characters, got 16385'),
  ],
  [{ tools: [tool('a', { parameters: [] })] }, invalid('tools[0].function.parameters', 'must be an object, got an array')],
  [{ tools: [tool('a', { parameters: { type: 'array' } })] }, invalid('tools[0].function.parameters', 'must be a schema of the type object')],
  [{ tools: [tool('a', { strict: 'yes' })] }, invalid('tools[0].function.strict', 'must be true or false, got a string')],
  [{ tools: [tool('a', { returns: {} })] }, unknown('tools[0].function.returns')],
  [{ tools: Array.from({ length: 129 }, (_, index) => tool(`t${index}`)) }, invalid('tools', 'must have 0 to 128 items, got 129')],
  [{ tool_choice: 'required' }, invalid('tool_choice', 'is only allowed when tools are given')],
  [{ tool_choice: tool('a') }, invalid('tool_choice', 'is only allowed when tools are given')],
  [{ tools: [], tool_choice: 'required' }, invalid('tool_choice', 'is only allowed when tools are given')],
  [{ tools: [tool('a')], tool_choice: 'any' }, invalid('tool_choice', 'must be none, auto, required or an object that names a function')],
  [{ tools: [tool('a')], tool_choice: tool('b') }, invalid('tool_choice.function.name', 'is not the name of one of the tools')],
  [{ tools: [tool('a')], tool_choice: tool('__proto__') }, invalid('tool_choice.function.name', 'is not the name of one of the tools')],
  [{ tools: [tool('a')], tool_choice: {} }, missing('tool_choice.type')],
  [{ tools: [tool('a')], tool_choice: { type: 'function', name: 'a' } }, unknown('tool_choice.name')],
  [{ tools: [tool('a')], tool_choice: tool('a', { x: 1 }) }, unknown('tool_choice.function.x')],
  [allow({ tools: [tool('a')] }), missing('tool_choice.allowed_tools.mode')],
  [allow({ mode: 'none', tools: [tool('a')] }), invalid('tool_choice.allowed_tools.mode', 'must be one of auto, required')],
  [allow({ mode: 'auto' }), missing('tool_choice.allowed_tools.tools')],
  [allow({ mode: 'auto', tools: [] }), invalid('tool_choice.allowed_tools.tools', 'must have 1 to 1 items, got 0')],
  [allow({ mode: 'auto', tools: [tool('b')] }), invalid('tool_choice.allowed_tools.tools[0].function.name', 'is not the name of one of the tools')],
  [{ tools: [tool('a')], parallel_tool_calls: 1 }, invalid('parallel_tool_calls', 'must be true or false, got 1')],
  [{ functions: [{ name: 'a' }] }, unsupported('functions', 'is deprecated and not supported by this server; use tools')],
  [{ function_call: { name: 'a' } }, unsupported('function_call', 'is deprecated and not supported by this server; use tool_choice')],
]

test.each(TOOL_CASES)('51: chat refuses %j', async (fields, expected) => {
  expect(await send('chat/completions', { messages: MESSAGES, ...fields })).toEqual(expected)
})

const EFFORTS = 'must be one of none, minimal, low, medium, high, xhigh, max'
const against = (param: string, other: string): Refusal => invalid(param, `contradicts ${other}`)

const REASONING_CASES: readonly (readonly [object, Refusal])[] = [
  [{ reasoning_effort: 'huge' }, invalid('reasoning_effort', EFFORTS)],
  [{ reasoning_effort: 3 }, invalid('reasoning_effort', EFFORTS)],
  [{ reasoning: 'high' }, invalid('reasoning', 'must be an object, got a string')],
  [{ reasoning: { effort: 'huge' } }, invalid('reasoning.effort', EFFORTS)],
  [{ reasoning: { exclude: true } }, unsupported('reasoning.exclude')],
  [{ reasoning: { summary: 'auto' } }, unknown('reasoning.summary')],
  [{ thinking_token_budget: -2 }, invalid('thinking_token_budget', 'must be an integer from -1 to 2147483647, got -2')],
  [{ reasoning_budget_tokens: 1.5 }, invalid('reasoning_budget_tokens', 'must be an integer, got 1.5')],
  [{ thinking_budget_tokens: '9' }, invalid('thinking_budget_tokens', 'must be an integer, got a string')],
  [{ include_reasoning: false }, unsupported('include_reasoning')],
  [{ reasoning_format: 'none' }, unsupported('reasoning_format')],
  [{ reasoning_effort: 'low', reasoning: { effort: 'high' } }, against('reasoning.effort', 'reasoning_effort')],
  [{ reasoning_effort: 'none', reasoning: { enabled: true } }, against('reasoning.enabled', 'reasoning_effort')],
  [
    { reasoning_effort: 'low', chat_template_kwargs: { enable_thinking: false } },
    against('chat_template_kwargs.enable_thinking', 'reasoning_effort'),
  ],
  [{ thinking_token_budget: 1, reasoning_budget_tokens: 2 }, against('reasoning_budget_tokens', 'thinking_token_budget')],
  [{ thinking_token_budget: 1, reasoning: { max_tokens: 2 } }, against('thinking_token_budget', 'reasoning.max_tokens')],
  [
    { thinking_token_budget: 5, chat_template_kwargs: { enable_thinking: false } },
    against('thinking_token_budget', 'chat_template_kwargs.enable_thinking'),
  ],
  [{ thinking_token_budget: 0, reasoning_effort: 'low' }, against('thinking_token_budget', 'reasoning_effort')],
  [
    { reasoning_effort: 'low', chat_template_kwargs: { reasoning_effort: 'high' } },
    against('chat_template_kwargs.reasoning_effort', 'reasoning_effort'),
  ],
  [{ chat_template_kwargs: [] }, invalid('chat_template_kwargs', 'must be an object, got an array')],
  [{ chat_template_kwargs: { enable_thinking: 'no' } }, invalid('chat_template_kwargs.enable_thinking', 'must be true or false, got a string')],
  [
    { chat_template_kwargs: JSON.parse('{"__proto__":1}') as object },
    { ...invalid('chat_template_kwargs', ''), message: 'keys of chat_template_kwargs must be names of up to 64 letters, digits and underscores' },
  ],
  [
    { chat_template_kwargs: Object.fromEntries(Array.from({ length: 65 }, (_, index) => [`v${index}`, 1])) },
    invalid('chat_template_kwargs', 'must have 0 to 64 items, got 65'),
  ],
]

test.each(REASONING_CASES)('56: chat refuses %j', async (fields, expected) => {
  expect(await send('chat/completions', { messages: MESSAGES, ...fields })).toEqual(expected)
})

test('text completions have neither tools nor reasoning fields', async () => {
  for (const key of [
    'tools',
    'tool_choice',
    'parallel_tool_calls',
    'reasoning_effort',
    'reasoning',
    'thinking_token_budget',
    'chat_template_kwargs',
  ]) {
    expect(await send('completions', { prompt: 'hi', [key]: null })).toEqual(unknown(key))
  }
})

const call = (id: unknown, more: object = {}): object => ({ id, type: 'function', function: { name: 'a', arguments: '{}', ...more } })
const calling = (...calls: readonly object[]): object => ({ role: 'assistant', content: null, tool_calls: calls })
const result = (id: unknown): object => ({ role: 'tool', tool_call_id: id, content: 'r' })
const USER = { role: 'user', content: 'hi' }
const NOT_BEFORE = 'must be the id of a call of the assistant message before it'
const UNANSWERED = 'must be followed by a tool message that answers it'

const MESSAGE_CASES: readonly (readonly [readonly object[], Refusal])[] = [
  [[USER, { role: 'assistant', content: null }], missing('messages[1].content')],
  [[USER, { role: 'assistant', content: null, tool_calls: [] }], missing('messages[1].content')],
  [[USER, calling({})], missing('messages[1].tool_calls[0].type')],
  [
    [USER, calling({ type: 'custom' })],
    unsupported('messages[1].tool_calls[0].type', ': only calls of the type function are supported by this server'),
  ],
  [[USER, calling({ type: 'function', id: '1' })], missing('messages[1].tool_calls[0].function')],
  [[USER, calling(call(undefined))], missing('messages[1].tool_calls[0].id')],
  [[USER, calling(call(''))], invalid('messages[1].tool_calls[0].id', 'must have 1 to 256 characters, got 0')],
  [[USER, calling(call('1', { name: 'a.b' }))], invalid('messages[1].tool_calls[0].function.name', NAME)],
  [[USER, calling(call('1', { arguments: {} }))], invalid('messages[1].tool_calls[0].function.arguments', 'must be a string, got an object')],
  [[USER, calling(call('1', { arguments: null }))], missing('messages[1].tool_calls[0].function.arguments')],
  [[USER, calling({ ...call('1'), index: 1 }), result('1')], unsupported('messages[1].tool_calls[0].index')],
  [[USER, calling(call('1'), call('1'))], invalid('messages[1].tool_calls[1].id', 'is the id of an earlier call of the same message')],
  [
    [USER, calling(...Array.from({ length: 129 }, (_, index) => call(`${index}`)))],
    invalid('messages[1].tool_calls', 'must have 0 to 128 items, got 129'),
  ],
  [[USER, { ...USER, tool_calls: [call('1')] }], unsupported('messages[1].tool_calls')],
  [[USER, { ...USER, reasoning_content: 'hm' }], unknown('messages[1].reasoning_content')],
  [[{ ...USER, tool_call_id: '1' }], unsupported('messages[0].tool_call_id')],
  [[{ role: 'assistant', content: 'a', reasoning_content: 7 }], invalid('messages[0].reasoning_content', 'must be a string, got 7')],
  [
    [{ role: 'assistant', content: 'a', reasoning_content: 'x', reasoning: 'y' }],
    {
      ...invalid('messages[0].reasoning', ''),
      message: 'messages[0].reasoning and messages[0].reasoning_content must agree when both are set',
    },
  ],
  [[USER, result('1')], invalid('messages[1].tool_call_id', NOT_BEFORE)],
  [[USER, { role: 'tool', content: 'r' }], missing('messages[1].tool_call_id')],
  [[USER, calling(call('1')), { role: 'tool', tool_call_id: '1' }], missing('messages[2].content')],
  [[USER, calling(call('1')), result('2')], invalid('messages[2].tool_call_id', NOT_BEFORE)],
  [[USER, calling(call('1')), result('__proto__')], invalid('messages[2].tool_call_id', NOT_BEFORE)],
  [
    [USER, calling(call('1')), result('1'), result('1')],
    invalid('messages[3].tool_call_id', 'is the id of a call that an earlier message has answered'),
  ],
  [[USER, calling(call('1')), result('1'), { role: 'assistant', content: 'x' }, result('1')], invalid('messages[4].tool_call_id', NOT_BEFORE)],
  [[USER, calling(call('1'))], invalid('messages[1].tool_calls[0]', UNANSWERED)],
  [[USER, calling(call('1'), call('2')), result('1'), USER], invalid('messages[1].tool_calls[1]', UNANSWERED)],
  [[USER, calling(call('1'), call('2')), result('2'), calling(call('3')), result('3')], invalid('messages[1].tool_calls[0]', UNANSWERED)],
  [
    [{ role: 'function', name: 'a', content: 'r' }],
    unsupported('messages[0].role', ": messages of the role 'function' are deprecated and not supported by this server; use 'tool'"),
  ],
]

test.each(MESSAGE_CASES)('48: chat refuses the messages %j', async (messages, expected) => {
  expect(await send('chat/completions', { messages })).toEqual(expected)
})

const PLACES: readonly (readonly [string, object, string])[] = [
  ['output.format', { response_format: { type: 'json_object' } }, 'response_format'],
  ['output.format', { guided_json: SCHEMA }, 'guided_json'],
  ['output.format', { json_schema: SCHEMA }, 'json_schema'],
  ['output.format', { grammar: 'root ::= "a"' }, 'grammar'],
  ['output.format', { guided_regex: 'a' }, 'guided_regex'],
  ['output.format', { guided_choice: ['a'] }, 'guided_choice'],
  ['output.format', { guided_grammar: 'root ::= "a"' }, 'guided_grammar'],
  ['output.format', { structured_outputs: { json: SCHEMA } }, 'structured_outputs.json'],
  ['output.format', { structured_outputs: { json_object: true } }, 'structured_outputs.json_object'],
  ['output.format', { structured_outputs: { regex: 'a' } }, 'structured_outputs.regex'],
  ['output.format', { structured_outputs: { choice: ['a'] } }, 'structured_outputs.choice'],
  ['output.format', { structured_outputs: { grammar: 'root ::= "a"' } }, 'structured_outputs.grammar'],
  ['output.tools', { tools: [tool('a')] }, 'tools'],
  ['output.reasoning', { thinking_token_budget: 5 }, 'thinking_token_budget'],
  ['output.reasoning', { reasoning: { effort: 'low' } }, 'reasoning.effort'],
  ['output.reasoning', { chat_template_kwargs: { enable_thinking: true } }, 'chat_template_kwargs.enable_thinking'],
  ['output.reasoning', {}, 'reasoning_effort'],
  ['input.templateVariables', { chat_template_kwargs: { a: 1 } }, 'chat_template_kwargs'],
]

test.each(PLACES)('what the engine refuses at %s of %j is told as %s, by status, streamed or not', async (place, fields, param) => {
  const usage = { promptTokens: 0, cachedTokens: 0, cacheWriteTokens: 0, completionTokens: 0, reasoningTokens: 0 }
  const error = { code: 'invalid_parameter' as const, message: 'too wide', param: place, retryAfterMs: null }
  const refusals = [
    async function* () {
      yield { type: 'response-error' as const, error, usage }
    },
    () => {
      throw new InferdError('invalid_parameter', 'too wide', { param: place })
    },
  ]
  for (const script of refusals) {
    model.script = script
    for (const stream of [false, true]) {
      const expected = { status: 400, code: 'invalid_parameter', param, message: 'too wide' }
      expect(await send('chat/completions', { messages: MESSAGES, stream, ...fields })).toEqual(expected)
      if (place !== 'output.format') continue
      expect(await send('completions', { prompt: 'hi', stream, ...fields })).toEqual(expected)
      expect(await send('completions', { prompt: ['hi', 'ho'], stream, ...fields })).toEqual(expected)
    }
  }
  model.script = sayWords(['well'])
})
