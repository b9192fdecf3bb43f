/** Tools, output formats, reasoning and conversations with calls: what each field of the caller is to the model. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type GenerateRequest, type OutputFormat, PLAIN_OUTPUT, type ReasoningOptions, type ToolOptions } from '#contract/generate'
import { startTestServer, type TestServer } from './test-server.ts'

const MESSAGES = [{ role: 'user', content: 'hi' }]
const SCHEMA = { type: 'object', properties: { a: { type: 'integer' } } }
const FREE = PLAIN_OUTPUT.reasoning

let target: TestServer

beforeAll(async () => {
  target = await startTestServer()
})

afterAll(async () => {
  await target.server.close({ graceMs: 0 })
})

/** The request as the model got it. */
async function asked(path: string, fields: object): Promise<GenerateRequest> {
  const body = JSON.stringify({ model: 'fake/model', ...fields })
  const response = await fetch(`${target.url}/v1/${path}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
  expect([response.status, await response.text()]).toEqual([200, expect.any(String)])
  const request = target.model.requests.at(-1)
  if (request === undefined) throw new RangeError('the model was not asked')
  return request
}

const FORMATS: readonly (readonly [object, OutputFormat])[] = [
  [{ response_format: { type: 'text' } }, { kind: 'text' }],
  [{ response_format: { type: 'json_object' } }, { kind: 'json-object', whitespace: 'flexible' }],
  [{ response_format: { type: 'json_object', schema: SCHEMA } }, { kind: 'json-schema', schema: SCHEMA, whitespace: 'flexible' }],
  [
    { response_format: { type: 'json_schema', json_schema: { name: 'n', description: 'd', schema: SCHEMA, strict: false } } },
    { kind: 'json-schema', schema: SCHEMA, whitespace: 'flexible' },
  ],
  [{ response_format: { type: 'json_schema', schema: SCHEMA } }, { kind: 'json-schema', schema: SCHEMA, whitespace: 'flexible' }],
  [{ response_format: { type: 'regex', pattern: 'a+' } }, { kind: 'regex', pattern: 'a+' }],
  [{ response_format: { type: 'grammar', grammar: 'root ::= "a"' } }, { kind: 'grammar', source: 'root ::= "a"' }],
  [{ guided_json: SCHEMA }, { kind: 'json-schema', schema: SCHEMA, whitespace: 'flexible' }],
  [{ guided_json: JSON.stringify(SCHEMA) }, { kind: 'json-schema', schema: SCHEMA, whitespace: 'flexible' }],
  [
    { guided_regex: '[a-z]+', guided_decoding_backend: 'auto' },
    { kind: 'regex', pattern: '[a-z]+' },
  ],
  [{ guided_choice: ['yes', 'no'] }, { kind: 'choice', choices: ['yes', 'no'] }],
  [{ guided_grammar: 'root ::= "b"' }, { kind: 'grammar', source: 'root ::= "b"' }],
  [{ grammar: 'root ::= "c"' }, { kind: 'grammar', source: 'root ::= "c"' }],
  [{ json_schema: SCHEMA }, { kind: 'json-schema', schema: SCHEMA, whitespace: 'flexible' }],
  [{ structured_outputs: { json: SCHEMA, disable_any_whitespace: true } }, { kind: 'json-schema', schema: SCHEMA, whitespace: 'none' }],
  [{ structured_outputs: { json: JSON.stringify(SCHEMA) } }, { kind: 'json-schema', schema: SCHEMA, whitespace: 'flexible' }],
  [{ structured_outputs: { json_object: true, disable_any_whitespace: true } }, { kind: 'json-object', whitespace: 'none' }],
  [{ structured_outputs: { regex: 'x' } }, { kind: 'regex', pattern: 'x' }],
  [{ structured_outputs: { choice: ['p'] } }, { kind: 'choice', choices: ['p'] }],
  [{ structured_outputs: { grammar: 'root ::= "d"' } }, { kind: 'grammar', source: 'root ::= "d"' }],
  [
    { response_format: { type: 'text' }, guided_choice: ['one'] },
    { kind: 'choice', choices: ['one'] },
  ],
]

test.each(FORMATS)('%j is the format of chat and of text completions', async (fields, format) => {
  expect((await asked('chat/completions', { messages: MESSAGES, ...fields })).output).toEqual({ ...PLAIN_OUTPUT, format })
  expect((await asked('completions', { prompt: 'hi', ...fields })).output).toEqual({ ...PLAIN_OUTPUT, format })
})

test('keys of a schema that are special to JavaScript stay data', async () => {
  const text = '{"properties":{"__proto__":{"type":"string"},"constructor":{}}}'
  const { output } = await asked('chat/completions', { messages: MESSAGES, guided_json: text })
  expect(JSON.stringify(output.format)).toBe(`{"kind":"json-schema","schema":${text},"whitespace":"flexible"}`)
})

test('brackets inside the texts of a schema are not nesting', async () => {
  const schema = { const: `"${'['.repeat(100)}\\` }
  const { output } = await asked('chat/completions', { messages: MESSAGES, guided_json: JSON.stringify(schema) })
  expect(output.format).toEqual({ kind: 'json-schema', schema, whitespace: 'flexible' })
})

