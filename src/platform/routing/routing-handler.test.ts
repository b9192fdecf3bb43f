import { expect, test } from 'vitest'
import { FakeClock, settle } from '#base/fake-clock'
import { SeededRandom } from '#base/random'
import { DEFAULT_CALL_OPTIONS, newCallReport, type OnlineCall } from '#contract/call'
import { InferdError, type ErrorCode } from '#contract/errors'
import { NO_USAGE, PLAIN_OUTPUT, type FinishReason, type GenerateEvent, type GenerateRequest } from '#contract/generate'
import { LOCAL_PRINCIPAL } from '#contract/principal'
import type { ModelDirectory, ServedModel } from '#contract/served-model'
import { directoryOf, FakeModel, sayWords, type Script } from '../../../tests/conformance/fake-model.ts'
import type { RouteDefinition } from './route-definition.ts'
import { ROUTE_DEFAULTS, RouteTable } from './route-table.ts'
import { routingHandler, type RoutingHandler } from './routing-handler.ts'

const START: GenerateEvent = { type: 'response-start', promptTokens: 3, cachedTokens: 0 }
const NEVER = new AbortController().signal

const fails = (code: ErrorCode): Script =>
  async function* () {
    yield START
    throw new InferdError(code, code)
  }

const endsAs = (finishReason: FinishReason): Script =>
  async function* () {
    yield START
    yield { type: 'text-delta', choice: 0, text: 'bad', logprobs: null }
    yield { type: 'choice-end', choice: 0, finishReason, stopString: null }
    yield { type: 'response-end', usage: { ...NO_USAGE, promptTokens: 3, completionTokens: 4 } }
  }

function hangs(onAbort: () => void = () => {}): Script {
  return async function* (_request, signal) {
    yield START
    await new Promise((_resolve, reject) =>
      signal.addEventListener('abort', () => {
        onAbort()
        reject(signal.reason as Error)
      }),
    )
  }
}

function route(name: string, first: string, more: Partial<RouteDefinition> = {}): RouteDefinition {
  return { ...ROUTE_DEFAULTS, name, variants: [{ model: first, weight: 1 }], ...more }
}

function callOf(model: string, more: Partial<OnlineCall> = {}): OnlineCall {
  const request = { input: { kind: 'text', text: 'hi' }, output: PLAIN_OUTPUT, maxTokens: null, numChoices: 1, numTopLogprobs: null }
  return {
    requestId: 'r',
    principal: LOCAL_PRINCIPAL,
    dialect: 'openai',
    model,
    options: DEFAULT_CALL_OPTIONS,
    arrivedMs: 0,
    report: newCallReport(),
    operation: 'chat',
    request: request as unknown as GenerateRequest,
    isBuffered: false,
    ...more,
  }
}

const say = (word: string): Script => sayWords([word])

function handlerOf(scripts: Readonly<Record<string, Script>>, routes: readonly RouteDefinition[], clock = new FakeClock()): RoutingHandler {
  const models: ModelDirectory = directoryOf(...Object.entries(scripts).map(([name, script]): ServedModel => new FakeModel({ name, script })))
  return routingHandler({ models, routes, clock, random: new SeededRandom(1) })
}

async function textOf(events: AsyncIterable<GenerateEvent>): Promise<string> {
  let text = ''
  for await (const event of events) {
    if (event.type === 'text-delta') text += event.text
    if (event.type === 'response-error') text += `!${event.error.code}`
  }
  return text
}

test('a model is called by its own name, by a route and by each alias of it', async () => {
  const arn = 'arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-v2'
  const handler = handlerOf({ m: say('hi') }, [route('fast', 'm', { aliases: [arn] })])
  for (const name of ['m', 'fast', arn]) {
    const call = callOf(name)
    expect(await textOf(handler.generate(call, NEVER))).toBe('hi')
    expect(call.report.servedBy).toBe('m')
  }
  expect(handler.list(LOCAL_PRINCIPAL).map(({ name }) => name)).toEqual(['m', 'fast'])
  expect(() => handler.generate(callOf('other'), NEVER)).toThrow('does not exist')
  expect(handler.targetsOf(arn)).toEqual(['m'])
})

test('who may call a route may do so by its aliases, and not the models behind it', () => {
  const handler = handlerOf({ m: say('hi') }, [route('fast', 'm', { aliases: ['quick'] })])
  const principal = { ...LOCAL_PRINCIPAL, models: ['fast'] }
  expect(handler.find(principal, 'quick')?.name).toBe('fast')
  expect(handler.find(principal, 'm')).toBeNull()
})

