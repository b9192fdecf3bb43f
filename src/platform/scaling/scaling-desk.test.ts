import { expect, test } from 'vitest'
import { FakeClock } from '#base/fake-clock'
import type { DeploymentDesk } from '#contract/deployment'
import type { MetricAlarm, NewAlarm, NewTarget, StepScaling } from '#contract/scaling'
import { EndpointRows } from '#platform/deployments/endpoint-rows'
import { openStore } from '#platform/store/open-store'
import { ResourceTable } from '#platform/store/resource-rows'
import { StoredScaling } from './scaling-desk.ts'

const PLACE = { endpoint: 'e', variant: 'v' } as const
const TARGET: NewTarget = {
  ...PLACE,
  minReplicas: 1,
  maxReplicas: 4,
  isScaleInSuspended: false,
  isScaleOutSuspended: false,
  isScheduleSuspended: false,
}
const RULE: StepScaling = {
  kind: 'step',
  trigger: null,
  adjustmentType: 'change',
  minAdjustment: 1,
  steps: [{ lower: 0, upper: null, adjustment: 1 }],
  cooldownMs: 0,
  aggregation: 'average',
}
const ALARM: NewAlarm = {
  ...PLACE,
  name: 'a',
  condition: {
    metric: 'tokens',
    of: 'replica',
    statistic: 'average',
    operator: 'above',
    threshold: 1,
    periodMs: 10_000,
    numPeriods: 1,
    numBreaching: 1,
    missing: 'missing',
  },
  policies: ['p/q'],
  isEnabled: true,
  request: {},
}

async function open(): Promise<{ desk: StoredScaling; rows: EndpointRows; clock: FakeClock } & AsyncDisposable> {
  const store = await openStore({ file: null })
  const table = new ResourceTable(store.db)
  for (const name of ['e', 'ee']) await table.insert({ kind: 'endpoint', name, document: '{}' }, 0)
  const variants = [{ name: 'v', isShadow: false, serverless: null }]
  const deployments = { findEndpoint: async () => ({ variants }) } as unknown as DeploymentDesk
  const clock = new FakeClock()
  return { desk: new StoredScaling({ table, deployments, clock }), rows: new EndpointRows(table), clock, [Symbol.asyncDispose]: () => store.close() }
}

test('an endpoint that is gone takes its targets, policies, schedules and cooldowns along, and no other does', async () => {
  await using opened = await open()
  const { desk, rows } = opened
  const schedule = {
    expression: 'rate(1 day)',
    schedule: { kind: 'rate', everyMs: 86_400_000 },
    timezone: 'UTC',
    startMs: null,
    endMs: null,
  } as const
  for (const endpoint of ['e', 'ee']) {
    await desk.putTarget({ ...TARGET, endpoint })
    await desk.putPolicy({ ...PLACE, endpoint, name: 'p/q', rule: RULE, request: null })
    await desk.putSchedule({ ...PLACE, endpoint, name: 's', ...schedule, minReplicas: 0, maxReplicas: null })
    await desk.putState({ ...PLACE, endpoint }, { outMs: 1, outBase: 1, inMs: null })
  }
  await rows.remove('e')
  const left = [...(await desk.listTargets()), ...(await desk.listPolicies()), ...(await desk.listSchedules())]
  expect(left.map(({ endpoint }) => endpoint)).toEqual(['ee', 'ee', 'ee'])
  expect([...(await desk.states()).keys()]).toEqual(['ee/v'])
  await expect(desk.putTarget(TARGET)).rejects.toMatchObject({ code: 'resource_not_found' })
  await expect(desk.putPolicy({ ...PLACE, name: 'p', rule: RULE, request: null })).rejects.toMatchObject({ code: 'resource_not_found' })
  await expect(desk.putState(PLACE, { outMs: 1, outBase: 1, inMs: null })).rejects.toMatchObject({ code: 'resource_not_found' })
})

test('a schedule moves the bounds in effect, and what somebody has put stays known', async () => {
  await using opened = await open()
  const { desk } = opened
  await desk.moveBounds(await desk.putTarget(TARGET), { minReplicas: 3, maxReplicas: 6 })
  expect(await desk.listTargets()).toMatchObject([{ minReplicas: 3, maxReplicas: 6, setBounds: { minReplicas: 1, maxReplicas: 4 } }])
  await desk.putTarget({ ...TARGET, minReplicas: 0 })
  expect(await desk.listTargets()).toMatchObject([{ minReplicas: 0, maxReplicas: 4, setBounds: { minReplicas: 0, maxReplicas: 4 } }])
})

test('an alarm starts step policies of its own variant; news of one that was put again meanwhile is lost', async () => {
  await using opened = await open()
  const { desk, clock } = opened
  await desk.putTarget(TARGET)
  await expect(desk.putAlarm(ALARM)).rejects.toThrow(/'p\/q' is no step policy of 'e\/v'/)
  await desk.putPolicy({ ...PLACE, name: 'p/q', rule: RULE, request: null })
  const first = await desk.putAlarm(ALARM)
  await desk.tellAlarm(first, { state: 'alarm', reason: 'hot' })
  expect(await desk.listAlarms()).toMatchObject([{ name: 'a', state: 'alarm', reason: 'hot' }])
  await clock.advance(1000)
  await desk.putAlarm({ ...ALARM, isEnabled: false })
  await desk.tellAlarm(first as MetricAlarm, { state: 'alarm', reason: 'hot' })
  expect(await desk.listAlarms()).toMatchObject([{ isEnabled: false, state: 'unknown', reason: '' }])
  await expect(desk.deleteAlarms(['a', 'b'])).rejects.toMatchObject({ code: 'resource_not_found' })
  expect(await desk.listAlarms()).toHaveLength(1)
})

test('the newest thousand activities are kept, newest first', async () => {
  await using opened = await open()
  const { desk, clock } = opened
  for (let index = 0; index < 1003; index++) {
    await clock.advance(1)
    await desk.tell({ ...PLACE, cause: String(index), from: 1, to: 2 })
  }
  const causes = (await desk.listActivities()).map(({ cause }) => cause)
  expect([causes.length, causes[0], causes.at(-1)]).toEqual([1000, '1002', '3'])
})

test('targets and policies that an earlier version kept are read', async () => {
  const store = await openStore({ file: null })
  const table = new ResourceTable(store.db)
  await table.insert({ kind: 'scalable-target', name: 'e/v', document: JSON.stringify(TARGET) }, 5)
  await table.insert({ kind: 'scaling-policy', name: 'e/v/p', document: JSON.stringify({ ...PLACE, name: 'p', rule: RULE }) }, 5)
  const desk = new StoredScaling({ table, deployments: {} as DeploymentDesk, clock: new FakeClock() })
  expect(await desk.listTargets()).toMatchObject([{ setBounds: { minReplicas: 1, maxReplicas: 4 }, minReplicas: 1, createdMs: 5 }])
  expect(await desk.listPolicies()).toMatchObject([{ request: null, name: 'p' }])
  await store.close()
})
