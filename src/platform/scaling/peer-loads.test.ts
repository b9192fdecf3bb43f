import { expect, test } from 'vitest'
import { FakeClock, settle } from '#base/fake-clock'
import type { Endpoint } from '#contract/deployment'
import type { UnitLoad } from '#platform/deployments/fleet'
import { busiestLoad, longestWait, measureLoads } from './peer-loads.ts'

function load(concurrency: number | null): UnitLoad {
  return { concurrency, invocations: 6, 'kv-usage': null, tokens: 0 }
}

test('the server of which most is asked counts, and who knows nothing does not', () => {
  const reports = [{ loads: { u: { load: load(7), queueWaitMs: 30 } } }, { loads: {} }]
  expect(busiestLoad(load(2), 'u', reports)).toEqual({ concurrency: 7, invocations: 6, 'kv-usage': null, tokens: 0 })
  expect(busiestLoad(null, 'v', reports)).toEqual({ concurrency: null, invocations: null, 'kv-usage': null, tokens: null })
  expect([longestWait(40, 'u', reports), longestWait(null, 'u', reports), longestWait(null, 'v', reports)]).toEqual([40, 30, null])
})

test('a unit that does not answer in time is left out, and holds the report up no longer', async () => {
  const clock = new FakeClock()
  const variants = ['good', 'deaf'].map((name) => ({ name, unit: `e/${name}@1`, isShadow: false }))
  const measured = measureLoads({
    targets: async () => variants.map(({ name }) => ({ endpoint: 'e', variant: name })),
    deployments: { findEndpoint: async () => ({ variants }) as unknown as Endpoint },
    find: (unit) => ({ measure: () => (unit === 'e/good@1' ? Promise.resolve(load(1)) : new Promise(() => {})) }),
    queueWaitMs: () => 5,
    clock,
  })
  await settle()
  await clock.advance(500)
  expect(await measured).toEqual({ loads: { 'e/good@1': { load: load(1), queueWaitMs: 5 } } })
})