test('who may call an alias only sees the route under that name', () => {
  const handler = handlerOf({ m: say('hi') }, [route('fast', 'm', { aliases: ['quick', 'hasty'] })])
  const principal = { ...LOCAL_PRINCIPAL, models: ['quick'] }
  expect(handler.list(principal).map(({ name }) => name)).toEqual(['quick'])
  expect(handler.list({ ...principal, models: ['fast', 'quick'] }).map(({ name }) => name)).toEqual(['fast'])
})

test.each([
  ['rate_limited', 'busy'],
  ['overloaded', 'busy'],
  ['upstream_failed', 'failed'],
  ['replica_lost', 'failed'],
  ['deadline_exceeded', 'timeout'],
  ['context_length_exceeded', 'context-length'],
  ['content_blocked', 'guardrail'],
  ['degenerate_output', 'degenerate'],
  ['model_loading', 'loading'],
] as const)('%s before the first piece goes on to a fallback for %s, and to no other', async (code, failureClass) => {
  const with_ = handlerOf({ a: fails(code), b: say('b') }, [route('r', 'a', { fallbacks: [{ model: 'b', on: [failureClass] }] })])
  const call = callOf('r')
  expect(await textOf(with_.generate(call, NEVER))).toBe('b')
  expect(call.report).toMatchObject({ servedBy: 'b', attempts: [{ model: 'a', error: code }] })
  const other = failureClass === 'busy' ? 'failed' : 'busy'
  const without = handlerOf({ a: fails(code), b: say('b') }, [route('r', 'a', { fallbacks: [{ model: 'b', on: [other] }] })])
  await expect(textOf(without.generate(callOf('r'), NEVER))).rejects.toMatchObject({ code })
})

test("the caller's own mistake is answered at once", async () => {
  const handler = handlerOf({ a: fails('invalid_parameter'), b: say('b') }, [
    route('r', 'a', { maxRetries: 3, fallbacks: [{ model: 'b', on: ['failed'] }] }),
  ])
  const call = callOf('r')
  await expect(textOf(handler.generate(call, NEVER))).rejects.toMatchObject({ code: 'invalid_parameter' })
  expect(call.report.attempts).toHaveLength(1)
})

test('a stream that has begun is never answered again', async () => {
  const breaks: Script = async function* () {
    yield START
    yield { type: 'text-delta', choice: 0, text: 'half', logprobs: null }
    throw new InferdError('upstream_failed', 'gone')
  }
  const handler = handlerOf({ a: breaks, b: say('b') }, [route('r', 'a', { maxRetries: 2, fallbacks: [{ model: 'b', on: ['failed'] }] })])
  expect(await textOf(handler.generate(callOf('r'), NEVER))).toBe('half!upstream_failed')
  const buffered = callOf('r', { isBuffered: true })
  expect(await textOf(handler.generate(buffered, NEVER))).toBe('b')
})

test.each([
  ['content-filter', 'guardrail'],
  ['degenerate', 'degenerate'],
] as const)('a buffered answer that ends as %s is replaced, and kept when nothing else may answer', async (finish, failureClass) => {
  const handler = handlerOf({ a: endsAs(finish), b: say('b') }, [route('r', 'a', { fallbacks: [{ model: 'b', on: [failureClass] }] })])
  expect(await textOf(handler.generate(callOf('r', { isBuffered: true }), NEVER))).toBe('b')
  expect(await textOf(handler.generate(callOf('r'), NEVER))).toBe('bad')
  const both = handlerOf({ a: endsAs(finish), b: endsAs(finish) }, [route('r', 'a', { fallbacks: [{ model: 'b', on: [failureClass] }] })])
  expect(await textOf(both.generate(callOf('r', { isBuffered: true }), NEVER))).toBe('bad')
})

test('a target that sends nothing in time is given up and its call is ended', async () => {
  const clock = new FakeClock()
  let numAborted = 0
  const handler = handlerOf(
    { a: hangs(() => numAborted++), b: say('b') },
    [route('r', 'a', { firstPieceTimeoutMs: 500, fallbacks: [{ model: 'b', on: ['timeout'] }] })],
    clock,
  )
  const answer = textOf(handler.generate(callOf('r'), NEVER))
  await settle()
  await clock.advance(500)
  expect(await answer).toBe('b')
  expect(numAborted).toBe(1)
  expect(clock.numSleepers).toBe(0)
})

