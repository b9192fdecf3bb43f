import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { EndpointConfig, RolloutPlan } from '#contract/deployment'
import type { ErrorRecord } from '#contract/errors'
import { advanceEndpoint, beginRollout, type EndpointSight, type UnitSight } from './advance-endpoint.ts'
import { type EndpointDocument, makeGeneration, statusOf, unitsOf, wantedRoutes, wantedUnits } from './endpoint-document.ts'

const UP: UnitSight = { isUp: true, problem: null }
const BROKEN: ErrorRecord = { code: 'insufficient_memory', message: 'no room', param: null, retryAfterMs: null }
const PLAN: RolloutPlan = { kind: 'linear', stepPercent: 30, waitMs: 10, bakeMs: 50, maxDurationMs: 1000, alarms: [] }

function config(name: string, weights: readonly number[]): EndpointConfig {
  const variants = weights.map((weight, index) => ({ name: `v${index}`, model: 'm', weight, replicas: 1, serverless: null }))
  return { name, variants, shadows: [], request: {}, createdMs: 0 }
}

function generation(number: number, weights: readonly number[] = [1]): ReturnType<typeof makeGeneration> {
  return makeGeneration(number, config(`c${number}`, weights), () => ({ source: { kind: 'served', model: 'm' }, kvCacheMib: null }))
}

function updating(plan: RolloutPlan, weights: readonly number[] = [1]): EndpointDocument {
  return {
    isWanted: true,
    serving: generation(1, weights),
    next: generation(2, weights),
    rollout: { plan, phase: 'starting', percent: 0, startedMs: 0, steppedMs: 0 },
    lastPlan: plan,
    lastGeneration: 2,
    problem: null,
  }
}

function sight(document: EndpointDocument, nowMs: number, more: Partial<EndpointSight> = {}): EndpointSight {
  return { units: new Map(wantedUnits('e', document).map(({ unit }) => [unit, UP])), alarm: null, nowMs, sinceMs: 0, ...more }
}

/** Shares of the new generation at each change, with the time of it. */
function courseOf(start: EndpointDocument, untilMs: number): readonly string[] {
  const course: string[] = []
  let document = start
  for (let nowMs = 0; nowMs <= untilMs; nowMs++) {
    const next = advanceEndpoint('e', document, sight(document, nowMs))
    if (next !== document) course.push(`${nowMs} ${next.rollout === null ? 'served' : `${next.rollout.phase} ${next.rollout.percent}`}`)
    document = next
  }
  return course
}

test('a linear rollout moves step after step and bakes', () => {
  expect(courseOf(updating(PLAN), 200)).toEqual(['0 shifting 30', '10 shifting 60', '20 shifting 90', '30 baking 100', '80 served'])
})

test('a canary is one step and then all; all at once is all', () => {
  expect(courseOf(updating({ ...PLAN, kind: 'canary', stepPercent: 10 }), 200)).toEqual(['0 shifting 10', '10 baking 100', '60 served'])
  expect(courseOf(updating({ ...PLAN, kind: 'all-at-once', stepPercent: 100 }), 200)).toEqual(['0 baking 100', '50 served'])
})

test('nothing moves before every unit of the new generation is up', () => {
  const document = updating(PLAN, [1, 1])
  const units = new Map<string, UnitSight>([
    ['e/v0@2', UP],
    ['e/v1@2', { isUp: false, problem: null }],
  ])
  expect(advanceEndpoint('e', document, sight(document, 5, { units }))).toBe(document)
})

