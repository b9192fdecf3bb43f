/** Routes that come and go while calls run, and the copies that shadows get. */
import { expect, test } from 'vitest'
import { FakeClock, settle } from '#base/fake-clock'
import { SeededRandom } from '#base/random'
import { InferdError } from '#contract/errors'
import { LOCAL_PRINCIPAL } from '#contract/principal'
import { directoryOf, FakeModel, type Script } from '../../../tests/conformance/fake-model.ts'
import { callOf, fails, handlerOf, NEVER, route, say, textOf } from '../../../tests/simulation/routed-call.ts'
import { routingHandler, type RoutingHandler } from './routing-handler.ts'
import { ShadowCalls, type ShadowResult } from './shadow-calls.ts'

test('a name that is put answers at once, is replaced at once, and is gone when it is removed', async () => {
  const handler = handlerOf({ a: say('a'), b: say('b') }, [])
  expect(() => handler.generate(callOf('e'), NEVER)).toThrow('does not exist')
  handler.putRoute(route('e', 'a'))
  expect(await textOf(handler.generate(callOf('e'), NEVER))).toBe('a')
  handler.putRoute(route('e', 'b'))
  expect(await textOf(handler.generate(callOf('e'), NEVER))).toBe('b')
  expect(handler.list(LOCAL_PRINCIPAL).map(({ name }) => name)).toEqual(['a', 'b', 'e'])
  handler.removeRoute('e')
  expect(() => handler.generate(callOf('e'), NEVER)).toThrow('does not exist')
})

test('a name of a model, or of a route that was there from the start, is never taken', () => {
  const handler = handlerOf({ a: say('a'), b: say('b') }, [route('fixed', 'a', { aliases: ['also'] })])
  for (const name of ['a', 'fixed', 'also']) {
    expect(handler.isFreeName(name)).toBe(false)
    expect(() => handler.putRoute(route(name, 'b'))).toThrow(expect.objectContaining({ code: 'conflict' }))
    handler.removeRoute(name)
  }
  expect(handler.find(LOCAL_PRINCIPAL, 'fixed')?.name).toBe('fixed')
  handler.putRoute(route('e', 'a'))
  expect(handler.isFreeName('e')).toBe(true)
  expect(() => handler.putRoute(route('e', 'nowhere'))).toThrow("there is no model 'nowhere'")
})

test('a model that is hidden is reached by a route and by no caller', async () => {
  const hidden = new FakeModel({ name: 'e/v@1', script: say('hidden') })
  const models = { ...directoryOf(hidden), isHidden: (name: string) => name === 'e/v@1', list: () => [] }
  const handler = routingHandler({ models, routes: [], clock: new FakeClock(), random: new SeededRandom(1) })
  handler.putRoute(route('e', 'e/v@1'))
  expect(await textOf(handler.generate(callOf('e'), NEVER))).toBe('hidden')
  expect(handler.find(LOCAL_PRINCIPAL, 'e/v@1')).toBeNull()
  expect(() => handler.generate(callOf('e/v@1'), NEVER)).toThrow('does not exist')
})

interface Shadowed {
  readonly handler: RoutingHandler
  readonly shadows: ShadowCalls
  readonly results: ShadowResult[]
  readonly dropped: string[]
  readonly clock: FakeClock
}

function shadowed(script: Script, { percent = 100, maxRunning = 2 } = {}): Shadowed {
  const clock = new FakeClock()
  const results: ShadowResult[] = []
  const dropped: string[] = []
  const shadows = new ShadowCalls({
    maxRunning,
    timeoutMs: 1000,
    clock,
    onResult: (result) => results.push(result),
    onDropped: (model) => dropped.push(model),
  })
  const models = directoryOf(new FakeModel({ name: 'm', script: say('hi') }), new FakeModel({ name: 'dark', script }))
  const routes = [route('e', 'm', { shadows: [{ model: 'dark', percent }] })]
  return { handler: routingHandler({ models, routes, clock, random: new SeededRandom(3), shadows }), shadows, results, dropped, clock }
}

const hangs: Script = async function* (_request, signal) {
  await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))
}

test('a shadow gets a copy of the call; the caller gets the answer of the other and waits for nothing', async () => {
  const { handler, results } = shadowed(say('dark'))
  const call = callOf('e')
  expect(await textOf(handler.generate(call, NEVER))).toBe('hi')
  await settle()
  expect(call.report.servedBy).toBe('m')
  expect(results).toMatchObject([{ model: 'dark', error: null }])
})

test('a shadow that fails or hangs is nobody’s trouble, and ends by its own time', async () => {
  const failing = shadowed(fails('internal'))
  expect(await textOf(failing.handler.generate(callOf('e'), NEVER))).toBe('hi')
  await settle()
  expect(failing.results).toMatchObject([{ error: 'internal' }])
  const hanging = shadowed(hangs)
  expect(await textOf(hanging.handler.generate(callOf('e'), NEVER))).toBe('hi')
  await hanging.clock.advance(1001)
  expect(hanging.results).toMatchObject([{ error: 'deadline_exceeded', ttftMs: null }])
})

test('no more copies run at a time than may, the others are counted, and closing ends those that run', async () => {
  const { handler, shadows, results, dropped } = shadowed(hangs)
  for (let call = 0; call < 5; call++) await textOf(handler.generate(callOf('e'), NEVER))
  expect([shadows.numRunning, dropped]).toEqual([2, ['dark', 'dark', 'dark']])
  await shadows.close()
  expect([shadows.numRunning, results]).toEqual([0, []])
  await textOf(handler.generate(callOf('e'), NEVER))
  expect(shadows.numRunning).toBe(0)
})

test('a share of the calls is copied', async () => {
  const { handler, results } = shadowed(say('dark'), { percent: 25, maxRunning: 1000 })
  for (let call = 0; call < 400; call++) await textOf(handler.generate(callOf('e'), NEVER))
  await settle()
  expect(results.length).toBeGreaterThan(70)
  expect(results.length).toBeLessThan(130)
})

test('a call that outlives its model and its name brings back nothing of what was forgotten', async () => {
  const start = Promise.withResolvers<void>()
  const slow: Script = async function* () {
    await start.promise
    yield { type: 'response-start', promptTokens: 1, cachedTokens: 0 }
    throw new InferdError('internal', 'broken')
  }
  const known = new Map([new FakeModel({ name: 'a', script: slow }), new FakeModel({ name: 'b', script: say('b') })].map((one) => [one.name, one]))
  const models = { find: (name: string) => known.get(name) ?? null, list: () => [...known.values()] }
  const handler = routingHandler({ models, routes: [], clock: new FakeClock(), random: new SeededRandom(1) })
  handler.putRoute(route('e', 'a', { fallbacks: [{ model: 'b', on: ['failed'] }] }))
  const answer = textOf(handler.generate(callOf('e'), NEVER)).catch((error: InferdError) => error.code)
  await settle()
  handler.removeRoute('e')
  for (const name of ['a', 'b']) {
    known.delete(name)
    handler.forget(name)
  }
  start.resolve()
  expect(await answer).toBe('model_not_found')
  expect(handler.stats()).toEqual({ routes: [], targets: [] })
})