test('a caller that leaves is told its own reason, and no further target is asked', async () => {
  const caller = new AbortController()
  const handler = handlerOf({ a: hangs(), b: say('b') }, [route('r', 'a', { fallbacks: [{ model: 'b', on: ['failed', 'timeout'] }] })])
  const call = callOf('r')
  const answer = textOf(handler.generate(call, caller.signal))
  await settle()
  caller.abort(new InferdError('cancelled', 'left'))
  await expect(answer).rejects.toMatchObject({ code: 'cancelled' })
  expect(call.report.attempts).toEqual([])
})

test('a slow target gets company, the first answer wins and the other is ended', async () => {
  const clock = new FakeClock()
  let numAborted = 0
  const handler = handlerOf(
    { a: hangs(() => numAborted++), b: say('b') },
    [route('r', 'a', { hedge: { quantile: 0.95, minDelayMs: 200 }, fallbacks: [{ model: 'b', on: ['timeout'] }] })],
    clock,
  )
  const call = callOf('r')
  const answer = textOf(handler.generate(call, NEVER))
  await settle()
  await clock.advance(199)
  expect(handler.stats().targets.map(({ model }) => model)).toEqual(['a'])
  await clock.advance(1)
  expect(await answer).toBe('b')
  expect(numAborted).toBe(1)
  expect(call.report.servedBy).toBe('b')
  expect(handler.stats().targets).toMatchObject([
    { model: 'a', wastedTokens: 3 },
    { model: 'b', wastedTokens: 0 },
  ])
})

test('the breaker of a dead target opens, skips it, probes it once and heals', async () => {
  const clock = new FakeClock()
  let numAsked = 0
  let isDead = true
  const a: Script = async function* (request, signal) {
    numAsked++
    yield* isDead ? fails('upstream_failed')(request, signal) : say('a')(request, signal)
  }
  const handler = handlerOf({ a, b: say('b') }, [route('r', 'a', { fallbacks: [{ model: 'b', on: ['failed'] }] })], clock)
  for (let call = 0; call < 8; call++) expect(await textOf(handler.generate(callOf('r'), NEVER))).toBe('b')
  expect(numAsked).toBe(5)
  await clock.advance(5000)
  expect(await textOf(handler.generate(callOf('r'), NEVER))).toBe('b')
  expect(numAsked).toBe(6)
  isDead = false
  await clock.advance(9999)
  await textOf(handler.generate(callOf('r'), NEVER))
  expect(numAsked).toBe(6)
  await clock.advance(1)
  expect(await textOf(handler.generate(callOf('r'), NEVER))).toBe('a')
  expect(handler.stats().targets[0]).toMatchObject({ breaker: 'closed' })
})

test('retries of one target stay within a tenth of the traffic and what was saved up', async () => {
  let numAsked = 0
  const flaky: Script = async function* (request, signal) {
    yield* numAsked++ % 2 === 0 ? fails('upstream_failed')(request, signal) : say('a')(request, signal)
  }
  const handler = handlerOf({ a: flaky }, [route('r', 'a', { maxRetries: 1 })])
  for (let call = 0; call < 200; call++) await textOf(handler.generate(callOf('r'), NEVER)).catch(() => {})
  expect(numAsked - 200).toBeLessThanOrEqual(10 + 20)
  expect(numAsked).toBeGreaterThan(210)
})

test('weights are kept, and the same seed draws the same models', async () => {
  const routes = [
    {
      ...route('r', 'a'),
      variants: [
        { model: 'a', weight: 3 },
        { model: 'b', weight: 1 },
        { model: 'c', weight: 0 },
      ],
    },
  ]
  const draw = async (): Promise<string> => {
    const handler = handlerOf({ a: say('a'), b: say('b'), c: say('c') }, routes)
    let drawn = ''
    for (let call = 0; call < 400; call++) drawn += await textOf(handler.generate(callOf('r'), NEVER))
    return drawn
  }
  const first = await draw()
  expect(await draw()).toBe(first)
  expect(first.split('a').length - 1).toBeGreaterThan(260)
  expect(first.split('a').length - 1).toBeLessThan(340)
  expect(first).not.toContain('c')
})

