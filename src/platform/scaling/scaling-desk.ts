/** Targets, policies, schedules, alarms, activities and when targets were changed last: rows, as all that is declared. */
import type { Clock } from '#base/clock'
import { randomId } from '#base/random'
import type { DeploymentDesk } from '#contract/deployment'
import { InferdError } from '#contract/errors'
import type {
  CapacityBounds,
  MetricAlarm,
  NewAlarm,
  NewTarget,
  ScalableTarget,
  ScalingActivity,
  ScalingDesk,
  ScalingPolicy,
  ScheduledAction,
} from '#contract/scaling'
import { OF_TARGETS, type ResourceKind, type ResourceTable } from '#platform/store/resource-rows'

export interface StoredScalingParts {
  readonly table: ResourceTable
  readonly deployments: DeploymentDesk
  readonly clock: Clock
}

/** Of one target, and of all. */
const MAX_POLICIES = 50
const MAX_OF_KIND = 2000
const MAX_ACTIVITIES = 1000
const MAX_REPLICAS = 64

type Placed = Pick<ScalableTarget, 'endpoint' | 'variant'>

/** When a target was changed last, by the wall clock: cooldowns outlive the server. */
export interface ScalingState {
  /** null = never. */
  readonly outMs: number | null
  /** Replicas before the rises that `outMs` is the last of. */
  readonly outBase: number
  readonly inMs: number | null
}

export class StoredScaling implements ScalingDesk {
  private readonly parts: StoredScalingParts

  constructor(parts: StoredScalingParts) {
    this.parts = parts
  }

  async putTarget(target: NewTarget): Promise<ScalableTarget> {
    const { endpoint, variant, minReplicas, maxReplicas } = target
    const found = (await this.parts.deployments.findEndpoint(endpoint))?.variants.find(({ name, isShadow }) => name === variant && !isShadow)
    if (found === undefined)
      throw new InferdError('invalid_parameter', `there is no variant '${variant}' of an endpoint '${endpoint}'`, { param: 'ResourceId' })
    if (found.serverless !== null)
      throw new InferdError('unsupported_parameter', 'a serverless variant follows its calls by itself; its replicas are not scaled', {
        param: 'ResourceId',
      })
    requireBounds({ minReplicas, maxReplicas }, 'MinCapacity')
    return this.put('scalable-target', targetName(target), { ...target, setBounds: { minReplicas, maxReplicas } })
  }

  /** For now: what somebody has put stays known. Throws as putTarget does. */
  async moveBounds(target: ScalableTarget, { minReplicas, maxReplicas }: CapacityBounds): Promise<void> {
    requireBounds({ minReplicas, maxReplicas }, 'MinCapacity')
    const { createdMs: _created, ...kept } = target
    await this.put('scalable-target', targetName(target), { ...kept, minReplicas, maxReplicas })
  }

  async deleteTarget(endpoint: string, variant: string): Promise<void> {
    const place = { endpoint, variant }
    const isThere = await this.parts.table.alone('scaling', async (step) => {
      for (const kind of OF_TARGETS)
        for (const { name } of await step.list(kind)) if (name.startsWith(`${targetName(place)}/`)) await step.remove(kind, name)
      await step.remove('scaling-state', targetName(place))
      return step.remove('scalable-target', targetName(place))
    })
    if (!isThere) throw missing('target', targetName(place))
  }

  /** What an earlier version kept does not say what was set: it is what it has. */
  async listTargets(): Promise<readonly ScalableTarget[]> {
    const targets = await this.list<Omit<ScalableTarget, 'setBounds'> & { readonly setBounds?: CapacityBounds }>('scalable-target')
    return targets.map(({ minReplicas, maxReplicas, ...rest }) => ({ setBounds: { minReplicas, maxReplicas }, minReplicas, maxReplicas, ...rest }))
  }

  async putPolicy(policy: Omit<ScalingPolicy, 'createdMs'>): Promise<ScalingPolicy> {
    return this.put('scaling-policy', `${targetName(policy)}/${policy.name}`, policy)
  }

  async deletePolicy(endpoint: string, variant: string, name: string): Promise<void> {
    if (!(await this.remove('scaling-policy', { endpoint, variant }, name))) throw missing('policy', name)
  }

  /** As listTargets: nor how it was asked for. */
  async listPolicies(): Promise<readonly ScalingPolicy[]> {
    const policies = await this.list<Omit<ScalingPolicy, 'request'> & { readonly request?: ScalingPolicy['request'] }>('scaling-policy')
    return policies.map((policy) => ({ request: null, ...policy }))
  }

  async putSchedule(action: Omit<ScheduledAction, 'createdMs'>): Promise<ScheduledAction> {
    requireBounds(action, 'ScalableTargetAction')
    return this.put('scheduled-action', `${targetName(action)}/${action.name}`, action)
  }

  async deleteSchedule(endpoint: string, variant: string, name: string): Promise<void> {
    if (!(await this.remove('scheduled-action', { endpoint, variant }, name))) throw missing('scheduled action', name)
  }

  listSchedules(): Promise<readonly ScheduledAction[]> {
    return this.list('scheduled-action')
  }

  async putAlarm(alarm: NewAlarm): Promise<MetricAlarm> {
    const nowMs = this.parts.clock.wallMs()
    const policies = await this.listPolicies()
    const wrong = alarm.policies.find((name) =>
      policies.every((policy) => policy.name !== name || targetName(policy) !== targetName(alarm) || policy.rule.kind !== 'step'),
    )
    if (wrong !== undefined)
      throw new InferdError('invalid_parameter', `'${wrong}' is no step policy of '${targetName(alarm)}'`, { param: 'AlarmActions' })
    return this.put<MetricAlarm>('metric-alarm', alarm.name, { ...alarm, state: 'unknown', reason: '', stateSinceMs: nowMs, modifiedMs: nowMs })
  }

