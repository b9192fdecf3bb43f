import { expect, test } from 'vitest'
import { FakeClock } from '#base/fake-clock'
import { SeededRandom } from '#base/random'
import type { GenerateRequest } from '#contract/generate'
import { LOCAL_PRINCIPAL } from '#contract/principal'
import { directoryOf, FakeModel } from '../../../tests/conformance/fake-model.ts'
import { NEVER, route, callOf, say, handlerOf, textOf } from '../../../tests/simulation/routed-call.ts'
import { RouteTable } from './route-table.ts'
import { routingHandler } from './routing-handler.ts'

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
