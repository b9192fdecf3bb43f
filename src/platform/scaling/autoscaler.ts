/** Looks at every target each second: measures, runs what is scheduled, and has the number of replicas changed where `decideCapacity` says so. */
import type { Clock } from '#base/clock'
import type { DeploymentDesk, EndpointVariant } from '#contract/deployment'
import { toErrorRecord } from '#contract/errors'
import type { MetricAlarm, ScalableTarget, ScalingPolicy, ScheduledAction } from '#contract/scaling'
import type { FleetUnit } from '#platform/deployments/fleet'
import type { Log } from '#telemetry/log'
import { isDue } from '#contract/schedule'
import { type CapacityDecision, type CapacityHistory, type CapacitySample, decideCapacity } from './decide-capacity.ts'
import { readAlarm } from './read-alarm.ts'
import type { ScalingState, StoredScaling } from './scaling-desk.ts'

export interface AutoscalerParts {
  readonly desk: StoredScaling
  readonly deployments: DeploymentDesk
  readonly find: (unit: string) => Pick<FleetUnit, 'measure'> | null
  /** p95 in ms over the window; null = no call. */
  readonly queueWaitMs: (unit: string, windowMs: number) => number | null
  /** Asynchronous invocations that wait, by endpoint. */
  readonly backlogs: () => Promise<ReadonlyMap<string, number>>
  readonly watch: ScalingWatch
  readonly clock: Clock
  readonly log: Log
}

/** Told what is done, for metrics. */
export interface ScalingWatch {
  /** The targets of this look, with what their variants have. */
  onLook(targets: readonly { readonly target: ScalableTarget; readonly variant: EndpointVariant | null }[]): void
  onDecision(target: Pick<ScalableTarget, 'endpoint' | 'variant'>, kind: CapacityDecision['kind'] | 'schedule', outcome: ScalingOutcome): void
}

export type ScalingOutcome = 'out' | 'in' | 'bounds' | 'refused'

const TICK_MS = 1_000
const MEASURE_MS = 900
const QUEUE_WINDOW_MS = 10_000
/** Alarms look further back. */
const KEPT_MS = 310_000
/** After a change that there was no room for. */
const REST_MS = 60_000
const NEVER: ScalingState = { outMs: null, outBase: 0, inMs: null }

interface Watched {
  samples: CapacitySample[]
  restUntilMs: number
}

/** What one look knows of all targets. */
interface Sight {
  readonly policies: readonly ScalingPolicy[]
  readonly alarms: readonly MetricAlarm[]
  readonly states: ReadonlyMap<string, ScalingState>
  readonly backlogs: ReadonlyMap<string, number>
}

export class Autoscaler {
  private readonly parts: AutoscalerParts
  private readonly watched = new Map<string, Watched>()
  private readonly closing = new AbortController()
  private running: Promise<void> = Promise.resolve()
  private lookedMs: number

  constructor(parts: AutoscalerParts) {
    this.parts = parts
    this.lookedMs = parts.clock.wallMs()
  }

  /** What is scheduled counts from `sinceMs` on, epoch milliseconds. */
  start(sinceMs: number = this.parts.clock.wallMs()): void {
    this.lookedMs = sinceMs
    this.running = this.run()
  }

  async close(): Promise<void> {
    this.closing.abort()
    await this.running
    // Another server may look at them from now on.
    this.parts.watch.onLook([])
  }

  private async run(): Promise<void> {
    const { signal } = this.closing
    while (!signal.aborted) {
      await this.parts.clock.sleep(TICK_MS, signal).catch(() => {})
      if (!signal.aborted)
        await this.look().catch((err: unknown) => this.parts.log.error({ err }, 'targets could not be scaled; the next try follows'))
    }
  }

