/** One inferd as the upstream of another: what a model says comes back the same through each dialect. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { systemClock } from '#base/clock'
import { InferdError } from '#contract/errors'
import {
  type GenerateEvent,
  type GenerateRequest,
  GREEDY_SAMPLING,
  type OutputOptions,
  PLAIN_OUTPUT,
  PLAIN_REQUEST,
  type Usage,
} from '#contract/generate'
import { Egress } from '#upstreams/egress'
import { openUpstream, type Upstream, type UpstreamTerms } from '#upstreams/open-upstream'
import { doActs, FakeModel, sayWords, type Script } from './fake-model.ts'
import { startTestServer, type TestServer } from './test-server.ts'

const NEVER = new AbortController().signal
const DIALECTS = ['openai', 'anthropic', 'bedrock'] as const
type Dialect = (typeof DIALECTS)[number]

let server: TestServer
const upstreams = new Map<Dialect, Upstream>()

const TERMS: Omit<UpstreamTerms, 'dialect' | 'baseUrl'> = {
  region: 'us-east-1',
  extensions: false,
  countTokens: 'refuse',
  answers: 'as-asked',
  maxConcurrentCalls: 4,
  headersTimeoutS: 5,
  idleTimeoutS: 5,
  maxAnswerBytes: 1 << 20,
  models: [{ name: 'remote', remoteModel: 'fake/model', contextLength: 2048, maxOutputTokens: 64, embeddingSize: 8 }],
}

function open(dialect: Dialect, url: string): Upstream {
  const terms = { ...TERMS, dialect, baseUrl: dialect === 'openai' ? `${url}/v1` : url }
  const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret', sessionToken: null }
  const secrets = { apiKey: dialect === 'bedrock' ? null : 'key', credentials: dialect === 'bedrock' ? credentials : null }
  return openUpstream({ terms, secrets, egress: new Egress([{ host: '127.0.0.1', allowPrivate: true }]), clock: systemClock })
}

beforeAll(async () => {
  server = await startTestServer({ model: new FakeModel() })
  for (const dialect of DIALECTS) upstreams.set(dialect, open(dialect, `http://127.0.0.1:${server.port}`))
})
afterAll(async () => {
  for (const upstream of upstreams.values()) await upstream.close()
  await server.server.close({ graceMs: 0 })
})

const TOOLS: OutputOptions = {
  ...PLAIN_OUTPUT,
  tools: {
    definitions: [
      { name: 'weather', description: 'Weather of a place', parameters: { type: 'object', properties: { city: { type: 'string' } } }, strict: false },
    ],
    choice: 'auto',
    parallel: true,
  },
}

function requestOf(more: Partial<GenerateRequest> = {}): GenerateRequest {
  return {
    ...PLAIN_REQUEST,
    requestId: 'r',
    input: {
      kind: 'messages',
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'Hi 🦊' },
        { role: 'assistant', content: 'Yes?', toolCalls: [{ id: 'call_1', name: 'weather', arguments: '{"city":"Kiel"}' }] },
        { role: 'tool', content: 'rain', toolCallId: 'call_1', name: 'weather' },
        { role: 'user', content: 'And now?' },
      ],
    },
    sampling: { ...GREEDY_SAMPLING, temperature: 0.5, topP: 0.9 },
    output: TOOLS,
    maxTokens: 32,
    stopStrings: ['END'],
    ...more,
  }
}

interface Summary {
  text: string
  reasoning: string
  calls: string[]
  finish: string[]
  usage: Usage | null
  error: string | null
  order: string
}

async function summaryOf(events: AsyncIterable<GenerateEvent>): Promise<Summary> {
  const summary: Summary = { text: '', reasoning: '', calls: [], finish: [], usage: null, error: null, order: '' }
  const types: string[] = []
  for await (const event of events) {
    if (types.at(-1) !== event.type) types.push(event.type)
    if (event.type === 'text-delta') summary.text += event.text
    if (event.type === 'reasoning-delta') summary.reasoning += event.text
    if (event.type === 'tool-call-start') summary.calls.push(`${event.name} `)
    if (event.type === 'tool-call-delta') summary.calls[event.toolCall]! += event.argumentsText
    if (event.type === 'choice-end') summary.finish.push(event.finishReason)
    if (event.type === 'response-end') summary.usage = event.usage
    if (event.type === 'response-error') summary.error = event.error.code
  }
  summary.order = types.join(' ')
  return summary
}

/** From a server that answers with `body`. */
async function wholeThrough(dialect: Dialect, body: string): Promise<Summary> {
  const strange = createServer((request, response) => request.resume().on('end', () => response.end(body)))
  await new Promise<void>((resolve) => strange.listen(0, '127.0.0.1', resolve))
  const upstream = open(dialect, `http://127.0.0.1:${(strange.address() as AddressInfo).port}`)
  try {
    return await summaryOf(upstream.models[0]!.generate(requestOf(), NEVER, 'whole'))
  } finally {
    await upstream.close()
    strange.close()
  }
}

