import { expect, test } from 'vitest'
import { FakeClock, settle } from '#base/fake-clock'
import { SeededRandom } from '#base/random'
import { InferdError } from '#contract/errors'
import { LOCAL_PRINCIPAL } from '#contract/principal'
import { directoryOf, FakeModel, type Script } from '../../../tests/conformance/fake-model.ts'
import { START, NEVER, fails, endsAs, hangs, route, callOf, say, handlerOf, textOf } from '../../../tests/simulation/routed-call.ts'
import { routingHandler } from './routing-handler.ts'

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