  /** What goes wrong with one action or one target holds no other up. */
  private async look(): Promise<void> {
    const { desk, clock } = this.parts
    const [beforeMs, nowMs] = [this.lookedMs, clock.wallMs()]
    this.lookedMs = nowMs
    for (const action of await desk.listSchedules()) if (isDue(action, beforeMs, nowMs)) await this.apart(action, () => this.runAction(action))
    const targets = await desk.listTargets()
    const names = new Set(targets.map(nameOf))
    for (const name of this.watched.keys()) if (!names.has(name)) this.watched.delete(name)
    const alarms = await desk.listAlarms()
    for (const alarm of alarms)
      if (!names.has(nameOf(alarm)) && alarm.state !== 'unknown')
        await desk.tellAlarm(alarm, { state: 'unknown', reason: 'its variant is not scaled' })
    const seen: { target: ScalableTarget; variant: EndpointVariant | null }[] = []
    if (targets.length > 0) {
      const sight = { policies: await desk.listPolicies(), alarms, states: await desk.states(), backlogs: await this.parts.backlogs() }
      await Promise.all(
        targets.map((target) =>
          this.apart(target, async () => {
            const variant = await this.placed(target)
            seen.push({ target, variant })
            if (variant !== null) await this.scale(target, variant, sight)
          }),
        ),
      )
    }
    this.parts.watch.onLook(seen)
  }

  private async apart({ endpoint, variant }: Pick<ScalableTarget, 'endpoint' | 'variant'>, work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (err) {
      this.parts.log.error({ endpoint, variant, err }, 'target could not be scaled; the next try follows')
    }
  }

  /** Sets the target's bounds; one that is due once is over then, whatever came of it. */
  private async runAction(action: ScheduledAction): Promise<void> {
    const { desk, watch } = this.parts
    const { endpoint, variant, name } = action
    const target = (await desk.listTargets()).find((one) => nameOf(one) === nameOf(action))
    if (target === undefined || target.isScheduleSuspended) return
    const tell = (cause: string): Promise<void> => desk.tell({ endpoint, variant, from: target.minReplicas, to: target.minReplicas, cause })
    try {
      await desk.moveBounds(target, boundsOf(action, target))
      watch.onDecision(target, 'schedule', 'bounds')
    } catch (error) {
      watch.onDecision(target, 'schedule', 'refused')
      await tell(`scheduled action ${name}; not done: ${toErrorRecord(error).message}`)
    } finally {
      if (action.schedule.kind === 'at') await desk.deleteSchedule(endpoint, variant, name)
    }
  }

  /** null = it is not there, or its endpoint changes just now. */
  private async placed({ endpoint, variant }: ScalableTarget): Promise<EndpointVariant | null> {
    const found = await this.parts.deployments.findEndpoint(endpoint)
    return found?.status === 'InService' ? (found.variants.find(({ name, isShadow }) => name === variant && !isShadow) ?? null) : null
  }

  private async scale(target: ScalableTarget, variant: EndpointVariant, { policies, alarms, states, backlogs }: Sight): Promise<void> {
    const name = nameOf(target)
    const ofTarget = alarms.filter((alarm) => nameOf(alarm) === name)
    const watched = this.watchedOf(name)
    watched.samples.push(await this.measure(variant, backlogs.get(target.endpoint) ?? 0))
    const nowMs = this.parts.clock.nowMs()
    const keptMs = Math.max(KEPT_MS, ...ofTarget.map(({ condition: { periodMs, numPeriods } }) => (numPeriods + 1) * periodMs))
    watched.samples = watched.samples.filter(({ atMs }) => atMs > nowMs - keptMs)
    const fired = await this.readAlarms(ofTarget, watched.samples, nowMs)
    if (nowMs < watched.restUntilMs) return
    const decision = decideCapacity({
      target,
      policies: policies.filter((policy) => nameOf(policy) === name),
      fired: fired.flatMap(({ name: alarm, condition, policies: started }) => started.map((policy) => ({ name: alarm, policy, condition }))),
      history: this.historyOf(watched.samples, states.get(name) ?? NEVER),
      current: variant.desiredReplicas,
      nowMs,
    })
    if (decision !== null) await this.change(target, variant, decision, states.get(name) ?? NEVER)
  }

