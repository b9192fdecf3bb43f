/** Bad inputs 32 to 57, 87, 89 and 91 of the reliability study, in Bedrock's shape and with the exact path of the field. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { InferdError } from '#contract/errors'
import { type FakeModel, sayWords } from './fake-model.ts'
import { startTestServer, type TestServer } from './test-server.ts'

type Body = Readonly<Record<string, unknown>>

const USER = { role: 'user', content: [{ text: 'hi' }] }
const CONVERSE = { messages: [USER] }
const CALL = { toolUse: { toolUseId: 'a', name: 'f', input: {} } }
const RESULT = { toolResult: { toolUseId: 'a', content: [{ text: 'x' }] } }

let target: TestServer
let model: FakeModel

beforeAll(async () => {
  target = await startTestServer()
  model = target.model
})

beforeEach(() => {
  model.script = sayWords(['ok'])
  model.requests.length = 0
})

afterAll(() => target.server.close({ graceMs: 0 }))

interface Refusal {
  readonly status: number
  readonly type: string | null
  readonly message: string
}

async function post(operation: string, body: string | Uint8Array, headers: Readonly<Record<string, string>> = {}): Promise<Refusal> {
  const response = await fetch(`${target.url}/model/fake%2Fmodel/${operation}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: Buffer.from(body),
  })
  const text = await response.text()
  const { message } = JSON.parse(text) as { readonly message: string }
  return { status: response.status, type: response.headers.get('x-amzn-errortype'), message }
}

async function expectRefused(operation: string, body: Body, path: string): Promise<void> {
  const refusal = await post(operation, JSON.stringify(body))
  expect(refusal).toMatchObject({ status: 400, type: 'ValidationException', message: expect.stringContaining(path) as string })
  expect(model.requests).toEqual([])
}

describe.each(['converse', 'converse-stream', 'invoke', 'invoke-with-response-stream', 'count-tokens'])('%s', (operation) => {
  test.each([
    ['nothing', ''],
    ['null', 'null'],
    ['a list', '[]'],
    ['a text', '"x"'],
    ['a half', '{"messages": ['],
    ['more than one value', '{} {}'],
    ['a byte order mark', '\ufeff{}'],
    ['a key twice', '{"messages":[],"messages":[]}'],
    ['deep nesting', '['.repeat(100_000)],
    ['infinity', '{"prompt":"x","temperature":1e309}'],
  ])('refuses %s', async (_name, body) => {
    expect(await post(operation, body)).toMatchObject({ status: 400, type: 'ValidationException' })
  })

  test('refuses bytes that are not UTF-8, and media types of web forms', async () => {
    expect(await post(operation, Uint8Array.of(0x7b, 0xff, 0x7d))).toMatchObject({ status: 400, type: 'ValidationException' })
    expect(await post(operation, '{}', { 'content-type': 'text/plain' })).toMatchObject({ status: 415, type: 'ValidationException' })
  })
})

test.each<[string, unknown]>([
  ['maxTokens', 0],
  ['maxTokens', -1],
  ['maxTokens', 1e12],
  ['maxTokens', 1.5],
  ['maxTokens', '10'],
  ['temperature', -1],
  ['temperature', 1.01],
  ['temperature', 'NaN'],
  ['topP', 0],
  ['topP', 1.0001],
  ['stopSequences', Array.from({ length: 9 }, () => 'x')],
  ['stopSequences', ['']],
  ['stopSequences', ['x'.repeat(1_000_000)]],
  ['stopSequences', [7]],
  ['topK', 5],
])('inferenceConfig.%s refuses %j', async (field, value) => {
  await expectRefused('converse', { ...CONVERSE, inferenceConfig: { [field]: value } }, `inferenceConfig.${field}`)
})

test.each<[string, unknown]>([
  ['top_k', 2 ** 31],
  ['seed', 2 ** 64],
  ['repetition_penalty', 0],
  ['thinking.budget_tokens', { budget_tokens: 0 }],
  ['anthropic_beta', ['x']],
  ['__proto__', 1],
])('additionalModelRequestFields.%s refuses %j', async (field, value) => {
  const fields =
    field === 'thinking.budget_tokens' ? '{"thinking":{"type":"enabled","budget_tokens":0}}' : `{${JSON.stringify(field)}:${JSON.stringify(value)}}`
  const body = `{"messages":${JSON.stringify(CONVERSE.messages)},"additionalModelRequestFields":${fields}}`
  expect(await post('converse', body)).toMatchObject({
    status: 400,
    message: expect.stringContaining(`additionalModelRequestFields.${field}`) as string,
  })
  expect(({} as Body)['polluted']).toBeUndefined()
})

test.each<[string, string, Body]>([
  ['messages', 'none', {}],
  ['messages', 'an empty list', { messages: [] }],
  ['messages', 'too many', { messages: Array.from({ length: 10_000 }, () => USER) }],
  ['messages[0].role', 'an unknown role', { messages: [{ ...USER, role: 'system' }] }],
  ['messages[0].role', 'an assistant first', { messages: [{ role: 'assistant', content: [{ text: 'x' }] }, USER] }],
  ['messages[1].role', 'an assistant last', { messages: [USER, { role: 'assistant', content: [{ text: 'x' }] }] }],
  ['messages[0].content', 'no content', { messages: [{ role: 'user', content: [] }] }],
  ['messages[0].content', 'a text as content', { messages: [{ role: 'user', content: 'hi' }] }],
  ['messages[0].content[0].text', 'an empty text', { messages: [{ role: 'user', content: [{ text: '' }] }] }],
  ['messages[0].content[0]', 'an empty block', { messages: [{ role: 'user', content: [{}] }] }],
  ['messages[0].content[0]', 'two members', { messages: [{ role: 'user', content: [{ text: 'x', cachePoint: { type: 'default' } }] }] }],
  ['messages[0].content[0].image', 'an image', { messages: [{ role: 'user', content: [{ image: { format: 'png', source: { bytes: 'AA==' } } }] }] }],
  ['messages[0].content[1].document', 'a document', { messages: [{ role: 'user', content: [{ text: 'x' }, { document: {} }] }] }],
  ['messages[0].content[0].video', 'a video', { messages: [{ role: 'user', content: [{ video: {} }] }] }],
  ['messages[0].content[0].toolUse', 'a call of the user', { messages: [{ role: 'user', content: [CALL] }] }],
  ['messages[0].content[0].toolResult.toolUseId', 'an answer to no call', { messages: [{ role: 'user', content: [RESULT] }] }],
  ['messages[1].content', 'a call without answer', { messages: [USER, { role: 'assistant', content: [CALL] }, USER] }],
  ['system[0].image', 'an image in system', { ...CONVERSE, system: [{ image: {} }] }],
  ['promptVariables', 'variables of a managed prompt', { ...CONVERSE, promptVariables: { a: { text: 'b' } } }],
  ['serviceTier.type', 'an unknown tier', { ...CONVERSE, serviceTier: { type: 'gold' } }],
  ['performanceConfig.latency', 'a latency that no model has', { ...CONVERSE, performanceConfig: { latency: 'optimized' } }],
  ['requestMetadata', 'too many labels', { ...CONVERSE, requestMetadata: Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`k${i}`, 'v'])) }],
  ['requestMetadata', 'a label of other characters', { ...CONVERSE, requestMetadata: { k: 'ü' } }],
  ['guardrailConfig.streamProcessingMode', 'a stream mode without a stream', { ...CONVERSE, guardrailConfig: { streamProcessingMode: 'sync' } }],
  ['additionalModelResponseFieldPaths[0]', 'a path that is none', { ...CONVERSE, additionalModelResponseFieldPaths: ['stop'] }],
  ['toolConfig.tools', 'no tools', { ...CONVERSE, toolConfig: { tools: [] } }],
  ['toolConfig.tools[0].systemTool', 'a tool of the service', { ...CONVERSE, toolConfig: { tools: [{ systemTool: { name: 'x' } }] } }],
  [
    'toolConfig.tools[0].toolSpec.name',
    'a name with spaces',
    { ...CONVERSE, toolConfig: { tools: [{ toolSpec: { name: 'a b', inputSchema: { json: {} } } }] } },
  ],
  ['outputConfig.textFormat.structure.jsonSchema.schema', 'a schema that is no JSON', { ...CONVERSE, outputConfig: formatOf('{') }],
  ['outputConfig.textFormat.structure.jsonSchema.schema', 'a schema that is too deep', { ...CONVERSE, outputConfig: formatOf('['.repeat(30_000)) }],
  ['store', 'an unknown field', { ...CONVERSE, store: true }],
])('%s: refuses %s', async (path, _what, body) => {
  await expectRefused('converse', body, path)
})

function formatOf(schema: string): Body {
  return { textFormat: { type: 'json_schema', structure: { jsonSchema: { schema } } } }
}

test.each<[string, Body]>([
  ['max_gen_len', { prompt: 'x', max_gen_len: 0 }],
  ['images', { prompt: 'x', max_gen_len: 3, images: ['AA=='] }],
  ['stop[0]', { prompt: 'x', max_tokens: 3, stop: [''] }],
  ['top_k', { prompt: 'x', max_tokens: 3, top_k: -1 }],
  ['prompt', { prompt: ['x'], max_tokens: 3 }],
  ['max_tokens', { anthropic_version: 'bedrock-2023-05-31', messages: [{ role: 'user', content: 'x' }] }],
])('invoke names %s', async (path, body) => {
  await expectRefused('invoke', body, path)
})

test('count-tokens names what is wrong with a native body', async () => {
  const of = (body: unknown): Body => ({ input: { invokeModel: { body } } })
  await expectRefused('count-tokens', of('!'), 'input.invokeModel.body')
  await expectRefused('count-tokens', of(Buffer.from('{').toString('base64')), 'input.invokeModel.body')
  await expectRefused('count-tokens', of(Buffer.from('{"a":1}').toString('base64')), 'anthropic_version')
  await expectRefused('count-tokens', { input: {} }, 'input must have exactly one of converse, invokeModel')
})

test('model ids that name no model', async () => {
  const statusOf = async (id: string): Promise<[number, string | null]> => {
    const response = await fetch(`${target.url}/model/${id}/converse`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(CONVERSE),
    })
    return [response.status, response.headers.get('x-amzn-errortype')]
  }
  expect(await statusOf('nobody')).toEqual([404, 'ResourceNotFoundException'])
  expect(await statusOf(encodeURIComponent('arn:aws:bedrock:us-east-1:123456789012:prompt/ABCDEFGHIJ'))).toEqual([400, 'ValidationException'])
  expect(await statusOf(encodeURIComponent('arn:aws:s3:::bucket/key'))).toEqual([400, 'ValidationException'])
  expect(await statusOf('x'.repeat(2049))).toEqual([400, 'ValidationException'])
  expect(await statusOf('%2e%2e%2f%2e%2e%2fetc')).toEqual([404, 'ResourceNotFoundException'])
})

test('89: what fails before the first word of a stream is no stream', async () => {
  model.script = async function* () {
    yield { type: 'response-start', promptTokens: 1, cachedTokens: 0 }
    throw new InferdError('replica_lost', 'the worker is gone')
  }
  for (const [operation, body] of [
    ['converse-stream', CONVERSE],
    ['invoke-with-response-stream', { prompt: 'x', max_gen_len: 3 }],
  ] as const) {
    expect(await post(operation, JSON.stringify(body))).toEqual({ status: 424, type: 'ModelErrorException', message: 'the worker is gone' })
  }
})