test('an alarm gives all calls back at once, and the endpoint serves as before when the new units are gone', () => {
  let document = advanceEndpoint('e', updating(PLAN), sight(updating(PLAN), 0))
  expect(document.rollout?.percent).toBe(30)
  document = advanceEndpoint('e', document, sight(document, 1, { alarm: 'slow' }))
  expect(statusOf(document)).toBe('RollingBack')
  expect(document.problem?.message).toBe('slow')
  expect(wantedUnits('e', document).map(({ unit }) => unit)).toEqual(['e/v0@1'])
  expect(wantedRoutes('e', document)[0]?.variants).toEqual([{ model: 'e/v0@1', weight: 100 }])
  const stillThere = new Map([...sight(document, 2).units, ...unitsOf('e', document.next!).map(({ unit }) => [unit, UP] as const)])
  expect(advanceEndpoint('e', document, sight(document, 2, { units: stillThere }))).toBe(document)
  document = advanceEndpoint('e', document, sight(document, 3))
  expect(statusOf(document)).toBe('InService')
  expect(document.next).toBeNull()
  expect(document.problem?.message).toBe('slow')
})

test('an alarm does not count before the new units have had calls', () => {
  const document = updating(PLAN)
  const units = new Map([['e/v0@2', { isUp: false, problem: null }]])
  expect(advanceEndpoint('e', document, sight(document, 1, { alarm: 'slow', units }))).toBe(document)
})

test('a rollout that takes too long, or whose unit cannot start, is rolled back with the reason', () => {
  const document = updating(PLAN)
  const waiting = new Map([['e/v0@2', { isUp: false, problem: null }]])
  expect(advanceEndpoint('e', document, sight(document, 1001, { units: waiting })).problem?.code).toBe('deadline_exceeded')
  const failed = new Map([['e/v0@2', { isUp: false, problem: BROKEN }]])
  expect(advanceEndpoint('e', document, sight(document, 1, { units: failed })).problem).toEqual(BROKEN)
})

test('a creation that cannot start ends as failed, and names nothing', () => {
  let document: EndpointDocument = { ...updating(PLAN), serving: null }
  document = advanceEndpoint('e', document, sight(document, 1, { units: new Map([['e/v0@2', { isUp: false, problem: BROKEN }]]) }))
  document = advanceEndpoint('e', document, sight(document, 2, { units: new Map() }))
  expect(statusOf(document)).toBe('Failed')
  expect(wantedRoutes('e', document)).toEqual([])
  expect(wantedUnits('e', document)).toEqual([])
})

test('the weights of both generations are shares of their percents, whatever their own sums', () => {
  const document = { ...updating(PLAN, [1, 3]), rollout: { ...updating(PLAN).rollout!, phase: 'shifting' as const, percent: 40 } }
  expect(wantedRoutes('e', document)[0]?.variants).toEqual([
    { model: 'e/v0@1', weight: 15 },
    { model: 'e/v1@1', weight: 45 },
    { model: 'e/v0@2', weight: 10 },
    { model: 'e/v1@2', weight: 30 },
  ])
})

test('after a restart a bake waits for its replicas and begins again', () => {
  let document = updating({ ...PLAN, kind: 'all-at-once', stepPercent: 100 })
  document = advanceEndpoint('e', document, sight(document, 0))
  expect(document.rollout?.phase).toBe('baking')
  expect(advanceEndpoint('e', document, sight(document, 500, { units: new Map(), sinceMs: 500 }))).toBe(document)
  expect(advanceEndpoint('e', document, sight(document, 549, { sinceMs: 500 }))).toBe(document)
  expect(advanceEndpoint('e', document, sight(document, 550, { sinceMs: 500 })).serving?.number).toBe(2)
})

function replicated(number: number, replicas: number): ReturnType<typeof makeGeneration> {
  const variants = [{ name: 'v0', model: 'm', weight: 1, replicas, serverless: null }]
  const config: EndpointConfig = { name: `c${number}`, variants, shadows: [], request: {}, createdMs: 0 }
  return makeGeneration(number, config, () => ({ source: { kind: 'served', model: 'm' }, kvCacheMib: null }))
}

/** From two configurations with so many replicas each. */
function replacing(plan: RolloutPlan, before: number, after = before): EndpointDocument {
  const next = replicated(2, after)
  return { ...updating(plan), serving: replicated(1, before), next, rollout: beginRollout(plan, next, 0) }
}

