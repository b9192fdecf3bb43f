/** Bad inputs 51 to 54 of the reliability study, against a real server and the shipped model: refused with a reason, or a valid beginning. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { InferdProcess } from '../e2e/inferd-process.ts'

const MODEL = 'inferd-chat'

interface Answer {
  readonly status: number
  readonly body: {
    readonly choices?: readonly { readonly message: { readonly content: string | null }; readonly finish_reason: string }[]
    readonly error?: { readonly code: string; readonly param: string | null; readonly message: string }
  }
}

let server: InferdProcess

beforeAll(async () => {
  server = await (await InferdProcess.start('--log-level', 'warn')).ready()
})

afterAll(async () => {
  expect(server.log).not.toContain('model worker ended')
  await server[Symbol.asyncDispose]()
})

async function post(body: object | string): Promise<Answer> {
  const response = await fetch(`${server.baseUrl}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
  return { status: response.status, body: (await response.json()) as Answer['body'] }
}

const ask = (fields: object): Promise<Answer> => post({ model: MODEL, messages: [{ role: 'user', content: 'Hi' }], max_tokens: 8, ...fields })
const withSchema = (schema: unknown, more: object = {}): Promise<Answer> =>
  ask({ response_format: { type: 'json_schema', json_schema: { name: 'answer', schema } }, ...more })

/** Refused for what the caller sent, and the server goes on. */
function expectRefusal(answer: Answer, reason: RegExp, param: string): void {
  expect(answer, JSON.stringify(answer.body).slice(0, 300)).toMatchObject({ status: 400, body: { error: { param } } })
  expect(answer.body.error!.message).toMatch(reason)
  expect(answer.body.error!.message.length).toBeLessThan(600)
}

test.each([
  [
    'an object of 10,000 properties',
    { type: 'object', properties: Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`p${i}`, {}])) },
    /properties/,
  ],
  ['a reference to itself', { $ref: '#' }, /refers to itself/],
  ['a cycle of references', { $ref: '#/$defs/a', $defs: { a: { $ref: '#/$defs/b' }, b: { $ref: '#/$defs/a' } } }, /refers to itself/],
  ['a remote reference', { $ref: 'https://example.invalid/schema.json' }, /\$ref/],
  ['an enum of 100,000 values', { enum: Array.from({ length: 100_000 }, (_, i) => `value ${i}`) }, /enum|bytes/],
  ['a keyword that is not enforced', { type: 'array', items: {}, uniqueItems: true }, /uniqueItems/],
  ['a keyword that does not exist', { tipe: 'object' }, /tipe/],
  ['contradictory bounds', { type: 'integer', minimum: 3, maximum: 2 }, /./],
  ['no schema at all', 7, /./],
])('51: %s is refused with the reason', async (_, schema, reason) => {
  expectRefusal(await withSchema(schema), reason, typeof schema === 'number' ? 'response_format.json_schema.schema' : 'response_format')
})

test('51: a schema nested 30,000 deep is refused, wherever its depth is noticed', async () => {
  const deep = '{"items":'.repeat(30_000) + '{}' + '}'.repeat(30_000)
  const head = `{"model":"${MODEL}","messages":[{"role":"user","content":"Hi"}],"response_format":{"type":"json_schema","json_schema":{"name":"a","schema":`
  expect((await post(`${head}${deep}}}}`)).status).toBe(400)
  const shallower = JSON.parse('{"items":'.repeat(100) + '{}' + '}'.repeat(100)) as object
  const answer = await withSchema(shallower)
  expect(answer.status).toBe(400)
  expect(answer.body.error!.message).toMatch(/deep|nest/)
})

test.each([['(a{1,1000}){1,1000}'], ['(?<=a)b'], ['(?=a)b'], ['(a)\\1'], ['a'.repeat(300_000)], ['(((((((((('], ['[z-a]']])(
  '52: the pattern %# is refused with the reason',
  async (pattern) => {
    expectRefusal(await ask({ guided_regex: pattern }), /./, 'guided_regex')
    expect((await withSchema({ type: 'string', pattern })).status).toBe(400)
  },
)

test('52: a pattern that backtracking engines choke on is just a pattern', async () => {
  const { status, body } = await ask({ guided_regex: '(a+)+b', max_tokens: 200, temperature: 1, seed: 3 })
  expect(status).toBe(200)
  expect(body.choices![0]!.message.content).toMatch(/^a*b?$/)
})

test.each([
  ['root ::= missing', /missing/],
  ['start ::= "a"', /root/],
  ['root ::= "a', /./],
  [`root ::= ${'('.repeat(30_000)}"a"${')'.repeat(30_000)}`, /./],
])('52: the grammar %# is refused with the reason', async (grammar, reason) => {
  expectRefusal(await ask({ grammar }), reason, 'grammar')
})

test('54: a schema that does not fit into the output limit gives a valid beginning, not white space', async () => {
  const schema = { type: 'object', properties: { text: { type: 'string', minLength: 5000 } }, required: ['text'], additionalProperties: false }
  const { status, body } = await withSchema(schema, { max_tokens: 60, temperature: 2, seed: 1 })
  expect(status).toBe(200)
  expect(body.choices![0]!.finish_reason).toBe('length')
  const content = body.choices![0]!.message.content!
  expect(content).not.toMatch(/\s{45}/)
  expect(content.replace(/\s/g, '')).toMatch(/^\{"text":"./)
})

test('a stream goes on while hostile schemas are compiled beside it', async () => {
  const response = await fetch(`${server.baseUrl}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: MODEL, prompt: 'One day', max_tokens: 300, ignore_eos: true, stream: true, temperature: 0 }),
  })
  const enumOf = (seed: number): unknown => ({ enum: Array.from({ length: 9000 }, (_, i) => `value ${i * seed}`) })
  const [text, ...answers] = await Promise.all([response.text(), ...[1, 2, 3].map((seed) => withSchema(enumOf(seed)))])
  expect(text).toContain('[DONE]')
  expect(text.split('\n\n').length).toBeGreaterThan(250)
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200])
})
