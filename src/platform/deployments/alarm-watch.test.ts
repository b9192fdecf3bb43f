import { expect, test } from 'vitest'
import { FakeClock } from '#base/fake-clock'
import type { AlarmRule } from '#contract/deployment'
import type { ErrorCode } from '#contract/errors'
import type { UsageRecord } from '#contract/usage-record'
import type { MeteredCall } from '#platform/metering/metering'
import { AlarmWatch } from './alarm-watch.ts'

const CALL = { report: { servedBy: 'e/v@2' } } as unknown as MeteredCall
const RULE: AlarmRule = { name: 'slow', metric: 'ttft_p95_ms', threshold: 100, windowMs: 1000, minSamples: 10 }

function watched(clock = new FakeClock()): AlarmWatch {
  const watch = new AlarmWatch(clock)
  watch.watch('e/v@2')
  return watch
}

function record(more: Partial<UsageRecord>): UsageRecord {
  return { ttftMs: 10, tpotMs: 1, queueMs: 3, error: null, cost: 0n, ...more } as UsageRecord
}

test('an alarm goes off above its threshold, and not with fewer calls than it needs', () => {
  const watch = watched()
  for (let call = 0; call < 9; call++) watch.onCall(record({ ttftMs: 500 }), CALL)
  expect(watch.firing([RULE], ['e/v@2'])).toBeNull()
  watch.onCall(record({ ttftMs: 500 }), CALL)
  expect(watch.firing([RULE], ['e/v@2'])).toBe("the alarm 'slow' went off: ttft_p95_ms is 500 over 10 calls, more than 100")
  expect(watch.firing([{ ...RULE, threshold: 500 }], ['e/v@2'])).toBeNull()
})

test('calls older than the window, of other units, and of units that are gone do not count', async () => {
  const clock = new FakeClock()
  const watch = watched(clock)
  for (let call = 0; call < 20; call++) watch.onCall(record({ ttftMs: 500 }), CALL)
  expect(watch.firing([RULE], ['e/other@2'])).toBeNull()
  await clock.advance(1001)
  expect(watch.firing([RULE], ['e/v@2'])).toBeNull()
  watch.forget('e/v@2')
  for (let call = 0; call < 20; call++) watch.onCall(record({ ttftMs: 500 }), CALL)
  expect(watch.firing([RULE], ['e/v@2'])).toBeNull()
})

test('what the caller did wrong is no error of the model, and a refusal is one of its own', () => {
  const watch = watched()
  const errors: readonly (ErrorCode | null)[] = ['internal', 'cancelled', 'invalid_parameter', null, null, null, null, null]
  for (const error of errors) watch.onCall(record({ error }), CALL)
  for (const code of ['overloaded', 'rate_limited'] as const) watch.onRefusal(code, CALL)
  const words = (metric: AlarmRule['metric'], threshold: number): string | null => watch.firing([{ ...RULE, metric, threshold }], ['e/v@2'])
  expect(words('error_rate', 0.09)).toContain('error_rate is 0.1')
  expect(words('error_rate', 0.1)).toBeNull()
  expect(words('refusal_rate', 0.19)).toContain('refusal_rate is 0.2')
  expect(words('refusal_rate', 0.2)).toBeNull()
})

test('the cost of a call is in dollars, and the wait in the line is a 95th percentile', () => {
  const watch = watched()
  for (let call = 1; call <= 20; call++) watch.onCall(record({ cost: 2_000_000_000n, queueMs: call }), CALL)
  expect(watch.firing([{ ...RULE, metric: 'cost_per_request', threshold: 0.001 }], ['e/v@2'])).toContain('is 0.002')
  expect(watch.queueWaitMs('e/v@2', 1000)).toBe(19)
})
