/** What is declared: models, endpoint configurations and endpoints, each a row; the controller does what they say. */
import type { Clock } from '#base/clock'
import type { AsyncTerms, DeploymentDesk, Endpoint, EndpointConfig, ModelDefinition, RolloutPlan, VariantChange } from '#contract/deployment'
import { InferdError } from '#contract/errors'
import type { ObjectStores } from '#contract/objects'
import type { ResourceKind, ResourceTable } from '#platform/store/resource-rows'
import { beginRollout } from './advance-endpoint.ts'
import type { EndpointController } from './endpoint-controller.ts'
import { type EndpointDocument, type Generation, makeGeneration, statusOf, unitName } from './endpoint-document.ts'
import { type EndpointRow, rowOf } from './endpoint-rows.ts'
import { encodeEndpoint } from './endpoint-view.ts'
import type { Fleet } from './fleet.ts'
import { retainProperties } from './retain-properties.ts'

export interface DeploymentDeskParts {
  readonly table: ResourceTable
  readonly fleet: Fleet
  readonly controller: EndpointController
  readonly alarmNames: readonly string[]
  /** Whom notifications of asynchronous invocations can go to; absent = nobody. */
  readonly topicNames?: readonly string[]
  /** Where captures are to go must be there; absent = that is not looked at. */
  readonly objects?: Pick<ObjectStores, 'locate'>
  readonly clock: Clock
}

const MAX_OF_KIND = 1000
const MAX_REPLICAS = 64
const FIRST_PLAN: RolloutPlan = { kind: 'all-at-once', stepPercent: 100, waitMs: 0, bakeMs: 0, maxDurationMs: 1_800_000, alarms: [] }

type Kept<T> = Omit<T, 'name' | 'createdMs'>

export class StoredDeployments implements DeploymentDesk {
  private readonly parts: DeploymentDeskParts

  constructor(parts: DeploymentDeskParts) {
    this.parts = parts
  }

  createModel({ name, ...kept }: Omit<ModelDefinition, 'createdMs'>): Promise<ModelDefinition> {
    return this.change(async (step) => this.insert<ModelDefinition>(step, 'model', name, kept))
  }

  deleteModel(name: string): Promise<void> {
    return this.change(async (step) => {
      const configs = await this.list<EndpointConfig>(step, 'endpoint-config')
      const user = configs.find(({ variants, shadows }) => [...variants, ...shadows].some(({ model }) => model === name))
      if (user !== undefined) throw new InferdError('conflict', `the endpoint configuration '${user.name}' names the model '${name}'`)
      if (!(await step.remove('model', name))) throw missing('model', name)
      await step.remove('tags', `model/${name}`)
    })
  }

  findModel(name: string): Promise<ModelDefinition | null> {
    return this.find<ModelDefinition>(this.parts.table, 'model', name)
  }

  listModels(): Promise<readonly ModelDefinition[]> {
    return this.list<ModelDefinition>(this.parts.table, 'model')
  }

