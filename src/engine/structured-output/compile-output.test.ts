import { expect, test } from 'vitest'
import { PLAIN_OUTPUT, type ToolDefinition } from '#contract/generate'
import { createReferenceVocabulary } from '#engine/grammar/reference-matcher'
import { compileOutput } from './compile-output.ts'
import type { OutputSpec, ReasoningSpec, ToolSpec } from './output-spec.ts'

const CLOSE_TOKEN = 256
/** Every byte is a token; 256 is a special token. */
const vocabulary = createReferenceVocabulary([...Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte)), new Uint8Array()])

/** Whether the whole text (bytes, and special tokens by number) is in the language. */
function accepts(spec: Partial<OutputSpec>, ...parts: readonly (string | number)[]): boolean {
  const matcher = vocabulary.load(compileOutput({ format: PLAIN_OUTPUT.format, tools: null, reasoning: null, ...spec })).createMatcher()
  const tokenIds = parts.flatMap((part) => (typeof part === 'number' ? [part] : [...Buffer.from(part)]))
  return tokenIds.every((tokenId) => matcher.accept(tokenId)) && matcher.canEnd
}

const WEATHER: ToolDefinition = {
  name: 'get_weather',
  description: null,
  parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  strict: true,
}
const TIME: ToolDefinition = { name: 'get_time', description: null, parameters: null, strict: false }

function tools(overrides: Partial<ToolSpec> = {}): ToolSpec {
  return { syntax: 'hermes', definitions: [WEATHER, TIME], mode: 'auto', parallel: true, markTokens: {}, ...overrides }
}

const call = (name: string, args: string): string => `<tool_call>\n{"name": "${name}", "arguments": ${args}}\n</tool_call>`
const PARIS = call('get_weather', '{"city": "Paris"}')
const REASONING: ReasoningSpec = { open: '<think>', close: '</think>', start: 'inside', markTokens: {} }
const SCHEMA = {
  format: { kind: 'json-schema', schema: { type: 'object', properties: { a: { type: 'integer' } }, required: ['a'] }, whitespace: 'none' },
} as const

test('with tools the model may answer in text, call, or write and then call', () => {
  const spec = { tools: tools() }
  for (const text of ['', 'It is warm.', PARIS, `Let me look.\n${PARIS}`, `${PARIS}\n${call('get_time', '{"anything": [1]}')}`]) {
    expect(accepts(spec, text), text).toBe(true)
  }
})

test('a call names a tool that exists, and its arguments are those of the tool', () => {
  const spec = { tools: tools() }
  for (const text of [
    call('get_news', '{}'),
    call('get_weather', '{}'),
    call('get_weather', '{"city": 3}'),
    call('get_time', '[]'),
    '<tool_call>',
    `${PARIS}x`,
  ]) {
    expect(accepts(spec, text), text).toBe(false)
  }
})

test('required calls leave no room for text, and without parallel calls there is one', () => {
  const required = { tools: tools({ mode: 'required', parallel: false, definitions: [WEATHER] }) }
  expect(accepts(required, PARIS)).toBe(true)
  for (const text of ['', `x${PARIS}`, `${PARIS}\n${PARIS}`, call('get_time', '{}')]) expect(accepts(required, text), text).toBe(false)
})

test('where no call may be made, the text holds no mark of one', () => {
  const none = { tools: tools({ mode: 'none', definitions: [] }) }
  for (const text of ['It is warm. <tool', '', '</tool>']) expect(accepts(none, text), text).toBe(true)
  for (const text of [PARIS, 'x <tool_call>', '</tool_call>']) expect(accepts(none, text), text).toBe(false)
})

test('a schema and tools together mean an answer in the schema, or calls', () => {
  const spec = { ...SCHEMA, tools: tools() }
  expect([accepts(spec, '{"a":1}'), accepts(spec, PARIS), accepts(spec, 'text'), accepts(spec, `{"a":1}${PARIS}`)]).toEqual([
    true,
    true,
    false,
    false,
  ])
})

test('a strict tool whose schema cannot be enforced is refused by its name; without strict the rest of the schema holds', () => {
  const parameters = { type: 'object', properties: { list: { type: 'array', items: { type: 'integer' }, uniqueItems: true } }, required: ['list'] }
  const strict = { tools: tools({ definitions: [{ ...WEATHER, parameters }] }) }
  expect(() => accepts(strict, '')).toThrow(/get_weather.*uniqueItems/)
  const loose = { tools: tools({ definitions: [{ ...WEATHER, parameters, strict: false }] }) }
  expect(accepts(loose, call('get_weather', '{"list": [1, 1]}'))).toBe(true)
  expect(accepts(loose, call('get_weather', '{"list": ["1"]}'))).toBe(false)
})

test('limits hold for tools that are not strict too', () => {
  const looped = { ...TIME, parameters: { $ref: '#/$defs/a', $defs: { a: { $ref: '#/$defs/a' } } } }
  expect(() => accepts({ tools: tools({ definitions: [looped] }) }, '')).toThrow(/get_time/)
})

test('reasoning that the prompt opened comes before the answer, and the grammar begins behind its mark', () => {
  const spec = { ...SCHEMA, reasoning: REASONING }
  for (const text of ['</think>{"a":1}', 'hm {"b": <think </thin </think>\n\n{"a":1}']) expect(accepts(spec, text), text).toBe(true)
  for (const text of ['{"a":1}', 'hm</think>', 'hm</think>\n\n\n{"a":1}', 'hm</think>{"a":1}</think>{"a":1}'])
    expect(accepts(spec, text), text).toBe(false)
})

test('a model that opens its reasoning itself may also leave it out', () => {
  const spec = { ...SCHEMA, reasoning: { ...REASONING, start: 'may-open' } as const }
  expect([accepts(spec, '{"a":1}'), accepts(spec, '<think>hm</think>{"a":1}'), accepts(spec, 'hm</think>{"a":1}')]).toEqual([true, true, false])
})

test('marks that are special tokens are tokens in the grammar, and their spelling is text', () => {
  const spec = { ...SCHEMA, reasoning: { ...REASONING, markTokens: { '</think>': CLOSE_TOKEN } } }
  expect(accepts(spec, 'hm', CLOSE_TOKEN, '{"a":1}')).toBe(true)
  expect(accepts(spec, 'hm</think>', CLOSE_TOKEN, '{"a":1}')).toBe(true)
  expect(accepts(spec, 'hm</think>{"a":1}')).toBe(false)
})

test.each([
  [{ kind: 'choice', choices: ['red', 'green'] }, ['red', 'green'], ['', 'redgreen', 'blue']],
  [{ kind: 'regex', pattern: '\\d{4}-\\d{2}' }, ['2026-11'], ['2026-1', 'x2026-11']],
  [{ kind: 'grammar', source: 'root ::= "a" tail\ntail ::= "b" tail | "."' }, ['a.', 'abb.'], ['a', 'b.']],
  [{ kind: 'json-object', whitespace: 'none' }, ['{}', '{"a":[1,{"b":null}]}'], ['[]', '"a"', '{"a":}']],
] as const)('format %j', (format, good, bad) => {
  expect(good.map((text) => accepts({ format }, text))).toEqual(good.map(() => true))
  expect(bad.map((text) => accepts({ format }, text))).toEqual(bad.map(() => false))
})