const REASONING: readonly (readonly [object, ReasoningOptions])[] = [
  [{ reasoning_effort: 'none' }, { enabled: false, effort: null, budgetTokens: 0 }],
  [{ reasoning_effort: 'minimal' }, { enabled: true, effort: 'minimal', budgetTokens: 128 }],
  [{ reasoning_effort: 'low' }, { enabled: true, effort: 'low', budgetTokens: 512 }],
  [{ reasoning_effort: 'medium' }, { enabled: true, effort: 'medium', budgetTokens: 2048 }],
  [{ reasoning_effort: 'high' }, { enabled: true, effort: 'high', budgetTokens: 8192 }],
  [{ reasoning_effort: 'xhigh' }, { enabled: true, effort: 'xhigh', budgetTokens: null }],
  [{ reasoning_effort: 'max' }, { enabled: true, effort: 'max', budgetTokens: null }],
  [{ thinking_token_budget: 77 }, { ...FREE, budgetTokens: 77 }],
  [{ reasoning_budget_tokens: 78 }, { ...FREE, budgetTokens: 78 }],
  [{ thinking_budget_tokens: 79 }, { ...FREE, budgetTokens: 79 }],
  [{ thinking_token_budget: 0 }, { enabled: false, effort: null, budgetTokens: 0 }],
  [{ thinking_token_budget: -1 }, FREE],
  [
    { reasoning_effort: 'low', thinking_token_budget: 9 },
    { enabled: true, effort: 'low', budgetTokens: 9 },
  ],
  [
    { reasoning_effort: 'low', thinking_token_budget: -1 },
    { enabled: true, effort: 'low', budgetTokens: null },
  ],
  [
    { reasoning_effort: 'none', reasoning_budget_tokens: -1 },
    { enabled: false, effort: null, budgetTokens: 0 },
  ],
  [{ reasoning: { effort: 'high' } }, { enabled: true, effort: 'high', budgetTokens: 8192 }],
  [{ reasoning: { effort: 'none' } }, { enabled: false, effort: null, budgetTokens: 0 }],
  [{ reasoning: { max_tokens: 2000, exclude: false } }, { enabled: true, effort: null, budgetTokens: 2000 }],
  [{ reasoning: { enabled: true } }, { ...FREE, enabled: true }],
  [{ reasoning: { enabled: false } }, { enabled: false, effort: null, budgetTokens: 0 }],
  [{ chat_template_kwargs: { enable_thinking: true } }, { ...FREE, enabled: true }],
  [{ chat_template_kwargs: { enable_thinking: false } }, { enabled: false, effort: null, budgetTokens: 0 }],
  [{ reasoning: {}, include_reasoning: true, reasoning_format: 'deepseek' }, FREE],
]

test.each(REASONING)('%j says how long the model may think', async (fields, reasoning) => {
  const { input, output } = await asked('chat/completions', { messages: MESSAGES, ...fields })
  expect([input, output]).toEqual([
    { kind: 'messages', messages: MESSAGES },
    { ...PLAIN_OUTPUT, reasoning },
  ])
})

test('chat_template_kwargs go to the template, the switch for reasoning excepted', async () => {
  const kwargs = { enable_thinking: false, custom: { a: [1, null] }, reasoning_effort: 'low', constructor: 'x' }
  const { input, output } = await asked('chat/completions', { messages: MESSAGES, chat_template_kwargs: kwargs })
  const { enable_thinking: _, ...templateVariables } = kwargs
  expect([input, output.reasoning.enabled]).toEqual([{ kind: 'messages', messages: MESSAGES, templateVariables }, false])
})