const COURSES: Readonly<Record<string, Script>> = {
  'plain text': sayWords(['Hello', ' ', 'wörld', ' 🦊']),
  reasoning: doActs([{ reasoning: 'Let me think.', text: 'It rains.' }]),
  'one call': doActs([{ text: 'Looking.', calls: [{ name: 'weather', arguments: '{"city":"Köln"}' }] }]),
  'two calls': doActs([
    {
      calls: [
        { name: 'weather', arguments: '{"city":"a"}' },
        { name: 'weather', arguments: '{"city":"b"}' },
      ],
    },
  ]),
}

for (const dialect of DIALECTS) {
  for (const [course, script] of Object.entries(COURSES)) {
    test.each(['stream', 'whole'] as const)(`${course} comes back the same through ${dialect} as a %s`, async (delivery) => {
      server.model.script = script
      const direct = await summaryOf(script(requestOf(), NEVER))
      const remote = await summaryOf(upstreams.get(dialect)!.models[0]!.generate(requestOf(), NEVER, delivery))
      const { text, reasoning, calls, finish } = direct
      expect(remote).toMatchObject({ text, reasoning, calls, finish, error: null })
      expect(remote.usage).toMatchObject({ promptTokens: 7, cachedTokens: 2, completionTokens: direct.usage!.completionTokens })
      expect(server.model.deliveries.at(-1)).toBe(delivery)
      const asked = server.model.requests.at(-1)!
      expect(asked).toMatchObject({ maxTokens: 32, stopStrings: ['END'], sampling: { temperature: 0.5, topP: 0.9 } })
      expect(asked.output.tools?.definitions[0]).toMatchObject({ name: 'weather', description: 'Weather of a place' })
      expect(asked.input).toEqual(requestOf().input)
    })
  }

  test.each([
    ['rate_limited', 'rate_limited'],
    ['overloaded', /overloaded|rate_limited/],
    ['context_length_exceeded', 'context_length_exceeded'],
    ['non_finite_logits', 'upstream_failed'],
  ] as const)(`%s of the upstream is a known error through ${dialect}, in our words`, async (code, expected) => {
    server.model.script = async function* () {
      yield* []
      const words = code === 'context_length_exceeded' ? 'the prompt exceeds the context length SECRET' : 'SECRET'
      throw new InferdError(code, words, { retryAfterMs: 3000 })
    }
    const error = await summaryOf(upstreams.get(dialect)!.models[0]!.generate(requestOf(), NEVER)).catch((thrown: unknown) => thrown as InferdError)
    expect(error).toBeInstanceOf(InferdError)
    expect((error as InferdError).code).toMatch(expected)
    expect((error as InferdError).message).not.toContain('SECRET')
  })

  test(`an upstream that breaks in the middle ends the stream with its error through ${dialect}`, async () => {
    server.model.script = async function* () {
      yield { type: 'response-start', promptTokens: 7, cachedTokens: 0 }
      yield { type: 'text-delta', choice: 0, text: 'half', logprobs: null }
      yield {
        type: 'response-error',
        error: { code: 'replica_lost', message: 'x', param: null, retryAfterMs: null },
        usage: { promptTokens: 7, cachedTokens: 0, cacheWriteTokens: 0, completionTokens: 1, reasoningTokens: 0 },
      }
    }
    const summary = await summaryOf(upstreams.get(dialect)!.models[0]!.generate(requestOf(), NEVER))
    expect(summary).toMatchObject({ text: 'half', usage: null, order: 'response-start text-delta response-error' })
  })

  test(`a whole answer that fails, and one that is none, is an error through ${dialect}`, async () => {
    const ask = () => summaryOf(upstreams.get(dialect)!.models[0]!.generate(requestOf(), NEVER, 'whole'))
    server.model.script = async function* () {
      yield { type: 'response-start', promptTokens: 7, cachedTokens: 0 }
      throw new InferdError('context_length_exceeded', 'the prompt exceeds the context length SECRET')
    }
    await expect(ask()).rejects.toMatchObject({ code: 'context_length_exceeded', message: expect.not.stringContaining('SECRET') as string })
    for (const body of ['{}', '[]', '{"choices":[{}]}', '{"content":[]}', '{"output":{}}', '{"choices":[{"message":{"content":"cut', ''])
      await expect(wholeThrough(dialect, body)).rejects.toMatchObject({ code: 'upstream_failed' })
  })

  test(`a caller that leaves ends the call on the upstream through ${dialect}`, async () => {
    server.model.script = sayWords(
      Array.from({ length: 500 }, () => 'word '),
      { waitMs: 5 },
    )
    const caller = new AbortController()
    const before = server.model.aborts.length
    await expect(
      (async () => {
        for await (const event of upstreams.get(dialect)!.models[0]!.generate(requestOf({ maxTokens: null }), caller.signal)) {
          if (event.type === 'text-delta') caller.abort(new InferdError('cancelled', 'left'))
        }
      })(),
    ).rejects.toMatchObject({ code: 'cancelled' })
    await expect.poll(() => server.model.aborts.length).toBe(before + 1)
  })
}

