/** Wrong bodies for `POST /v1/responses` (reliability.md 32 to 58): each refused by the path of its field, none with a 500. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { systemClock } from '#base/clock'
import { DEFAULT_BACKGROUND_RUN_OPTIONS, DetachedRuns } from '#platform/context/background-runs'
import { StoredResponses } from '#platform/context/response-archive'
import { openStore, type Store } from '#platform/store/open-store'
import { NO_SERVICES } from '#server/services'
import { startTestServer, type TestServer } from './test-server.ts'

let store: Store
let target: TestServer

beforeAll(async () => {
  store = await openStore({ file: null })
  const responses = new StoredResponses({ store, clock: systemClock, retentionMs: 86_400_000 })
  const background = new DetachedRuns({ ...DEFAULT_BACKGROUND_RUN_OPTIONS, clock: systemClock })
  target = await startTestServer({ services: { ...NO_SERVICES, responses, background } })
})

afterAll(async () => {
  await target.server.close({ graceMs: 0 })
  await store.close()
})

const BODY = { model: 'fake/model', input: 'hi' }
const I = 'invalid_parameter'
const U = 'unsupported_parameter'
const TOOL = '{"type":"function","name":"look"}'
const CALL = '{"type":"function_call","call_id":"c","name":"look","arguments":"{}"}'
const OUTPUT = '{"type":"function_call_output","call_id":"c","output":"x"}'
const part = (type: string, more = ''): string => `[{"role":"user","content":[{"type":"${type}"${more}}]}]`

/** Field, its value as JSON text, code, param. */
const CASES: readonly (readonly [string, string, string, string])[] = [
  ['model', '7', I, 'model'],
  ['model', 'null', I, 'model'],
  ['input', 'null', I, 'input'],
  ['input', '7', I, 'input'],
  ['input', '[]', I, 'input'],
  ['input', '["hi"]', I, 'input[0]'],
  ['input', '[{"role":"user"}]', I, 'input[0].content'],
  ['input', '[{"content":"hi"}]', I, 'input[0].role'],
  ['input', '[{"role":"constructor","content":"hi"}]', I, 'input[0].role'],
  ['input', '[{"role":"user","content":"hi","extra":1}]', I, 'input[0].extra'],
  ['input', '[{"role":"user","content":[]}]', I, 'input[0].content'],
  ['input', '[{"role":"user","content":[{"text":"x"}]}]', I, 'input[0].content[0].type'],
  ['input', '[{"role":"user","content":[{"type":"input_text","text":1}]}]', I, 'input[0].content[0].text'],
  ['input', part('input_image', ',"image_url":"http://169.254.169.254/"'), U, 'input[0].content[0].type'],
  ['input', part('input_file', ',"file_id":"file-1"'), U, 'input[0].content[0].type'],
  ['input', part('input_audio'), U, 'input[0].content[0].type'],
  ['input', '[{"type":"computer_call"}]', U, 'input[0].type'],
  ['input', '[{"type":7}]', I, 'input[0].type'],
  ['input', `[${OUTPUT}]`, I, 'input[0].call_id'],
  ['input', `[${CALL}]`, I, 'input[0]'],
  ['input', `[${CALL},{"role":"user","content":"x"}]`, I, 'input[0]'],
  ['input', `[${CALL},${CALL},${OUTPUT}]`, I, 'input[1].call_id'],
  ['input', `[${CALL},${OUTPUT},${OUTPUT}]`, I, 'input[2].call_id'],
  ['input', '[{"type":"function_call","call_id":"","name":"look","arguments":"{}"}]', I, 'input[0].call_id'],
  ['input', '[{"type":"function_call","call_id":"c","name":"a b","arguments":"{}"}]', I, 'input[0].name'],
  ['input', '[{"type":"function_call","call_id":"c","name":"look","arguments":{}}]', I, 'input[0].arguments'],
  ['input', '[{"type":"function_call_output","call_id":"c","output":[{"type":"input_image"}]}]', U, 'input[0].output[0].type'],
  ['input', '[{"type":"reasoning","summary":[{"type":"x","text":"y"}]}]', U, 'input[0].summary[0].type'],
  ['input', '[{"type":"reasoning","summary":[],"encrypted_content":"gAAAA"}]', U, 'input[0].encrypted_content'],
  ['input', '[{"type":"item_reference","id":"msg_none_0"}]', 'not_found', 'input[0].id'],
  ['input', '[{"type":"item_reference","id":"../../etc/passwd"}]', 'not_found', 'input[0].id'],
  ['instructions', '[]', I, 'instructions'],
  ['max_output_tokens', '0', I, 'max_output_tokens'],
  ['max_output_tokens', '1e309', I, 'max_output_tokens'],
  ['max_output_tokens', '"5"', I, 'max_output_tokens'],
  ['max_output_tokens', '-0', I, 'max_output_tokens'],
  ['max_tool_calls', '0', I, 'max_tool_calls'],
  ['temperature', '2.1', I, 'temperature'],
  ['top_p', '0', I, 'top_p'],
  ['top_logprobs', '21', I, 'top_logprobs'],
  ['n', '2', U, 'n'],
  ['store', '"yes"', I, 'store'],
  ['background', '1', I, 'background'],
  ['stream', '"yes"', I, 'stream'],
  ['stream_options', '{"include_obfuscation":false}', I, 'stream_options'],
  ['metadata', '{"a":1}', I, 'metadata.a'],
  ['metadata', `{"a":"${'x'.repeat(513)}"}`, I, 'metadata.a'],
  ['user', `"${'x'.repeat(1025)}"`, I, 'user'],
  ['previous_response_id', '"resp_none"', 'not_found', 'previous_response_id'],
  ['previous_response_id', '""', I, 'previous_response_id'],
  ['conversation', '"conv_1"', U, 'conversation'],
  ['prompt', '{"id":"p"}', U, 'prompt'],
  ['include', '["everything"]', I, 'include[0]'],
  ['truncation', '"sometimes"', I, 'truncation'],
  ['service_tier', '"fast"', U, 'service_tier'],
  ['text', '{"verbosity":"low"}', U, 'text.verbosity'],
  ['text', '{"format":{"type":"grammar"}}', I, 'text.format.type'],
  ['text', '{"format":{"type":"json_schema","name":"a b","schema":{}}}', I, 'text.format.name'],
  ['text', '{"format":{"type":"json_schema","name":"a"}}', I, 'text.format.schema'],
  ['text', '{"format":{"type":"text","more":1}}', I, 'text.format.more'],
  ['reasoning', '{"effort":"lots"}', I, 'reasoning.effort'],
  ['reasoning', '{"summary":"concise"}', U, 'reasoning.summary'],
  ['tools', '[{"type":"web_search"}]', U, 'tools[0].type'],
  ['tools', '[{"type":"file_search","vector_store_ids":["v"]}]', U, 'tools[0].type'],
  ['tools', '[{"type":"mcp","server_url":"http://localhost"}]', U, 'tools[0].type'],
  ['tools', '[{"type":"function"}]', I, 'tools[0].name'],
  ['tools', '[{"type":"function","function":{"name":"look"}}]', I, 'tools[0].function'],
  ['tools', `[${TOOL},${TOOL}]`, I, 'tools[1].name'],
  ['tools', '[{"type":"function","name":"look","parameters":{"type":"array"}}]', I, 'tools[0].parameters'],
  ['tool_choice', '"required"', I, 'tool_choice'],
  ['seed', '0.5', I, 'seed'],
  ['temprature', '1', I, 'temprature'],
  ['__proto__', '{"polluted":true}', I, '__proto__'],
  ['messages', '[]', I, 'messages'],
]

