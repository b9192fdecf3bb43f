/** Targets, policies and schedules as rows; activities in memory. */
import type { Clock } from '#base/clock'
import type { DeploymentDesk } from '#contract/deployment'
import { InferdError } from '#contract/errors'
import type { ScalableTarget, ScalingActivity, ScalingDesk, ScalingPolicy, ScheduledAction } from '#contract/scaling'
import type { ResourceKind, ResourceTable } from '#platform/store/resource-rows'

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

export class StoredScaling implements ScalingDesk {
  private readonly parts: StoredScalingParts
  private activities: readonly ScalingActivity[] = []
  private numActivities = 0

  constructor(parts: StoredScalingParts) {
    this.parts = parts
  }

  async putTarget(target: Omit<ScalableTarget, 'createdMs'>): Promise<ScalableTarget> {
    const { endpoint, variant, minReplicas, maxReplicas } = target
    const found = (await this.parts.deployments.findEndpoint(endpoint))?.variants.find(({ name, isShadow }) => name === variant && !isShadow)
    if (found === undefined)
      throw new InferdError('invalid_parameter', `there is no variant '${variant}' of an endpoint '${endpoint}'`, { param: 'ResourceId' })
    if (found.serverless !== null)
      throw new InferdError('unsupported_parameter', 'a serverless variant follows its calls by itself; its replicas are not scaled', {
        param: 'ResourceId',
      })
    if (minReplicas < 1 || maxReplicas > MAX_REPLICAS || minReplicas > maxReplicas)
      throw new InferdError('invalid_parameter', `a variant has 1 to ${MAX_REPLICAS} replicas, and at least as many at most as at least`, {
        param: 'MinCapacity',
      })
    return this.put('scalable-target', targetName(target), target)
  }

  async deleteTarget(endpoint: string, variant: string): Promise<void> {
    const place = { endpoint, variant }
    const isThere = await this.parts.table.alone('scaling', async (step) => {
      for (const kind of ['scaling-policy', 'scheduled-action'] as const)
        for (const { name } of await step.list(kind)) if (name.startsWith(`${targetName(place)}/`)) await step.remove(kind, name)
      return step.remove('scalable-target', targetName(place))
    })
    if (!isThere) throw missing('target', targetName(place))
  }

  listTargets(): Promise<readonly ScalableTarget[]> {
    return this.list('scalable-target')
  }

  async putPolicy(policy: Omit<ScalingPolicy, 'createdMs'>): Promise<ScalingPolicy> {
    await this.requireTarget(policy)
    return this.put('scaling-policy', `${targetName(policy)}/${policy.name}`, policy)
  }

  async deletePolicy(endpoint: string, variant: string, name: string): Promise<void> {
    if (!(await this.remove('scaling-policy', { endpoint, variant }, name))) throw missing('policy', name)
  }

  listPolicies(): Promise<readonly ScalingPolicy[]> {
    return this.list('scaling-policy')
  }

  async putSchedule(action: Omit<ScheduledAction, 'createdMs'>): Promise<ScheduledAction> {
    await this.requireTarget(action)
    const bounds = [action.minReplicas, action.maxReplicas].filter((bound) => bound !== null)
    if (bounds.some((bound) => bound < 1 || bound > MAX_REPLICAS) || bounds.toSorted((a, b) => a - b)[0] !== bounds[0])
      throw new InferdError('invalid_parameter', `a variant has 1 to ${MAX_REPLICAS} replicas, and no more at least than at most`, {
        param: 'ScalableTargetAction',
      })
    return this.put('scheduled-action', `${targetName(action)}/${action.name}`, action)
  }

  async deleteSchedule(endpoint: string, variant: string, name: string): Promise<void> {
    if (!(await this.remove('scheduled-action', { endpoint, variant }, name))) throw missing('scheduled action', name)
  }

  listSchedules(): Promise<readonly ScheduledAction[]> {
    return this.list('scheduled-action')
  }

  async listActivities(): Promise<readonly ScalingActivity[]> {
    return this.activities
  }

  /** Kept in memory, the newest of them. */
  tell(activity: Omit<ScalingActivity, 'id' | 'atMs'>): void {
    const id = `activity-${++this.numActivities}`
    this.activities = [{ ...activity, id, atMs: this.parts.clock.wallMs() }, ...this.activities].slice(0, MAX_ACTIVITIES)
  }

  private async requireTarget(place: Placed): Promise<void> {
    if ((await this.parts.table.find('scalable-target', targetName(place))) === null) throw missing('target', targetName(place))
  }

  /** New, or in the place of what has the name. */
  private put<T extends { readonly createdMs: number }>(kind: ResourceKind, name: string, kept: Omit<T, 'createdMs'>): Promise<T> {
    const nowMs = this.parts.clock.wallMs()
    const document = JSON.stringify(kept)
    return this.parts.table.alone('scaling', async (step) => {
      const before = await step.find(kind, name)
      if (before !== null) {
        await step.change(before, document, nowMs)
        return { ...kept, createdMs: Number(before.created_ms) } as unknown as T
      }
      const all = await step.list(kind)
      const ofTarget = all.filter((row) => row.name.startsWith(`${name.slice(0, name.lastIndexOf('/'))}/`))
      if (all.length >= MAX_OF_KIND || (kind !== 'scalable-target' && ofTarget.length >= MAX_POLICIES))
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

function missing(kind: string, name: string): InferdError {
  return new InferdError('resource_not_found', `there is no ${kind} '${name}'`)
}