test('embeddings and counts come from the upstream where it has them, and are refused by name where not', async () => {
  const model = (dialect: Dialect) => upstreams.get(dialect)!.models[0]!
  const embedRequest = {
    requestId: 'e',
    inputs: [
      { kind: 'text', text: 'a' },
      { kind: 'text', text: 'b' },
    ],
    priority: 0,
    cacheSalt: '',
  } as const
  const { vectors, usage } = await model('openai').embed(embedRequest, NEVER)
  expect(vectors.map((vector) => Math.hypot(...vector).toFixed(4))).toEqual(['1.0000', '1.0000'])
  expect(usage.promptTokens).toBe(6)
  await expect(model('anthropic').embed(embedRequest, NEVER)).rejects.toMatchObject({ code: 'unsupported_parameter' })
  expect(await model('anthropic').countTokens(requestOf(), NEVER)).toBe(7)
  expect(await model('bedrock').countTokens(requestOf(), NEVER)).toBe(7)
  await expect(model('openai').countTokens(requestOf(), NEVER)).rejects.toMatchObject({ code: 'unsupported_parameter' })
})

test('what a dialect has no words for is refused by its place, and nothing is sent', async () => {
  const before = server.model.requests.length
  const ask = (dialect: Dialect, more: Partial<GenerateRequest>) => summaryOf(upstreams.get(dialect)!.models[0]!.generate(requestOf(more), NEVER))
  await expect(ask('openai', { numTopLogprobs: 1 })).rejects.toMatchObject({ code: 'unsupported_parameter', param: 'numTopLogprobs' })
  await expect(ask('openai', { minTokens: 3 })).rejects.toMatchObject({ param: 'minTokens' })
  await expect(ask('anthropic', { numChoices: 2 })).rejects.toMatchObject({ param: 'numChoices' })
  await expect(ask('bedrock', { input: { kind: 'text', text: 'a' } })).rejects.toMatchObject({ param: 'input' })
  expect(server.model.requests).toHaveLength(before)
})