async function send(body: string): Promise<unknown> {
  const response = await fetch(`${target.url}/v1/responses`, { method: 'POST', body, headers: { 'content-type': 'application/json' } })
  const { error } = (await response.json()) as { error: { code: string; param: string | null } }
  return [response.status, error.code, error.param]
}

test.each(CASES)('%s %s is %s', async (key, json, code, param) => {
  const fields = Object.entries(BODY).filter(([name]) => name !== key)
  const body = `{${[...fields.map(([name, value]) => `"${name}":${JSON.stringify(value)}`), `${JSON.stringify(key)}:${json}`].join(',')}}`
  expect(await send(body)).toEqual([code === 'not_found' ? 404 : 400, code, param])
  expect(({} as { polluted?: boolean }).polluted).toBe(undefined)
})

test.each([
  ['{"type":"function","name":"other"}', 'tool_choice.name'],
  ['{"type":"allowed_tools","mode":"auto","tools":[]}', 'tool_choice.tools'],
  ['{"type":"allowed_tools","mode":"never","tools":[]}', 'tool_choice.mode'],
  ['{"type":"allowed_tools","mode":"auto","tools":[{"type":"function","name":"other"}]}', 'tool_choice.tools[0].name'],
  ['"sometimes"', 'tool_choice'],
])('the tool choice %s is refused', async (choice, param) => {
  expect(await send(`{"model":"fake/model","input":"x","tools":[${TOOL}],"tool_choice":${choice}}`)).toEqual([400, I, param])
})

