import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { scalingFields } from './scaling-fields.ts'

function read(text: string): ReturnType<typeof scalingFields.safeParse> {
  return scalingFields.safeParse(parse(text))
}

test('steps and schedules are read; what is left out has its documented value', () => {
  const text = `
    min: 0
    max: 8
    steps:
      - { name: surge, metric: queue-wait, above: 500, changes: [{ from: 1000, by: 3 }, { from: 0, to: 1000, by: 1 }] }
      - { name: calm, metric: concurrency, below: 1, adjustment: percent, minAdjustment: 2, changes: [{ to: 0, by: -25 }] }
    schedules:
      - { name: morning, at: cron(0 8 ? * MON-FRI *), timezone: Europe/Berlin, min: 4 }
  `
  const trigger = { metric: 'queue-wait', of: 'replica', statistic: 'average', operator: 'above', threshold: 500, periodMs: 10_000 }
  expect(read(text).data).toMatchObject({
    min: 0,
    max: 8,
    tracking: null,
    steps: [
      {
        name: 'surge',
        rule: {
          trigger: { ...trigger, numPeriods: 1, numBreaching: 1, missing: 'not-breaching' },
          adjustmentType: 'change',
          cooldownMs: 60_000,
          steps: [
            { lower: 0, upper: 1000, adjustment: 1 },
            { lower: 1000, upper: null, adjustment: 3 },
          ],
        },
      },
      { name: 'calm', rule: { trigger: { operator: 'below', numPeriods: 12 }, adjustmentType: 'percent', minAdjustment: 2, cooldownMs: 300_000 } },
    ],
    schedules: [
      {
        name: 'morning',
        expression: 'cron(0 8 ? * MON-FRI *)',
        schedule: { kind: 'cron' },
        timezone: 'Europe/Berlin',
        minReplicas: 4,
        maxReplicas: null,
      },
    ],
  })
})

const STEP = '{ name: s, metric: tokens, above: 1, changes: [{ from: 0, by: 1 }] }'

test.each([
  ['max: 2', /give a metric and its target, or steps/],
  ['{ max: 2, metric: tokens }', /metric and target belong together/],
  [`{ max: 2, steps: [${STEP}], scaleInCooldownS: 5 }`, /a step has cooldownS/],
  [`{ max: 2, steps: [${STEP}, ${STEP}] }`, /have one name/],
  ['{ max: 2, steps: [{ name: s, metric: tokens, changes: [{ from: 0, by: 1 }] }] }', /either above or below/],
  ['{ max: 2, steps: [{ name: s, metric: tokens, above: 1, below: 0, changes: [{ from: 0, by: 1 }] }] }', /either above or below/],
  ['{ max: 2, steps: [{ name: s, metric: tokens, above: 1, minAdjustment: 2, changes: [{ from: 0, by: 1 }] }] }', /minAdjustment is for percent/],
  ['{ max: 2, steps: [{ name: s, metric: tokens, above: 1, windowS: 15, changes: [{ from: 0, by: 1 }] }] }', /multiple of 10/],
  ['{ max: 2, steps: [{ name: s, metric: tokens, above: 1, changes: [{ from: 0, to: 5, by: 1 }, { from: 6, by: 2 }] }] }', /a gap between 5 and 6/],
  ['{ max: 2, steps: [{ name: s, metric: tokens, above: 1, changes: [{ from: 0, to: 5, by: 1 }] }] }', /needs one above it/],
  ['{ max: 2, steps: [{ name: s, metric: tokens, above: 1, changes: [] }] }', /Too small/],
  ['{ max: 2, steps: [{ name: s, metric: cpu, above: 1, changes: [{ from: 0, by: 1 }] }] }', /Invalid option/],
  ['{ max: 2, metric: tokens, target: 1, schedules: [{ name: s, at: soon, min: 1 }] }', /must be at/],
  ['{ max: 2, metric: tokens, target: 1, schedules: [{ name: s, at: rate(1 day) }] }', /give min, max or both/],
  ['{ max: 2, metric: tokens, target: 1, schedules: [{ name: s, at: rate(1 day), timezone: Mars/Base, min: 1 }] }', /is no time zone/],
  ['{ max: 2, metric: tokens, target: 1, schedules: [{ name: s, at: rate(1 day), min: 3, max: 2 }] }', /min must not be above max/],
  ['{ max: 65, metric: tokens, target: 1 }', /Too big/],
  ['{ max: 2, metric: tokens, target: 1, stesp: [] }', /Unrecognized key/],
])('%s is refused', (text, words) => {
  expect(
    read(text)
      .error?.issues.map(({ message }) => message)
      .join('; '),
  ).toMatch(words)
})
