/** What a document says of scaling, planned, made in a real store, and planned again. */
import { expect, test } from 'vitest'
import { FakeClock } from '#base/fake-clock'
import type { DeclaredEndpoint, DeclaredScaling } from '#contract/declaration'
import type { DeploymentDesk, Endpoint } from '#contract/deployment'
import { parseSchedule } from '#contract/schedule'
import type { StepScaling } from '#contract/scaling'
import { StoredScaling } from '#platform/scaling/scaling-desk'
import { openStore } from '#platform/store/open-store'
import { ResourceTable } from '#platform/store/resource-rows'
import { makeScaling } from './make-scaling.ts'
import { leftScaling, type ScalingChange, scalingChanges } from './plan-scaling.ts'

const RULE: StepScaling = {
  kind: 'step',
  trigger: {
    metric: 'queue-wait',
    of: 'replica',
    statistic: 'average',
    operator: 'above',
    threshold: 500,
    periodMs: 10_000,
    numPeriods: 1,
    numBreaching: 1,
    missing: 'not-breaching',
  },
  adjustmentType: 'change',
  minAdjustment: 1,
  steps: [{ lower: 0, upper: null, adjustment: 1 }],
  cooldownMs: 60_000,
  aggregation: 'average',
}
const SCALING: DeclaredScaling = {
  min: 1,
  max: 4,
  tracking: { metric: 'tokens', target: 20, scaleInCooldownS: 60, scaleOutCooldownS: 5 },
  steps: [{ name: 'surge', rule: RULE }],
  schedules: [scheduleOf('morning', 'cron(0 8 ? * MON-FRI *)')],
}

function scheduleOf(name: string, expression: string): DeclaredScaling['schedules'][number] {
  return { name, expression, schedule: parseSchedule(expression, 'UTC'), timezone: 'UTC', minReplicas: 2, maxReplicas: null }
}

class Scene implements AsyncDisposable {
  readonly clock = new FakeClock()
  readonly desk: StoredScaling
  private readonly endpoints: readonly Endpoint[]
  private readonly close: () => Promise<void>

  private constructor(table: ResourceTable, close: () => Promise<void>) {
    this.close = close
    const variants = [{ name: 'v', isShadow: false, serverless: null }]
    this.endpoints = [{ name: 'e', config: 'c', status: 'InService', rollout: null, variants } as unknown as Endpoint]
    const deployments = { findEndpoint: async () => this.endpoints[0]! } as unknown as DeploymentDesk
    this.desk = new StoredScaling({ table, deployments, clock: this.clock })
  }

