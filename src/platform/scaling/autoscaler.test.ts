import { afterEach, expect, test } from 'vitest'
import { FakeClock, settle } from '#base/fake-clock'
import type { DeploymentDesk, Endpoint, EndpointVariant } from '#contract/deployment'
import { InferdError } from '#contract/errors'
import type { CapacityBounds, MetricAlarm, ScalableTarget, ScalingPolicy, ScheduledAction } from '#contract/scaling'
import type { FleetUnit, UnitLoad } from '#platform/deployments/fleet'
import { createLog } from '#telemetry/log'
import { Autoscaler } from './autoscaler.ts'
import type { ScalingState, StoredScaling } from './scaling-desk.ts'

const RULE = {
  kind: 'target-tracking',
  metric: 'concurrency',
  target: 2,
  scaleInCooldownMs: 10_000,
  scaleOutCooldownMs: 0,
  isScaleInDisabled: false,
} as const

const ALARM: MetricAlarm = {
  name: 'a',
  endpoint: 'e',
  variant: 'v',
  condition: {
    metric: 'concurrency',
    of: 'variant',
    statistic: 'average',
    operator: 'above',
    threshold: 2,
    periodMs: 10_000,
    numPeriods: 1,
    numBreaching: 1,
    missing: 'missing',
  },
  policies: ['p'],
  isEnabled: true,
  request: {},
  state: 'unknown',
  reason: '',
  stateSinceMs: 0,
  createdMs: 0,
  modifiedMs: 0,
}

/** Endpoints of one variant each, with the load that the test says. */
class Scene {
  readonly clock = new FakeClock()
  readonly targets: ScalableTarget[] = []
  readonly policies: ScalingPolicy[] = []
  schedules: ScheduledAction[] = []
  readonly told: string[] = []
  readonly decisions: string[] = []
  looked: readonly (number | null)[] = []
  alarms: MetricAlarm[] = []
  states = new Map<string, ScalingState>()
  readonly replicas = new Map<string, number>()
  concurrency = 0
  isFull = false
  hangs: string | null = null
  private readonly scaler: Autoscaler

  constructor() {
    this.scaler = new Autoscaler({
      desk: this.desk(),
      deployments: this.deployments(),
      find: (unit) => ({ measure: () => this.load(unit) }) as unknown as FleetUnit,
      queueWaitMs: () => null,
      backlogs: async () => new Map(),
      watch: {
        onLook: (targets) => void (this.looked = targets.map(({ variant }) => variant?.desiredReplicas ?? null)),
        onDecision: (_target, kind, outcome) => void this.decisions.push(`${kind} ${outcome}`),
      },
      clock: this.clock,
      log: createLog('silent'),
    })
    this.scaler.start()
  }

  add(endpoint: string, bounds: Partial<ScalableTarget> = {}): void {
    const flags = { isScaleInSuspended: false, isScaleOutSuspended: false, isScheduleSuspended: false, createdMs: 0 }
    const setBounds = { minReplicas: 1, maxReplicas: 4 }
    this.targets.push({ endpoint, variant: 'v', ...setBounds, setBounds, ...flags, ...bounds })
    this.policies.push({ name: 'p', endpoint, variant: 'v', rule: RULE, request: null, createdMs: 0 })
    this.replicas.set(endpoint, 1)
  }

  schedule(endpoint: string, more: Partial<ScheduledAction> = {}): void {
    const schedule = { kind: 'at', atMs: this.clock.wallMs() } as const
    const base = {
      name: 's',
      endpoint,
      variant: 'v',
      expression: '',
      schedule,
      timezone: 'UTC',
      startMs: null,
      endMs: null,
      minReplicas: null,
      maxReplicas: null,
    }
    this.schedules.push({ ...base, createdMs: 0, ...more })
  }

  async seconds(count: number): Promise<void> {
    for (let second = 0; second < count; second++) {
      await this.clock.advance(1000)
      await settle()
    }
  }

  async close(): Promise<void> {
    await Promise.all([this.scaler.close(), this.clock.advance(2000)])
  }

  private async load(unit: string): Promise<UnitLoad> {
    if (unit === this.hangs) await new Promise(() => {})
    return { concurrency: this.concurrency, invocations: 0, 'kv-usage': 0, tokens: 0 }
  }

  private desk(): StoredScaling {
    const moveBounds = async (target: ScalableTarget, bounds: CapacityBounds): Promise<void> => {
      if (!this.replicas.has(target.endpoint) || bounds.maxReplicas > 64) throw new InferdError('invalid_parameter', 'it cannot be')
      const index = this.targets.findIndex(({ endpoint }) => endpoint === target.endpoint)
      this.targets[index] = { ...target, ...bounds }
    }
    return {
      listTargets: async () => [...this.targets],
      listPolicies: async () => [...this.policies],
      listSchedules: async () => [...this.schedules],
      listAlarms: async () => [...this.alarms],
      tellAlarm: async ({ name }: MetricAlarm, reading: Pick<MetricAlarm, 'state' | 'reason'>) => {
        this.alarms = this.alarms.map((alarm) => (alarm.name === name ? { ...alarm, ...reading } : alarm))
      },
      states: async () => this.states,
      putState: async ({ endpoint, variant }: ScalableTarget, state: ScalingState) => void this.states.set(`${endpoint}/${variant}`, state),
      moveBounds,
      deleteSchedule: async (endpoint: string) => {
        this.schedules = this.schedules.filter((one) => one.endpoint !== endpoint)
      },
      tell: async ({ endpoint, from, to, cause }: { endpoint: string; from: number; to: number; cause: string }) =>
        this.told.push(`${endpoint} ${from} -> ${to}: ${cause}`),
    } as unknown as StoredScaling
  }

