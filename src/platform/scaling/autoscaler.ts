/** Looks at every target each second: measures, runs what is scheduled, and has the number of replicas changed where `decideCapacity` says so. */
import type { Clock } from '#base/clock'
import type { DeploymentDesk, EndpointVariant } from '#contract/deployment'
import { toErrorRecord } from '#contract/errors'
import type { ScalableTarget, ScalingPolicy, ScheduledAction } from '#contract/scaling'
import type { FleetUnit } from '#platform/deployments/fleet'
import type { Log } from '#telemetry/log'
import { type CapacityHistory, type CapacitySample, decideCapacity } from './decide-capacity.ts'
import { isDue } from '#contract/schedule'
import type { StoredScaling } from './scaling-desk.ts'

export interface AutoscalerParts {
  readonly desk: StoredScaling
  readonly deployments: DeploymentDesk
  readonly find: (unit: string) => FleetUnit | null
  /** p95 in ms over the window; null = no call. */
  readonly queueWaitMs: (unit: string, windowMs: number) => number | null
  /** Asynchronous invocations that wait, by endpoint. */
  readonly backlogs: () => Promise<ReadonlyMap<string, number>>
  readonly clock: Clock
  readonly log: Log
}

const TICK_MS = 1_000
const MEASURE_MS = 900
const QUEUE_WINDOW_MS = 10_000
const KEPT_MS = 310_000
/** After a change that there was no room for. */
const REST_MS = 60_000

interface Watched {
  samples: CapacitySample[]
  lastOutMs: number
  lastInMs: number
  restUntilMs: number
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

  start(): void {
    this.running = this.run()
  }

  async close(): Promise<void> {
    this.closing.abort()
    await this.running
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
    if (targets.length === 0) return
    const policies = await desk.listPolicies()
    const backlogs = await this.parts.backlogs()
    const scale = (target: ScalableTarget): Promise<void> => {
      const ofTarget = policies.filter((policy) => nameOf(policy) === nameOf(target))
      return this.apart(target, () => this.scale(target, ofTarget, backlogs))
    }
    await Promise.all(targets.map(scale))
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
    const { desk } = this.parts
    const { endpoint, variant, name } = action
    const target = (await desk.listTargets()).find((one) => nameOf(one) === nameOf(action))
    if (target === undefined || target.isScheduleSuspended) return
    const { createdMs: _created, ...kept } = target
    try {
      await desk.putTarget({ ...kept, ...boundsOf(action, target) })
    } catch (error) {
      const { message } = toErrorRecord(error)
      desk.tell({ endpoint, variant, from: target.minReplicas, to: target.minReplicas, cause: `scheduled action ${name}; not done: ${message}` })
    } finally {
      if (action.schedule.kind === 'at') await desk.deleteSchedule(endpoint, variant, name)
    }
  }

  private async scale(target: ScalableTarget, policies: readonly ScalingPolicy[], backlogs: ReadonlyMap<string, number>): Promise<void> {
    const { deployments, clock } = this.parts
    const { endpoint, variant } = target
    const found = await deployments.findEndpoint(endpoint)
    const placed = found?.status === 'InService' ? found.variants.find(({ name }) => name === variant) : undefined
    if (placed === undefined) return
    const watched = this.watchedOf(target)
    watched.samples.push(await this.measure(placed, backlogs.get(endpoint) ?? 0))
    const nowMs = clock.nowMs()
    watched.samples = watched.samples.filter(({ atMs }) => atMs > nowMs - KEPT_MS)
    if (nowMs < watched.restUntilMs) return
    const decision = decideCapacity(target, policies, watched satisfies CapacityHistory, placed.desiredReplicas, nowMs)
    if (decision !== null) await this.change(target, placed, decision)
  }

  private async change(
    target: ScalableTarget,
    placed: EndpointVariant,
    { replicas, cause }: { readonly replicas: number; readonly cause: string },
  ): Promise<void> {
    const { deployments, desk, clock, log } = this.parts
    const { endpoint, variant } = target
    const watched = this.watchedOf(target)
    const from = placed.desiredReplicas
    try {
      await deployments.changeVariants(endpoint, [{ variant, weight: null, replicas }])
    } catch (error) {
      const { code, message } = toErrorRecord(error)
      // It changes just now: the next look sees what came of it.
      if (code === 'conflict') return
      watched.restUntilMs = clock.nowMs() + REST_MS
      desk.tell({ endpoint, variant, from, to: from, cause: `${cause}; not changed: ${message}` })
      return
    }
    if (replicas > from) watched.lastOutMs = clock.nowMs()
    else watched.lastInMs = clock.nowMs()
    desk.tell({ endpoint, variant, from, to: replicas, cause })
    log.info({ endpoint, variant, from, to: replicas, cause }, 'variant scaled')
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

  private watchedOf(target: ScalableTarget): Watched {
    const name = nameOf(target)
    let watched = this.watched.get(name)
    if (watched === undefined) this.watched.set(name, (watched = { samples: [], lastOutMs: -Infinity, lastInMs: -Infinity, restUntilMs: -Infinity }))
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