  /** Those that start something now. What they have come to is written down where it is news. */
  private async readAlarms(alarms: readonly MetricAlarm[], samples: readonly CapacitySample[], nowMs: number): Promise<readonly MetricAlarm[]> {
    const fired: MetricAlarm[] = []
    for (const alarm of alarms) {
      const reading = readAlarm(alarm.condition, samples, nowMs, alarm.state)
      if (reading.state !== alarm.state || alarm.reason === '') await this.parts.desk.tellAlarm(alarm, reading)
      if (reading.state === 'alarm' && alarm.isEnabled) fired.push(alarm)
    }
    return fired
  }

  /** What the wall clock was told, in monotonic time; a wall clock that was put back makes nothing younger than now. */
  private historyOf(samples: readonly CapacitySample[], { outMs, outBase, inMs }: ScalingState): CapacityHistory {
    const { clock } = this.parts
    const since = (wallMs: number | null): number => (wallMs === null ? -Infinity : clock.nowMs() - Math.max(0, clock.wallMs() - wallMs))
    return { samples, lastOutMs: since(outMs), lastOutBase: outBase, lastInMs: since(inMs) }
  }

  private async change(
    target: ScalableTarget,
    placed: EndpointVariant,
    { replicas, base, kind, cause }: CapacityDecision,
    state: ScalingState,
  ): Promise<void> {
    const { deployments, desk, watch, clock, log } = this.parts
    const { endpoint, variant } = target
    const from = placed.desiredReplicas
    try {
      await deployments.changeVariants(endpoint, [{ variant, weight: null, replicas }])
    } catch (error) {
      const { code, message } = toErrorRecord(error)
      // It changes just now: the next look sees what came of it.
      if (code === 'conflict') return
      this.watchedOf(nameOf(target)).restUntilMs = clock.nowMs() + REST_MS
      watch.onDecision(target, kind, 'refused')
      await desk.tell({ endpoint, variant, from, to: from, cause: `${cause}; not changed: ${message}` })
      return
    }
    watch.onDecision(target, kind, replicas > from ? 'out' : 'in')
    log.info({ endpoint, variant, from, to: replicas, cause }, 'variant scaled')
    const nowMs = clock.wallMs()
    await desk.putState(target, replicas > from ? { ...state, outMs: nowMs, outBase: base } : { ...state, inMs: nowMs })
    await desk.tell({ endpoint, variant, from, to: replicas, cause })
  }

  private async measure({ unit, desiredReplicas }: EndpointVariant, backlog: number): Promise<CapacitySample> {
    const { find, queueWaitMs, clock } = this.parts
    const late = new AbortController()
    const load = await Promise.race([
      find(unit)?.measure(late.signal) ?? null,
      clock.sleep(MEASURE_MS, late.signal).then(
        () => null,
        () => null,
      ),
    ])
    late.abort()
    const unknown = { concurrency: null, invocations: null, 'kv-usage': null, tokens: null }
    const queueWait = queueWaitMs(unit, QUEUE_WINDOW_MS) ?? 0
    return { atMs: clock.nowMs(), replicas: desiredReplicas, values: { ...(load ?? unknown), 'queue-wait': queueWait, backlog } }
  }

  private watchedOf(name: string): Watched {
    let watched = this.watched.get(name)
    if (watched === undefined) this.watched.set(name, (watched = { samples: [], restUntilMs: -Infinity }))
    return watched
  }
}

/** A bound that is set alone takes the other one with it where they would cross. */
function boundsOf({ minReplicas, maxReplicas }: ScheduledAction, target: ScalableTarget): Pick<ScalableTarget, 'minReplicas' | 'maxReplicas'> {
  const min = minReplicas ?? Math.min(target.minReplicas, maxReplicas ?? target.minReplicas)
  return { minReplicas: min, maxReplicas: Math.max(min, maxReplicas ?? target.maxReplicas) }
}

function nameOf({ endpoint, variant }: Pick<ScalableTarget, 'endpoint' | 'variant'>): string {
  return `${endpoint}/${variant}`
}