test('the prompt router sends easy prompts to the first model, hard ones to the last, and reports what that saved', async () => {
  const routes = [
    {
      ...route('r', 'a'),
      variants: [],
      byDifficulty: [
        { model: 'cheap', maxDifficulty: 0.3 },
        { model: 'dear', maxDifficulty: 1 },
      ],
    },
  ]
  const models = directoryOf(new FakeModel({ name: 'cheap', script: say('c') }), new FakeModel({ name: 'dear', script: say('d') }))
  const priceOf = (model: string): bigint => (model === 'dear' ? 10_000_000n : 1_000_000n)
  const handler = routingHandler({ models, routes, clock: new FakeClock(), random: new SeededRandom(1), priceOf })
  const ask = async (text: string): Promise<{ text: string; reason: string | null }> => {
    const call = callOf('r')
    const request = { ...call.request, input: { kind: 'text', text } } as GenerateRequest
    return { text: await textOf(handler.generate({ ...call, request }, NEVER)), reason: call.report.routeReason }
  }
  expect(await ask('What is the capital of France?')).toEqual({ text: 'c', reason: 'difficulty 0.00 <= 0.3, saves about $0.000009' })
  expect((await ask('Prove step by step that the integral of x^2 = x^3/3 and design a function f(x) { return x; }')).text).toBe('d')
  expect(handler.stats().routes).toMatchObject([{ route: 'r', numCalls: 2, byModel: { cheap: 1, dear: 1 }, estimatedSaving: 9_000_000n }])
})

test('a route is ready as soon as one of its models is', () => {
  const loading = new FakeModel({ name: 'a', state: { kind: 'loading', loadedBytes: 1, totalBytes: 2 } })
  const ready = new FakeModel({ name: 'b' })
  const routes = [route('r', 'a', { fallbacks: [{ model: 'b', on: ['loading'] }] })]
  const handler = routingHandler({ models: directoryOf(loading, ready), routes, clock: new FakeClock(), random: new SeededRandom(1) })
  expect(handler.find(LOCAL_PRINCIPAL, 'r')?.state.kind).toBe('ready')
  ready.state = { kind: 'stopping' }
  expect(handler.find(LOCAL_PRINCIPAL, 'r')?.state.kind).toBe('loading')
})

test('a model that loads is not waited for while another may answer', async () => {
  const loading = new FakeModel({ name: 'a', state: { kind: 'loading', loadedBytes: 1, totalBytes: 2 } })
  const routes = [route('r', 'a', { fallbacks: [{ model: 'b', on: ['loading'] }] })]
  const models = directoryOf(loading, new FakeModel({ name: 'b', script: say('b') }))
  const handler = routingHandler({ models, routes, clock: new FakeClock(), random: new SeededRandom(1) })
  const call = callOf('r')
  expect(await textOf(handler.generate(call, NEVER))).toBe('b')
  expect(call.report.attempts).toEqual([{ model: 'a', error: 'model_loading' }])
  expect(loading.requests).toEqual([])
})

test('embeddings come from one model only, whatever fails', async () => {
  const a = new FakeModel({ name: 'a' })
  a.embed = async () => {
    throw new InferdError('overloaded', 'busy')
  }
  const b = new FakeModel({ name: 'b' })
  const routes = [route('r', 'a', { maxRetries: 3, fallbacks: [{ model: 'b', on: ['busy'] }] })]
  const handler = routingHandler({ models: directoryOf(a, b), routes, clock: new FakeClock(), random: new SeededRandom(1) })
  const call = { ...callOf('r'), operation: 'embeddings', request: { inputs: [] } } as never
  await expect(handler.embed(call, NEVER)).rejects.toMatchObject({ code: 'overloaded' })
  expect(b.embedRequests).toEqual([])
  expect(await handler.countTokens(LOCAL_PRINCIPAL, 'r', {} as never, NEVER)).toBe(7)
})

test.each([
  ['no model', route('r', 'a', { variants: [] }), 'either'],
  ['an unknown model', route('r', 'x'), "no model 'x'"],
  ['no weight', { ...route('r', 'a'), variants: [{ model: 'a', weight: 0 }] }, 'weight'],
  [
    'a fall in difficulty',
    {
      ...route('r', 'a'),
      variants: [],
      byDifficulty: [
        { model: 'a', maxDifficulty: 1 },
        { model: 'b', maxDifficulty: 0.5 },
      ],
    },
    'rise',
  ],
  ['a last step below 1', { ...route('r', 'a'), variants: [], byDifficulty: [{ model: 'a', maxDifficulty: 0.5 }] }, 'maxDifficulty 1'],
  ['a name twice', route('r', 'a', { aliases: ['r'] }), 'twice'],
] as const)('a route with %s is refused at the start', (_what, definition, words) => {
  expect(() => new RouteTable([definition], (name) => name !== 'x')).toThrow(words)
})
