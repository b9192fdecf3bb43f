import { expect, test } from 'vitest'
import type { AlarmCondition } from '#contract/scaling'
import type { CapacitySample } from './decide-capacity.ts'
import { periodValue, readAlarm } from './read-alarm.ts'

const CONDITION: AlarmCondition = {
  metric: 'concurrency',
  of: 'replica',
  statistic: 'average',
  operator: 'above',
  threshold: 4,
  periodMs: 10_000,
  numPeriods: 3,
  numBreaching: 2,
  missing: 'missing',
}

/** One value for each period of ten seconds, of two replicas each, oldest first; null = nothing is known. The last one ends at the end. */
function samplesOf(...periods: readonly (number | null)[]): CapacitySample[] {
  const unknown = { invocations: null, 'queue-wait': null, 'kv-usage': null, tokens: null, backlog: null }
  const values = [0, ...periods.flatMap((value) => Array.from({ length: 10 }, () => value))]
  return values.map((value, second) => ({
    atMs: second * 1000,
    replicas: 2,
    values: { ...unknown, concurrency: value === null ? null : value * 2, 'queue-wait': value, invocations: value === null ? null : value * 2 },
  }))
}

function stateOf(periods: readonly (number | null)[], more: Partial<AlarmCondition> = {}): string {
  return readAlarm({ ...CONDITION, ...more }, samplesOf(...periods), periods.length * 10_000, 'ok').state
}

test('so many of the last periods must be past the threshold', () => {
  expect(stateOf([9, 9, 1, 1])).toBe('ok')
  expect(stateOf([1, 9, 1, 9])).toBe('alarm')
  expect(stateOf([4, 4, 4])).toBe('ok')
  expect(stateOf([4, 4, 4], { operator: 'at-or-above' })).toBe('alarm')
  expect(stateOf([4, 4, 4], { operator: 'below' })).toBe('ok')
  expect(stateOf([4, 4, 4], { operator: 'at-or-below' })).toBe('alarm')
})

test.each([
  ['missing', [null, null, null], 'unknown'],
  ['missing', [null, null, 9], 'alarm'],
  ['missing', [null, 1, 9], 'ok'],
  ['breaching', [null, null, 1], 'alarm'],
  ['breaching', [null, 1, 1], 'ok'],
  ['not-breaching', [null, null, 9], 'ok'],
  ['not-breaching', [null, null, null], 'ok'],
  ['ignore', [null, null, 9], 'ok'],
  ['ignore', [null, 9, 9], 'alarm'],
] as const)('what is missing counts as %s: %j is %s', (missing, periods, state) => {
  expect(stateOf(periods, { missing })).toBe(state)
})

test('missing data that is ignored leaves an alarm on', () => {
  const samples = samplesOf(null, null, 9)
  expect(readAlarm({ ...CONDITION, missing: 'ignore' }, samples, 30_000, 'alarm').state).toBe('alarm')
  expect(readAlarm({ ...CONDITION, missing: 'ignore' }, samplesOf(1, 1, null), 30_000, 'alarm').state).toBe('ok')
})

test('a period that was not watched from its beginning is missing', () => {
  expect(readAlarm({ ...CONDITION, numPeriods: 1, numBreaching: 1 }, samplesOf(9).slice(1), 10_000, 'ok').state).toBe('unknown')
})

test('counts are of a replica or of all, shares and waits of neither; a sum is over its period', () => {
  const samples = samplesOf(6)
  const value = (metric: AlarmCondition['metric'], of: AlarmCondition['of'], statistic: AlarmCondition['statistic'] = 'average'): unknown =>
    periodValue({ metric, of, periodMs: 10_000 }, statistic, samples, 10_000)
  expect([value('concurrency', 'replica'), value('concurrency', 'variant'), value('queue-wait', 'replica')]).toEqual([6, 12, 6])
  expect(value('invocations', 'replica', 'sum')).toBe(1)
  expect(periodValue(CONDITION, 'maximum', samplesOf(1, 5).slice(3), 15_000)).toBe(5)
  expect(periodValue(CONDITION, 'minimum', samplesOf(1, 5).slice(3), 15_000)).toBe(1)
})

test('what waits where there is no replica is told apart from what waits for one', () => {
  const at = (replicas: number, backlog: number): unknown => {
    const samples = samplesOf(0).map((sample) => ({ ...sample, replicas, values: { ...sample.values, backlog } }))
    return periodValue({ metric: 'backlog', of: 'unserved', periodMs: 10_000 }, 'average', samples, 10_000)
  }
  expect([at(0, 3), at(0, 0), at(1, 3)]).toEqual([1, 0, 0])
})
