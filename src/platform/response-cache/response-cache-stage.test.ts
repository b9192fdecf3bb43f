import fc from 'fast-check'
import { expect, test } from 'vitest'
import { FakeClock } from '#base/fake-clock'
import { DEFAULT_CALL_OPTIONS, newCallReport, type OnlineCall, type ResponseCacheChoice } from '#contract/call'
import {
  type FinishReason,
  type GenerateEvent,
  type GenerateRequest,
  GREEDY_SAMPLING,
  type ModelFacts,
  NO_USAGE,
  PLAIN_OUTPUT,
  PLAIN_REQUEST,
} from '#contract/generate'
import { LOCAL_PRINCIPAL } from '#contract/principal'
import type { CallHandler } from '#platform/online/stage'
import { exactKey, semanticParts } from './cache-key.ts'
import type { ServedModel } from '#contract/served-model'
import { embedWith, responseCacheStage, type EmbedText, type ResponseCachePolicy } from './response-cache-stage.ts'

const NEVER = new AbortController().signal
const POLICY: ResponseCachePolicy = {
  byDefault: 'exact',
  allowed: 'semantic',
  maxBytes: 100_000,
  maxAnswerBytes: 10_000,
  maxAgeS: 60,
  threshold: 0.9,
}
const REQUEST: GenerateRequest = {
  ...PLAIN_REQUEST,
  requestId: 'r',
  input: {
    kind: 'messages',
    messages: [
      { role: 'system', content: 'S' },
      { role: 'user', content: 'hello' },
    ],
  },
  maxTokens: 8,
}

interface Asked {
  readonly request?: Partial<GenerateRequest>
  readonly team?: string
  readonly choice?: ResponseCacheChoice | null
}

function say(text: string): GenerateRequest['input'] {
  return {
    kind: 'messages',
    messages: [
      { role: 'system', content: 'S' },
      { role: 'user', content: text },
    ],
  }
}

function callOf({ request = {}, team = 'a', choice = null }: Asked = {}): OnlineCall {
  return {
    requestId: 'r',
    principal: { ...LOCAL_PRINCIPAL, team },
    dialect: 'openai',
    model: 'm',
    options: { ...DEFAULT_CALL_OPTIONS, responseCache: choice },
    arrivedMs: 0,
    report: newCallReport(),
    operation: 'chat',
    request: { ...REQUEST, ...request },
    isBuffered: false,
  }
}

/** Words say how often the model was asked. */
class Played {
  readonly clock = new FakeClock()
  numAsked = 0
  finishReason: FinishReason = 'stop'
  events: readonly GenerateEvent[] | null = null
  readonly next: CallHandler
  readonly cached
  constructor(policy: Partial<ResponseCachePolicy> = {}, embed: EmbedText | null = null) {
    this.next = (call) => this.answer(call)
    const find = () => ({ state: { kind: 'ready', facts: {} as ModelFacts } }) as const
    this.cached = responseCacheStage({ policy: { ...POLICY, ...policy }, clock: this.clock, targetsOf: (name) => [name], find, embed })
  }
  async *answer(call: OnlineCall): AsyncGenerator<GenerateEvent, void> {
    this.numAsked++
    call.report.servedBy = 'm'
    if (this.events !== null) return yield* this.events
    yield { type: 'response-start', promptTokens: 3, cachedTokens: 1 }
    yield { type: 'text-delta', choice: 0, text: 'answer ', logprobs: null }
    yield { type: 'text-delta', choice: 0, text: String(this.numAsked), logprobs: null }
    yield { type: 'choice-end', choice: 0, finishReason: this.finishReason, stopString: null }
    yield { type: 'response-end', usage: { ...NO_USAGE, promptTokens: 3, cachedTokens: 1, completionTokens: 2 } }
  }
  async ask(call: OnlineCall): Promise<{ text: string; cache: string; last: GenerateEvent | undefined }> {
    let text = ''
    let last: GenerateEvent | undefined
    for await (const event of this.cached.stage(this.next)(call, NEVER)) {
      last = event
      if (event.type === 'text-delta') text += event.text
    }
    return { text, cache: call.report.cache, last }
  }
}

test('the same request is answered from memory, with the same text and usage, and the report says so', async () => {
  const played = new Played()
  const miss = await played.ask(callOf())
  const hit = await played.ask(callOf({ request: { requestId: 'other', priority: 7, cacheSalt: 'x' } }))
  expect(hit).toEqual({ ...miss, cache: 'exact' })
  expect(played.cached.cache.stats).toMatchObject({ numHits: 1, numMisses: 1, numStored: 1 })
})

test('another team never gets an answer of this one, whatever both ask', async () => {
  await fc.assert(
    fc.asyncProperty(fc.string(), fc.string(), fc.string(), async (text, one, two) => {
      fc.pre(one !== two)
      const played = new Played({ byDefault: 'semantic' }, async () => Float32Array.of(1, 0))
      await played.ask(callOf({ team: one, request: { input: say(text) } }))
      expect(await played.ask(callOf({ team: two, request: { input: say(text) } }))).toMatchObject({ cache: 'none', text: 'answer 2' })
    }),
    { seed: 11, numRuns: 50 },
  )
})