  private deployments(): DeploymentDesk {
    const endpointOf = (name: string): Endpoint | null => {
      const desiredReplicas = this.replicas.get(name)
      const variants = [{ name: 'v', unit: name, desiredReplicas } as EndpointVariant]
      return desiredReplicas === undefined ? null : ({ name, status: 'InService', variants } as unknown as Endpoint)
    }
    const changeVariants = async (name: string, [change]: readonly { readonly replicas: number | null }[]): Promise<void> => {
      if (this.isFull) throw new InferdError('insufficient_memory', 'no room')
      this.replicas.set(name, change!.replicas!)
    }
    return { findEndpoint: async (name: string) => endpointOf(name), changeVariants } as unknown as DeploymentDesk
  }
}

let scene = new Scene()
afterEach(async () => {
  await scene.close()
  scene = new Scene()
})

test('load brings replicas and its end takes them away', async () => {
  scene.add('e')
  scene.concurrency = 6
  await scene.seconds(5)
  expect(scene.replicas.get('e')).toBe(3)
  scene.concurrency = 0
  await scene.seconds(40)
  expect(scene.replicas.get('e')).toBe(1)
  expect(scene.told.at(0)).toMatch(/^e 1 -> 3: policy p: concurrency is 6/)
})

test('an action that cannot be done is told once and is over, and every other target is scaled on', async () => {
  scene.add('e')
  scene.add('gone')
  scene.replicas.delete('gone')
  scene.schedule('gone', { minReplicas: 2 })
  scene.concurrency = 6
  await scene.seconds(5)
  expect(scene.replicas.get('e')).toBe(3)
  expect([scene.schedules.length, scene.told.filter((words) => words.startsWith('gone'))]).toEqual([
    0,
    ['gone 1 -> 1: scheduled action s; not done: it cannot be'],
  ])
})

test('a target that does not answer holds no other up', async () => {
  scene.add('stuck')
  scene.add('e')
  scene.hangs = 'stuck'
  scene.concurrency = 6
  await scene.seconds(6)
  expect([scene.replicas.get('e'), scene.replicas.get('stuck')]).toEqual([3, 1])
})

test('what there is no room for is told, and tried again after a minute', async () => {
  scene.add('e')
  scene.isFull = true
  scene.concurrency = 6
  await scene.seconds(50)
  expect(scene.told).toEqual([expect.stringMatching(/^e 1 -> 1: policy p: .*; not changed: no room$/)])
  scene.isFull = false
  await scene.seconds(20)
  expect(scene.replicas.get('e')).toBe(3)
})

test.each([
  [{ minReplicas: 5 }, [5, 5]],
  [{ maxReplicas: 2 }, [2, 2]],
  [{ minReplicas: 2, maxReplicas: 6 }, [2, 6]],
  [{ maxReplicas: 9 }, [3, 9]],
])('an action of %j sets the bounds 3 to 4 to %j', async (change, [min, max]) => {
  scene.add('e', { minReplicas: 3 })
  scene.schedule('e', change)
  await scene.seconds(2)
  expect(scene.targets[0]).toMatchObject({ minReplicas: min, maxReplicas: max })
})

test('a cooldown that began before the server was started is waited for', async () => {
  scene.add('e')
  scene.policies[0] = { ...scene.policies[0]!, rule: { ...RULE, scaleOutCooldownMs: 20_000 } }
  scene.states.set('e/v', { outMs: scene.clock.wallMs() - 5000, outBase: 1, inMs: null })
  scene.concurrency = 6
  await scene.seconds(13)
  expect(scene.replicas.get('e')).toBe(1)
  await scene.seconds(5)
  expect(scene.replicas.get('e')).toBe(3)
  expect(scene.states.get('e/v')).toMatchObject({ outBase: 1, inMs: null })
})

test('an alarm that goes on starts its policy and is written down once; one that may not act starts nothing', async () => {
  scene.add('e')
  const steps = [{ lower: 0, upper: null, adjustment: 1 }]
  const change = { kind: 'step', trigger: null, adjustmentType: 'change', minAdjustment: 1, aggregation: 'average' } as const
  scene.policies[0] = { ...scene.policies[0]!, rule: { ...change, steps, cooldownMs: 600_000 } }
  scene.alarms = [{ ...ALARM, isEnabled: false }]
  scene.concurrency = 6
  await scene.seconds(20)
  expect([scene.alarms[0]?.state, scene.replicas.get('e')]).toEqual(['alarm', 1])
  scene.alarms = [{ ...ALARM, state: 'alarm' }]
  await scene.seconds(20)
  expect([scene.replicas.get('e'), scene.told, scene.decisions]).toEqual([
    2,
    ['e 1 -> 2: policy p: alarm a, concurrency is 6, above 2'],
    ['step out'],
  ])
  scene.concurrency = 0
  await scene.seconds(20)
  expect([scene.alarms[0]?.state, scene.looked]).toEqual(['ok', [2]])
  scene.targets.length = 0
  await scene.seconds(2)
  expect([scene.alarms[0]?.state, scene.looked]).toEqual(['unknown', []])
})