const tool = (name: string, more: object = {}): object => ({ type: 'function', function: { name, ...more } })
const definition = (name: string): ToolOptions['definitions'][number] => ({ name, description: null, parameters: null, strict: false })
const TOOLS = [tool('a'), tool('b'), tool('c')]
const DEFINITIONS = ['a', 'b', 'c'].map(definition)

const CHOICES: readonly (readonly [object, Partial<ToolOptions>])[] = [
  [{}, { choice: 'auto', parallel: true }],
  [{ tool_choice: 'none' }, { choice: 'none' }],
  [
    { tool_choice: 'auto', parallel_tool_calls: false },
    { choice: 'auto', parallel: false },
  ],
  [
    { tool_choice: 'required', parallel_tool_calls: true },
    { choice: 'required', parallel: true },
  ],
  [{ tool_choice: tool('b') }, { choice: { name: 'b' }, definitions: DEFINITIONS, parallel: false }],
  [
    { tool_choice: { type: 'allowed_tools', allowed_tools: { mode: 'required', tools: [tool('c'), tool('a')] } } },
    { choice: 'required', definitions: [definition('a'), definition('c')] },
  ],
  [
    { tool_choice: { type: 'allowed_tools', allowed_tools: { mode: 'auto', tools: [tool('b')] } } },
    { choice: 'auto', definitions: [definition('b')] },
  ],
]

test.each(CHOICES)('%j beside three tools', async (fields, expected) => {
  const { output } = await asked('chat/completions', { messages: MESSAGES, tools: TOOLS, ...fields })
  expect(output.tools).toEqual({ definitions: DEFINITIONS, choice: 'auto', parallel: true, ...expected })
})

test('a tool has its description, its schema and its strictness', async () => {
  const more = { description: 'looks', parameters: SCHEMA, strict: true }
  const { output } = await asked('chat/completions', { messages: MESSAGES, tools: [tool('look-up_2', more)] })
  expect(output.tools?.definitions).toEqual([{ name: 'look-up_2', ...more }])
})

test('without tools the neutral values of their fields change nothing', async () => {
  for (const tool_choice of ['none', 'auto', null]) {
    const fields = { tools: [], tool_choice, parallel_tool_calls: true, functions: [], function_call: 'auto' }
    expect((await asked('chat/completions', { messages: MESSAGES, ...fields })).output).toEqual(PLAIN_OUTPUT)
  }
})

const call = (id: string, name: string, text: string): object => ({ id, type: 'function', function: { name, arguments: text } })

test('a conversation with calls, their results and reasoning reaches the model', async () => {
  const messages = [
    { role: 'user', content: 'weather?' },
    {
      role: 'assistant',
      content: null,
      tool_calls: [call('1', 'look', '{"at": "Rome"}'), { ...call('2', 'look', ''), index: 1 }],
      reasoning_content: 'hm',
    },
    {
      role: 'tool',
      tool_call_id: '2',
      content: [
        { type: 'text', text: 'sun' },
        { type: 'text', text: 'warm' },
      ],
    },
    { role: 'tool', tool_call_id: '1', content: 'rain', name: 'other' },
    { role: 'assistant', content: 'wet', reasoning: 'so', refusal: null, annotations: [], tool_calls: [] },
    { role: 'assistant', tool_calls: [call('1', 'again', '{"cut')] },
    { role: 'tool', tool_call_id: '1', content: '' },
  ]
  expect((await asked('chat/completions', { messages })).input).toEqual({
    kind: 'messages',
    messages: [
      { role: 'user', content: 'weather?' },
      {
        role: 'assistant',
        content: '',
        reasoning: 'hm',
        toolCalls: [
          { id: '1', name: 'look', arguments: '{"at": "Rome"}' },
          { id: '2', name: 'look', arguments: '{}' },
        ],
      },
      { role: 'tool', content: 'sun\nwarm', toolCallId: '2', name: 'look' },
      { role: 'tool', content: 'rain', toolCallId: '1', name: 'other' },
      { role: 'assistant', content: 'wet', reasoning: 'so' },
      { role: 'assistant', content: '', toolCalls: [{ id: '1', name: 'again', arguments: '{"cut' }] },
      { role: 'tool', content: '', toolCallId: '1', name: 'again' },
    ],
  })
})