  createConfig({ name, ...kept }: Omit<EndpointConfig, 'createdMs'>): Promise<EndpointConfig> {
    return this.change(async (step) => {
      checkVariants({ name, ...kept })
      this.checkTopics(kept.asyncInference)
      // As the beginning of a key, which no part of may be a dot or two.
      if (kept.capture !== undefined) this.parts.objects?.locate(kept.capture.team, kept.capture.uri.replace(/\/*$/, '/'))
      for (const { model } of [...kept.variants, ...kept.shadows]) if ((await step.find('model', model)) === null) throw missing('model', model)
      return this.insert<EndpointConfig>(step, 'endpoint-config', name, kept)
    })
  }

  deleteConfig(name: string): Promise<void> {
    return this.change(async (step) => {
      const users = (await step.list('endpoint')).map(rowOf)
      const user = users.find(({ document: { serving, next } }) => serving?.config === name || next?.config === name)
      if (user !== undefined) throw new InferdError('conflict', `the endpoint '${user.name}' uses the endpoint configuration '${name}'`)
      if (!(await step.remove('endpoint-config', name))) throw missing('endpoint configuration', name)
      await step.remove('tags', `endpoint-config/${name}`)
    })
  }

  findConfig(name: string): Promise<EndpointConfig | null> {
    return this.find<EndpointConfig>(this.parts.table, 'endpoint-config', name)
  }

  listConfigs(): Promise<readonly EndpointConfig[]> {
    return this.list<EndpointConfig>(this.parts.table, 'endpoint-config')
  }

  async createEndpoint(name: string, config: string): Promise<Endpoint> {
    const { fleet, clock, controller } = this.parts
    const row = await this.change(async (step) => {
      if ((await step.find('endpoint', name)) === null && !fleet.isFreeName(name))
        throw new InferdError('conflict', `the name '${name}' belongs to a model or a route of the server's configuration`)
      const document: EndpointDocument = {
        isWanted: true,
        serving: null,
        next: await this.generationOf(step, 1, config),
        rollout: { plan: FIRST_PLAN, phase: 'starting', percent: 0, startedMs: clock.wallMs(), steppedMs: clock.wallMs() },
        lastPlan: null,
        lastGeneration: 1,
        problem: null,
        firstConfig: config,
      }
      await this.requirePlace(step, 'endpoint', name)
      return rowOf(await step.insert({ kind: 'endpoint', name, document: JSON.stringify(document) }, clock.wallMs()))
    })
    controller.wake()
    return encodeEndpoint(row, fleet)
  }

  updateEndpoint(name: string, config: string, plan: RolloutPlan): Promise<Endpoint> {
    const unknown = plan.alarms.find((rule) => typeof rule === 'string' && !this.parts.alarmNames.includes(rule))
    if (unknown !== undefined) throw new InferdError('invalid_parameter', `there is no alarm '${String(unknown)}'`, { param: 'alarms' })
    return this.changeEndpoint(name, async (document, step) => {
      const serving = requireInService(name, document)
      const scaled = new Set((await step.list('scalable-target')).map((row) => row.name))
      const placed = await this.generationOf(step, document.lastGeneration + 1, config)
      const next = retainProperties(placed, { serving, retained: plan.retained, isScaled: (variant) => scaled.has(`${name}/${variant}`) })
      requireWeight(next.variants.map(({ weight }) => weight))
      const rollout = beginRollout(plan, next, this.parts.clock.wallMs())
      return { ...document, next, rollout, lastPlan: plan, lastGeneration: next.number, problem: null }
    })
  }

  changeVariants(name: string, changes: readonly VariantChange[]): Promise<Endpoint> {
    return this.changeEndpoint(name, async (document) => {
      const serving = requireInService(name, document)
      const unknown = changes.find(({ variant }) => serving.variants.every(({ spec }) => spec.name !== variant))
      if (unknown !== undefined)
        throw new InferdError('invalid_parameter', `the endpoint '${name}' has no variant '${unknown.variant}'`, { param: 'variant' })
      const variants = serving.variants.map((placed) => {
        const change = changes.find(({ variant }) => variant === placed.spec.name)
        return change === undefined ? placed : { ...placed, weight: change.weight ?? placed.weight, replicas: change.replicas ?? placed.replicas }
      })
      for (const { spec, replicas } of variants) {
        const isChanged = (changes.find(({ variant }) => variant === spec.name)?.replicas ?? null) !== null
        if (isChanged && spec.serverless !== null)
          throw new InferdError('invalid_parameter', 'a serverless variant has no number of replicas', { param: 'replicas' })
        // What is there may be scaled to none: it sleeps.
        requireReplicas(replicas, 0)
      }
      requireWeight(variants.map(({ weight }) => weight))
      // Before it is written down: what there is no room for is refused and changes nothing.
      for (const { spec, replicas } of variants)
        if (spec.serverless === null) this.parts.fleet.find(unitName(name, spec.name, serving.number))?.scaleTo(replicas)
      return { ...document, serving: { ...serving, variants } }
    })
  }

  async deleteEndpoint(name: string): Promise<void> {
    await this.changeEndpoint(name, async (document) => ({ ...document, isWanted: false }))
  }

  async findEndpoint(name: string): Promise<Endpoint | null> {
    const row = await this.parts.table.find('endpoint', name)
    return row === null ? null : encodeEndpoint(rowOf(row), this.parts.fleet)
  }

  async listEndpoints(): Promise<readonly Endpoint[]> {
    return (await this.parts.table.list('endpoint')).map((row) => encodeEndpoint(rowOf(row), this.parts.fleet))
  }

  private checkTopics(terms: AsyncTerms | undefined): void {
    const { topicNames = [] } = this.parts
    const unknown = [terms?.successTopic, terms?.errorTopic].find((topic) => typeof topic === 'string' && !topicNames.includes(topic))
    if (unknown !== undefined) throw new InferdError('invalid_parameter', `there is no topic '${unknown}'`, { param: 'NotificationConfig' })
  }

  private async changeEndpoint(
    name: string,
    make: (document: EndpointDocument, step: ResourceTable) => Promise<EndpointDocument>,
  ): Promise<Endpoint> {
    const row = await this.change(async (step) => {
      const found = await step.find('endpoint', name)
      if (found === null) throw missing('endpoint', name)
      const seen: EndpointRow = rowOf(found)
      const document = JSON.stringify(await make(seen.document, step))
      const changed = await step.change({ kind: 'endpoint', name, revision: seen.revision }, document, this.parts.clock.wallMs())
      if (changed === null) throw new InferdError('conflict', `the endpoint '${name}' was changed at the same time`)
      return rowOf(changed)
    })
    this.parts.controller.wake()
    return encodeEndpoint(row, this.parts.fleet)
  }

  private async generationOf(step: ResourceTable, number: number, config: string): Promise<Generation> {
    const found = await this.find<EndpointConfig>(step, 'endpoint-config', config)
    if (found === null) throw missing('endpoint configuration', config)
    const models = new Map((await this.list<ModelDefinition>(step, 'model')).map((model) => [model.name, model]))
    return makeGeneration(number, found, (name) => {
      const model = models.get(name)
      if (model === undefined) throw missing('model', name)
      return { source: model.source, kvCacheMib: model.kvCacheMib }
    })
  }

  /** What is read and written in it is not changed by another one meanwhile. */
  private change<T>(make: (step: ResourceTable) => Promise<T>): Promise<T> {
    return this.parts.table.alone('deployments', make)
  }

  private async insert<T extends { readonly name: string; readonly createdMs: number }>(
    step: ResourceTable,
    kind: ResourceKind,
    name: string,
    kept: Kept<T>,
  ): Promise<T> {
    await this.requirePlace(step, kind, name)
    const { created_ms: createdMs } = await step.insert({ kind, name, document: JSON.stringify(kept) }, this.parts.clock.wallMs())
    return { ...kept, name, createdMs } as unknown as T
  }

  private async requirePlace(step: ResourceTable, kind: ResourceKind, name: string): Promise<void> {
    if ((await step.find(kind, name)) !== null) throw new InferdError('conflict', `there is a ${kind} '${name}' already`)
    if ((await step.list(kind)).length >= MAX_OF_KIND)
      throw new InferdError('overloaded', `there are ${MAX_OF_KIND} of kind ${kind} already, the most allowed`)
  }

  private async find<T>(table: ResourceTable, kind: ResourceKind, name: string): Promise<T | null> {
    const row = await table.find(kind, name)
    return row === null ? null : keptOf<T>(row)
  }

  private async list<T>(table: ResourceTable, kind: ResourceKind): Promise<readonly T[]> {
    return (await table.list(kind)).map((row) => keptOf<T>(row))
  }
}

function keptOf<T>({ name, document, created_ms: createdMs }: { readonly name: string; readonly document: string; readonly created_ms: number }): T {
  return { ...(JSON.parse(document) as object), name, createdMs: Number(createdMs) } as T
}

function requireInService(name: string, document: EndpointDocument): Generation {
  const status = statusOf(document)
  if (status !== 'InService' || document.serving === null) throw new InferdError('conflict', `the endpoint '${name}' is ${status}`)
  return document.serving
}

function checkVariants({ variants, shadows }: Pick<EndpointConfig, 'name' | 'variants' | 'shadows'>): void {
  const all = [...variants, ...shadows]
  const names = new Set(all.map(({ name }) => name))
  if (names.size < all.length) throw new InferdError('invalid_parameter', 'two variants have one name', { param: 'variants' })
  requireWeight(variants.map(({ weight }) => weight))
  for (const { replicas } of all) requireReplicas(replicas, 1)
}

function requireWeight(weights: readonly number[]): void {
  if (weights.some((weight) => !(weight >= 0)) || weights.every((weight) => weight === 0))
    throw new InferdError('invalid_parameter', 'weights must be at least 0, and one of them more', { param: 'weight' })
}

function requireReplicas(replicas: number, least: number): void {
  if (!Number.isInteger(replicas) || replicas < least || replicas > MAX_REPLICAS)
    throw new InferdError('invalid_parameter', `a variant has ${least} to ${MAX_REPLICAS} replicas`, { param: 'replicas' })
}

function missing(kind: string, name: string): InferdError {
  return new InferdError('resource_not_found', `there is no ${kind} '${name}'`)
}