  async deleteAlarms(names: readonly string[]): Promise<void> {
    await this.parts.table.alone('scaling', async (step) => {
      for (const name of names) if (!(await step.remove('metric-alarm', name))) throw missing('alarm', name)
    })
  }

  listAlarms(): Promise<readonly MetricAlarm[]> {
    return this.list('metric-alarm')
  }

  /** Nothing when it was put again or deleted meanwhile. */
  async tellAlarm(seen: MetricAlarm, { state, reason }: Pick<MetricAlarm, 'state' | 'reason'>): Promise<void> {
    const nowMs = this.parts.clock.wallMs()
    await this.parts.table.alone('scaling', async (step) => {
      const row = await step.find('metric-alarm', seen.name)
      const kept = row === null ? null : (JSON.parse(row.document) as MetricAlarm)
      if (row === null || kept?.modifiedMs !== seen.modifiedMs) return
      await step.change(row, JSON.stringify({ ...kept, state, reason, stateSinceMs: nowMs }), nowMs)
    })
  }

  async listActivities(): Promise<readonly ScalingActivity[]> {
    return (await this.list<ScalingActivity>('scaling-activity')).toReversed()
  }

  /** The newest are kept. */
  async tell(activity: Omit<ScalingActivity, 'id' | 'atMs'>): Promise<void> {
    const nowMs = this.parts.clock.wallMs()
    const id = randomId('activity')
    await this.parts.table.alone('scaling', async (step) => {
      await step.insert({ kind: 'scaling-activity', name: id, document: JSON.stringify({ ...activity, id, atMs: nowMs }) }, nowMs)
      const all = await step.list('scaling-activity')
      for (const { name } of all.slice(0, Math.max(0, all.length - MAX_ACTIVITIES))) await step.remove('scaling-activity', name)
    })
  }

  /** By `endpoint/variant`. */
  async states(): Promise<ReadonlyMap<string, ScalingState>> {
    const rows = await this.parts.table.list('scaling-state')
    return new Map(rows.map(({ name, document }) => [name, JSON.parse(document) as ScalingState]))
  }

  async putState(place: Placed, state: ScalingState): Promise<void> {
    await this.put<ScalingState & { readonly createdMs: number }>('scaling-state', targetName(place), { ...state })
  }

  /** New, or in the place of what has the name. Throws resource_not_found where its target is gone. */
  private put<T extends { readonly createdMs: number }>(kind: ResourceKind, name: string, kept: Omit<T, 'createdMs'>): Promise<T> {
    const nowMs = this.parts.clock.wallMs()
    const document = JSON.stringify(kept)
    return this.parts.table.alone('scaling', async (step) => {
      await requireOwner(step, kind, name)
      const before = await step.find(kind, name)
      if (before !== null) {
        await step.change(before, document, nowMs)
        return { ...kept, createdMs: Number(before.created_ms) } as unknown as T
      }
      const all = await step.list(kind)
      const ofTarget = all.filter((row) => row.name.startsWith(`${ownerOf(name)}/`))
      const isOwned = kind === 'scaling-policy' || kind === 'scheduled-action'
      if (all.length >= MAX_OF_KIND || (isOwned && ofTarget.length >= MAX_POLICIES))
        throw new InferdError('overloaded', `there are too many of kind ${kind} already`)
      await step.insert({ kind, name, document }, nowMs)
      return { ...kept, createdMs: nowMs } as unknown as T
    })
  }

  private remove(kind: ResourceKind, place: Placed, name: string): Promise<boolean> {
    return this.parts.table.remove(kind, `${targetName(place)}/${name}`)
  }

  private async list<T>(kind: ResourceKind): Promise<readonly T[]> {
    const rows = await this.parts.table.list(kind)
    return rows.map(({ document, created_ms: createdMs }) => ({ ...(JSON.parse(document) as object), createdMs: Number(createdMs) }) as T)
  }
}

function targetName({ endpoint, variant }: Placed): string {
  return `${endpoint}/${variant}`
}

/** Of `endpoint/variant/name`: names of policies may have slashes. */
function ownerOf(name: string): string {
  return name.split('/').slice(0, 2).join('/')
}

/** An endpoint that is deleted takes its targets along, a target its policies: none comes back after it. */
async function requireOwner(step: ResourceTable, kind: ResourceKind, name: string): Promise<void> {
  if (kind === 'metric-alarm') return
  const [endpoint = ''] = name.split('/')
  const isThere = kind === 'scalable-target' ? await step.find('endpoint', endpoint) : await step.find('scalable-target', ownerOf(name))
  if (isThere === null) throw kind === 'scalable-target' ? missing('endpoint', endpoint) : missing('target', ownerOf(name))
}

function requireBounds({ minReplicas, maxReplicas }: Pick<ScheduledAction, 'minReplicas' | 'maxReplicas'>, param: string): void {
  const [min, max] = [minReplicas ?? 0, maxReplicas ?? MAX_REPLICAS]
  if (min < 0 || max < 1 || max > MAX_REPLICAS || min > max)
    throw new InferdError('invalid_parameter', `a variant has 0 to ${MAX_REPLICAS} replicas, at most 1 or more, and at least no more than that`, {
      param,
    })
}

function missing(kind: string, name: string): InferdError {
  return new InferdError('resource_not_found', `there is no ${kind} '${name}'`)
}