test.each([
  ['GET', '/v1/responses/resp_none', 404],
  ['GET', '/v1/responses/resp_none?stream=true', 404],
  ['DELETE', '/v1/responses/resp_none', 404],
  ['POST', '/v1/responses/resp_none/cancel', 404],
  ['GET', '/v1/responses/resp_none/input_items', 404],
  ['PUT', '/v1/responses/resp_none', 405],
  ['GET', '/v1/responses/resp_none/other', 404],
])('%s %s is %i', async (method, path, status) => {
  const response = await fetch(`${target.url}${path}`, { method })
  expect(response.status).toBe(status)
  expect(await response.json()).toMatchObject({ error: { type: 'invalid_request_error' } })
})

test('pages of input items are refused by their words', async () => {
  const made = (await (
    await fetch(`${target.url}/v1/responses`, { method: 'POST', body: JSON.stringify(BODY), headers: { 'content-type': 'application/json' } })
  ).json()) as { id: string }
  for (const [query, param] of [
    ['limit=0', 'limit'],
    ['limit=101', 'limit'],
    ['limit=x', 'limit'],
    ['order=up', 'order'],
    ['after=none', 'after'],
  ]) {
    const response = await fetch(`${target.url}/v1/responses/${made.id}/input_items?${query}`)
    expect(await response.json()).toMatchObject({ error: { code: I, param } })
  }
})

/** As `@ai-sdk/openai` calls by default: everything as items, kept, with what it includes for models that reason. */
test('the body of a common client is taken as it is', async () => {
  const body = {
    model: 'fake/model',
    input: [
      { role: 'developer', content: 'You are helpful.' },
      { role: 'user', content: [{ type: 'input_text', text: 'Look.' }] },
      { role: 'assistant', content: [{ type: 'output_text', text: 'Yes.' }], id: 'msg_67c9' },
      { type: 'function_call', call_id: 'c', name: 'look', arguments: '{}', id: 'fc_67c9' },
      { type: 'function_call_output', call_id: 'c', output: '{"seen":true}' },
    ],
    include: ['reasoning.encrypted_content'],
    reasoning: { effort: 'low', summary: 'auto' },
    tools: [{ type: 'function', name: 'look', description: 'Looks.', parameters: { type: 'object', properties: {}, additionalProperties: false } }],
    tool_choice: 'auto',
    parallel_tool_calls: true,
    store: true,
    stream: true,
  }
  const response = await fetch(`${target.url}/v1/responses`, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
  })
  expect(response.status).toBe(200)
  expect(await response.text()).toContain('event: response.completed\n')
})
