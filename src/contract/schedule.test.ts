import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isDue, parseSchedule } from './schedule.ts'
import type { ScheduledAction } from './scaling.ts'

const MINUTE_MS = 60_000

function action(expression: string, more: Partial<ScheduledAction> = {}): ScheduledAction {
  const timezone = more.timezone ?? 'UTC'
  return {
    name: 'a',
    endpoint: 'e',
    variant: 'v',
    expression,
    schedule: parseSchedule(expression, timezone),
    timezone,
    startMs: null,
    endMs: null,
    minReplicas: 1,
    maxReplicas: 2,
    createdMs: 0,
    ...more,
  }
}

function dueMinutes(one: ScheduledAction, from: string, numMinutes: number): readonly string[] {
  const startMs = Date.parse(from)
  const due: string[] = []
  for (let minute = 0; minute < numMinutes; minute++) {
    const atMs = startMs + minute * MINUTE_MS
    if (isDue(one, atMs - 1000, atMs + 500)) due.push(new Date(atMs).toISOString().slice(0, 16))
  }
  return due
}

test('a cron of six fields is due at its minutes, once each', () => {
  expect(dueMinutes(action('cron(0/20 8 ? * MON-FRI *)'), '2026-12-04T07:00Z', 4 * 1440)).toEqual([
    '2026-12-04T08:00',
    '2026-12-04T08:20',
    '2026-12-04T08:40',
    '2026-12-07T08:00',
    '2026-12-07T08:20',
    '2026-12-07T08:40',
  ])
  const one = action('cron(30 12 1 JAN ? 2027)')
  expect(dueMinutes(one, '2027-01-01T00:00Z', 1440)).toEqual(['2027-01-01T12:30'])
  const atMs = Date.parse('2027-01-01T12:30Z')
  expect(isDue(one, atMs + 1000, atMs + 2000)).toBe(false)
})

test('a cron whose minute passed between two looks is due at the later one', () => {
  const one = action('cron(30 12 * * ? *)')
  const atMs = Date.parse('2027-01-01T12:30Z')
  expect(isDue(one, atMs - 1000, atMs + 150_000)).toBe(true)
  expect(isDue(one, atMs + 60_000, atMs + 150_000)).toBe(false)
})

test('a cron follows the clocks of its zone, over their change', () => {
  const one = action('cron(0 3 * * ? *)', { timezone: 'Europe/Zurich' })
  expect(dueMinutes(one, '2026-10-24T00:00Z', 2 * 1440)).toEqual(['2026-10-24T01:00', '2026-10-25T02:00'])
})

test('at() is due from its time in its zone on, on both sides of a change of the clocks', () => {
  for (const [text, utc] of [
    ['2026-10-24T03:00:00', '2026-10-24T01:00Z'],
    ['2026-10-26T03:00:00', '2026-10-26T02:00Z'],
  ] as const) {
    const one = action(`at(${text})`, { timezone: 'Europe/Zurich' })
    expect(isDue(one, 0, Date.parse(utc) - 1)).toBe(false)
    expect(isDue(one, 0, Date.parse(utc))).toBe(true)
  }
})

test('rate() is due once in each of its times after it was made, and nothing is due before its start or after its end', () => {
  const one = action('rate(5 minutes)', { createdMs: 1000 })
  expect(isDue(one, 0, 1000)).toBe(false)
  expect(isDue(one, 300_000, 300_999)).toBe(false)
  expect(isDue(one, 300_000, 301_000)).toBe(true)
  expect(isDue(one, 301_000, 302_000)).toBe(false)
  expect(isDue({ ...one, startMs: 400_000 }, 300_000, 301_000)).toBe(false)
  expect(isDue({ ...one, endMs: 200_000 }, 300_000, 301_000)).toBe(false)
})

test.each([
  'cron(* * * * *)',
  'cron(* * * * * *)',
  'cron(* * ? * ? *)',
  'cron(60 * * * ? *)',
  'cron(5-1 * * * ? *)',
  'cron(*/0 * * * ? *)',
  'rate(0 minutes)',
  'rate(5)',
  'at(tomorrow)',
  'every day',
  '',
])('%s is no schedule', (text) => {
  expect(() => parseSchedule(text, 'UTC')).toThrow(expect.objectContaining({ code: 'invalid_parameter' }))
})

test('L, W and # are refused by name, and a zone that is none', () => {
  expect(() => parseSchedule('cron(0 8 L * ? *)', 'UTC')).toThrow(expect.objectContaining({ code: 'unsupported_parameter' }))
  expect(() => parseSchedule('rate(1 hour)', 'Mars/Olympus')).toThrow(expect.objectContaining({ code: 'invalid_parameter' }))
})

test('whatever text is a schedule or is refused', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.string().map((text) => `cron(${text})`),
      ),
      (text) => {
        try {
          parseSchedule(text, 'UTC')
        } catch (error) {
          expect(['invalid_parameter', 'unsupported_parameter']).toContain((error as { code: string }).code)
        }
      },
    ),
    { seed: 5, numRuns: 500 },
  )
})
