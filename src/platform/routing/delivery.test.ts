import { expect, test } from 'vitest'
import { FakeClock } from '#base/fake-clock'
import { SeededRandom } from '#base/random'
import { DEFAULT_CALL_OPTIONS, newCallReport, type OnlineCall } from '#contract/call'
import { PLAIN_OUTPUT, PLAIN_REQUEST } from '#contract/generate'
import { LOCAL_PRINCIPAL } from '#contract/principal'
import { directoryOf, FakeModel } from '../../../tests/conformance/fake-model.ts'
import type { RouteDefinition } from './route-definition.ts'
import { ROUTE_DEFAULTS } from './route-table.ts'
import { routingHandler } from './routing-handler.ts'

function callOf(isBuffered: boolean): OnlineCall {
  const request = { ...PLAIN_REQUEST, requestId: 'r', input: { kind: 'text', text: 'hi' }, output: PLAIN_OUTPUT } as OnlineCall['request']
  const caller = {
    requestId: 'r',
    principal: LOCAL_PRINCIPAL,
    dialect: 'openai',
    options: DEFAULT_CALL_OPTIONS,
    arrivedMs: 0,
    report: newCallReport(),
  }
  return { ...caller, model: 'route', operation: 'chat', request, isBuffered }
}

async function deliveryOf(route: Partial<RouteDefinition>, isBuffered: boolean): Promise<string | undefined> {
  const model = new FakeModel({ name: 'a' })
  const routes = [{ ...ROUTE_DEFAULTS, name: 'route', variants: [{ model: 'a', weight: 1 }], ...route }]
  const handler = routingHandler({ models: directoryOf(model), routes, clock: new FakeClock(), random: new SeededRandom(1) })
  for await (const event of handler.generate(callOf(isBuffered), new AbortController().signal)) void event
  return model.deliveries.at(-1)
}

test('a caller that wants a whole answer gets one, through plain routes and those that try again', async () => {
  for (const route of [{}, { maxRetries: 2 }]) {
    expect(await deliveryOf(route, true)).toBe('whole')
    expect(await deliveryOf(route, false)).toBe('stream')
  }
})

test('a route that watches for the first piece asks for streams always', async () => {
  for (const route of [{ firstPieceTimeoutMs: 1000 }, { hedge: { quantile: 0.9, minDelayMs: 10 } }])
    for (const isBuffered of [true, false]) expect(await deliveryOf(route, isBuffered)).toBe('stream')
})