test.each<[string, Partial<GenerateRequest>]>([
  ['temperature', { sampling: { ...GREEDY_SAMPLING, temperature: 0.1, seed: 1 } }],
  ['seed', { sampling: { ...GREEDY_SAMPLING, seed: 2 } }],
  ['maxTokens', { maxTokens: 9 }],
  ['stopStrings', { stopStrings: ['x'] }],
  ['logprobs', { numTopLogprobs: 0 }],
  ['format', { output: { ...PLAIN_OUTPUT, format: { kind: 'json-object', whitespace: 'none' } } }],
  [
    'system',
    {
      input: {
        kind: 'messages',
        messages: [
          { role: 'system', content: 'T' },
          { role: 'user', content: 'hello' },
        ],
      },
    },
  ],
  ['kind', { input: { kind: 'text', text: 'hello' } }],
])('a request that differs in %s is another request', (_field, request) => {
  const model = { targets: ['m'], factsDigest: 'd' }
  expect(exactKey(callOf({ request }), model)).not.toBe(exactKey(callOf(), model))
  if (request.input === undefined) expect(semanticParts(callOf({ request }), model)?.key).not.toBe(semanticParts(callOf(), model)?.key)
})

test('what is drawn at random is kept only for who asked for it', async () => {
  const request = { sampling: { ...GREEDY_SAMPLING, temperature: 1 } }
  const played = new Played()
  await played.ask(callOf({ request }))
  expect(await played.ask(callOf({ request }))).toMatchObject({ cache: 'none', text: 'answer 2' })
  const choice = { mode: 'exact', maxAgeS: null } as const
  await played.ask(callOf({ request, choice }))
  expect(await played.ask(callOf({ request, choice }))).toMatchObject({ cache: 'exact', text: 'answer 3' })
})

test('a caller gets no more than the operator allows, and may have less', async () => {
  const off = new Played({ allowed: 'off', byDefault: 'off' })
  const choice = { mode: 'exact', maxAgeS: null } as const
  await off.ask(callOf({ choice }))
  expect(await off.ask(callOf({ choice }))).toMatchObject({ text: 'answer 2' })
  const on = new Played()
  await on.ask(callOf())
  expect(await on.ask(callOf({ choice: { mode: 'off', maxAgeS: null } }))).toMatchObject({ text: 'answer 2' })
})

test.each(['content-filter', 'degenerate'] as const)('an answer that ended as %s is not kept', async (finishReason) => {
  const played = new Played()
  played.finishReason = finishReason
  await played.ask(callOf())
  await played.ask(callOf())
  expect(played.numAsked).toBe(2)
})

test('errors, answers without an end and answers that were left are not kept', async () => {
  const played = new Played()
  played.events = [
    { type: 'response-start', promptTokens: 1, cachedTokens: 0 },
    { type: 'response-error', error: { code: 'replica_lost', message: '', param: null, retryAfterMs: null }, usage: NO_USAGE },
  ]
  await played.ask(callOf())
  played.events = [{ type: 'response-start', promptTokens: 1, cachedTokens: 0 }]
  await played.ask(callOf())
  played.events = null
  for await (const event of played.cached.stage(played.next)(callOf(), NEVER)) if (event.type === 'text-delta') break
  expect(played.cached.cache.stats.numStored).toBe(0)
})

test('an answer of a fallback, and one that the quality monitor warned of, stand for one call only', async () => {
  const played = new Played()
  const call = callOf()
  call.report.attempts.push({ model: 'x', error: 'overloaded' })
  await played.ask(call)
  expect(played.cached.cache.stats.numStored).toBe(0)
})

test('answers grow old, for all and for who wants younger ones', async () => {
  const played = new Played()
  await played.ask(callOf())
  await played.clock.advance(30_000)
  expect(await played.ask(callOf({ choice: { mode: 'exact', maxAgeS: 29 } }))).toMatchObject({ text: 'answer 2' })
  await played.clock.advance(60_001)
  expect(await played.ask(callOf())).toMatchObject({ text: 'answer 3' })
})

test('the least recently used answers go when there are too many bytes', async () => {
  const played = new Played({ maxBytes: 1500 })
  for (const text of ['a', 'b', 'a', 'c']) await played.ask(callOf({ request: { input: say(text) } }))
  const { bytes, numEvicted } = played.cached.cache.stats
  expect(bytes).toBeLessThanOrEqual(1500)
  expect(numEvicted).toBe(1)
  expect(await played.ask(callOf({ request: { input: say('a') } }))).toMatchObject({ cache: 'exact' })
  expect(await played.ask(callOf({ request: { input: say('b') } }))).toMatchObject({ cache: 'none' })
})

test('the semantic mode answers what means the same, only where everything else is the same', async () => {
  const vectors: Readonly<Record<string, Float32Array>> = {
    hello: Float32Array.of(1, 0),
    hi: Float32Array.of(0.95, 0.3122),
    bye: Float32Array.of(0, 1),
  }
  const usage = { promptTokens: 1, cachedTokens: 0, completionTokens: 0 }
  const model: Pick<ServedModel, 'embed'> = {
    embed: async ({ inputs }) => ({ vectors: inputs.map((input) => vectors[input.kind === 'text' ? input.text : '']!), usage }),
  }
  const played = new Played({ byDefault: 'semantic' }, embedWith(model))
  await played.ask(callOf())
  expect(await played.ask(callOf({ request: { input: say('hi') } }))).toMatchObject({ cache: 'semantic', text: 'answer 1' })
  expect(await played.ask(callOf({ request: { input: say('bye') } }))).toMatchObject({ cache: 'none' })
  expect(await played.ask(callOf({ request: { input: say('hi'), maxTokens: 3 } }))).toMatchObject({ cache: 'none' })
})

test('embeddings that fail cost nobody the answer', async () => {
  const played = new Played({ byDefault: 'semantic' }, async () => Promise.reject(new RangeError('no')))
  expect(await played.ask(callOf())).toMatchObject({ text: 'answer 1' })
  expect(await played.ask(callOf())).toMatchObject({ cache: 'exact' })
})