/** Replicas of old and new that are wanted at each change, and the share of the calls that the new ones get. */
function replicasOf(start: EndpointDocument, untilMs: number): readonly string[] {
  const course: string[] = []
  let document = start
  for (let nowMs = -1; nowMs <= untilMs; nowMs++) {
    const words = wantedUnits('e', document).map(({ unit, replicas }) => `${unit.slice(-1)}x${replicas}`)
    const told = `${words.join(' ')} ${Math.round(document.rollout?.percent ?? 100)}%`
    if (course.at(-1) !== told) course.push(told)
    document = advanceEndpoint('e', document, sight(document, nowMs))
  }
  return course
}

const ROLLING: RolloutPlan = { ...PLAN, kind: 'rolling', stepPercent: 50, bakeMs: 10 }

test('a rolling update starts a batch, moves its share of the calls, lets as many old replicas go, and waits before the next batch', () => {
  expect(replicasOf(replacing(ROLLING, 4), 100)).toEqual(['1x4 2x2 0%', '1x2 2x2 50%', '1x2 2x4 50%', '1x1 2x4 100%', '2x4 100%'])
  const counted = replicasOf(replacing({ ...ROLLING, stepReplicas: 1 }, 3), 100)
  expect(counted).toEqual(['1x3 2x1 0%', '1x2 2x1 33%', '1x2 2x2 33%', '1x1 2x2 67%', '1x1 2x3 67%', '1x1 2x3 100%', '2x3 100%'])
})

test('a rolling update of one replica has one batch: the new replica starts beside the old one and gets all calls', () => {
  expect(replicasOf(replacing({ ...ROLLING, stepReplicas: 1 }, 1), 100)).toEqual(['1x1 2x1 0%', '1x1 2x1 100%', '2x1 100%'])
})

test('a rolling update never has more than one batch beside what serves, and never fewer replicas than it began with', () => {
  const counts = fc.record({ replicas: fc.integer({ min: 2, max: 64 }), batch: fc.integer({ min: 1, max: 64 }) })
  fc.assert(
    fc.property(counts, ({ replicas, batch }) => {
      for (const words of replicasOf(replacing({ ...ROLLING, stepReplicas: batch }, replicas), 2000)) {
        const sum = [...words.matchAll(/x(\d+)/g)].reduce((all, [, count]) => all + Number(count), 0)
        expect(sum).toBeGreaterThanOrEqual(replicas)
        // One of the old ones stays until the end.
        expect(sum).toBeLessThanOrEqual(replicas + Math.max(1, Math.min(batch, replicas)) + 1)
      }
    }),
    { seed: 7, numRuns: 200 },
  )
})

test('a rolling update that is rolled back has all old replicas again', () => {
  let document = advanceEndpoint('e', replacing(ROLLING, 4), sight(replacing(ROLLING, 4), 0))
  expect(wantedUnits('e', document).map(({ replicas }) => replicas)).toEqual([2, 2])
  document = advanceEndpoint('e', document, sight(document, 1, { alarm: 'slow' }))
  expect(wantedUnits('e', document)).toMatchObject([{ unit: 'e/v0@1', replicas: 4 }])
})

test.each([
  ['canary', 1, 4, ['0 shifting 25', '10 baking 100', '60 served']],
  ['canary', 1, 1, ['0 baking 100', '50 served']],
  ['linear', 1, 3, ['0 shifting 33', '10 shifting 67', '20 baking 100', '70 served']],
  ['linear', 9, 3, ['0 baking 100', '50 served']],
] as const)('%s steps of %i replicas of %i are their share of the calls', (kind, stepReplicas, replicas, course) => {
  const rounded = courseOf(replacing({ ...PLAN, kind, stepReplicas }, replicas), 200).map((words) =>
    words.replace(/[\d.]+$/, (percent) => String(Math.round(Number(percent)))),
  )
  expect(rounded).toEqual(course)
})