  static async open(): Promise<Scene> {
    const store = await openStore({ file: null })
    const table = new ResourceTable(store.db)
    await table.insert({ kind: 'endpoint', name: 'e', document: '{}' }, 0)
    return new Scene(table, () => store.close())
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async plan(scaling: DeclaredScaling | null, status: Endpoint['status'] = 'InService'): Promise<readonly ScalingChange[]> {
    const variant = { name: 'v', model: 'm', weight: 1, replicas: 1, serverless: null, scaling }
    const declared = { name: 'e', variants: [variant], shadows: [] } as unknown as DeclaredEndpoint
    const { desk, clock } = this
    const [targets, policies, schedules] = [await desk.listTargets(), await desk.listPolicies(), await desk.listSchedules()]
    const endpoints = this.endpoints.map((endpoint) => ({ ...endpoint, status }))
    return scalingChanges(declared, { name: 'c' }, { endpoints, targets, policies, schedules, nowMs: clock.wallMs() })
  }

  /** What was done, in words. */
  async apply(scaling: DeclaredScaling | null): Promise<readonly string[]> {
    const changes = await this.plan(scaling)
    for (const change of changes) if (change.action !== 'keep') await makeScaling(this.desk, change)
    return changes.flatMap(({ action, details }) => [action, ...details])
  }

  async names(): Promise<readonly string[]> {
    return [...(await this.desk.listPolicies()), ...(await this.desk.listSchedules())].map(({ name }) => name)
  }
}

test('a document is made once; what it says no more goes, and what differs is told by its path', async () => {
  await using scene = await Scene.open()
  expect(await scene.apply(SCALING)).toEqual(['create'])
  expect(await scene.names()).toEqual(['declared', 'declared-surge', 'declared-morning'])
  expect(await scene.apply(SCALING)).toEqual(['keep'])
  const other = { ...RULE, trigger: { ...RULE.trigger!, threshold: 900 } }
  const changed = { ...SCALING, max: 5, steps: [{ name: 'surge', rule: other }], schedules: [] }
  const [action, ...details] = await scene.apply(changed)
  expect([action, ...details.slice(0, 2)]).toEqual(['update', 'max: 4 -> 5', 'steps.surge.trigger.threshold: 500 -> 900'])
  expect(details[2]).toMatch(/^schedules\.morning: .* -> none$/)
  expect(await scene.names()).toEqual(['declared', 'declared-surge'])
  expect(await scene.apply({ ...changed, tracking: null })).toContain('metric: tokens -> none')
  expect(await scene.names()).toEqual(['declared-surge'])
  expect(await scene.apply(null)).toEqual(['delete'])
  expect([await scene.desk.listTargets(), await scene.apply(null)]).toEqual([[], []])
})

test('bounds that a schedule has moved are no difference, and stay where they are when something else changes', async () => {
  await using scene = await Scene.open()
  await scene.apply(SCALING)
  await scene.desk.moveBounds((await scene.desk.listTargets())[0]!, { minReplicas: 3, maxReplicas: 4 })
  expect(await scene.apply(SCALING)).toEqual(['keep'])
  expect(await scene.apply({ ...SCALING, steps: [] })).toContain('update')
  expect(await scene.desk.listTargets()).toMatchObject([{ minReplicas: 3 }])
  await scene.apply({ ...SCALING, min: 2 })
  expect(await scene.desk.listTargets()).toMatchObject([{ minReplicas: 2 }])
})

test('a schedule that is over is done no more', async () => {
  await using scene = await Scene.open()
  const soon = new Date(scene.clock.wallMs() + 60_000).toISOString().slice(0, 19)
  const wanted = { ...SCALING, schedules: [scheduleOf('once', `at(${soon})`)] }
  await scene.apply(wanted)
  expect(await scene.names()).toContain('declared-once')
  await scene.clock.advance(61_000)
  await scene.desk.deleteSchedule('e', 'v', 'declared-once')
  expect(await scene.apply(wanted)).toEqual(['keep'])
  expect(await scene.names()).not.toContain('declared-once')
})

test('what others gave to a variant stays, and so does its target', async () => {
  await using scene = await Scene.open()
  await scene.apply(SCALING)
  await scene.desk.putPolicy({ endpoint: 'e', variant: 'v', name: 'theirs', rule: RULE, request: null })
  expect(await scene.apply(SCALING)).toEqual(['keep'])
  expect(await scene.apply(null)).toEqual(['delete'])
  expect([await scene.names(), (await scene.desk.listTargets()).length]).toEqual([['theirs'], 1])
})

test('an endpoint that is made again is scaled again', async () => {
  await using scene = await Scene.open()
  await scene.apply(SCALING)
  expect((await scene.plan(SCALING, 'Failed')).map(({ action }) => action)).toEqual(['create'])
})

test('what documents scaled of variants that are no more goes; of others nothing', async () => {
  await using scene = await Scene.open()
  await scene.apply(SCALING)
  const { desk } = scene
  const present = { targets: await desk.listTargets(), policies: await desk.listPolicies(), schedules: await desk.listSchedules() }
  const left = leftScaling([], [], { ...present, endpoints: [], nowMs: 0 })
  expect(left).toMatchObject([{ action: 'delete', name: 'e/v', isShared: false }])
  expect(leftScaling([], [{ name: 'e' } as Endpoint], { ...present, endpoints: [], nowMs: 0 })).toEqual([])
})
