/**
 * From a document and what there is to what must change, in order: models, configurations, endpoints, scaling, and then what goes. Models and
 * configurations are never changed: their names end in a digest of what they are, so another content is another name, and a change of an
 * endpoint is a rollout. What no document made is touched only where this one has its name. Pure.
 */
import { createHash } from 'node:crypto'
import {
  type Declaration,
  type DeclaredChange,
  type DeclaredEndpoint,
  type DeclaredModel,
  type DeclaredVariant,
  sourceOf,
} from '#contract/declaration'
import type { Endpoint, EndpointConfig, ModelDefinition, VariantChange, VariantSpec } from '#contract/deployment'
import { differences } from './differences.ts'
import type { ThroughputChange } from './plan-provisioned.ts'
import { leftScaling, type PresentScaling, scalingAt, type ScalingChange, scalingChanges } from './plan-scaling.ts'

export interface Present extends PresentScaling {
  readonly models: readonly ModelDefinition[]
  readonly configs: readonly EndpointConfig[]
}

/** A change, and what it needs to be made. */
export type PlannedChange = DeclaredChange &
  (
    | { readonly kind: 'model'; readonly model: Omit<ModelDefinition, 'createdMs'> | null }
    | { readonly kind: 'configuration'; readonly config: Omit<EndpointConfig, 'createdMs'> | null }
    | EndpointChange
    | ScalingChange
    | ThroughputChange
  )

interface EndpointChange {
  readonly kind: 'endpoint'
  readonly config: string
  readonly declared: DeclaredEndpoint | null
  /** Not empty: it has its configuration, and only weights and replicas are to be put right. */
  readonly variants: readonly VariantChange[]
}

/** In the `request` of what a document made. */
const MARK = 'declared'

export function planChanges(
  { models, endpoints }: Pick<Declaration, 'models' | 'endpoints'>,
  present: Present,
  { team, prune }: { readonly team: string; readonly prune: boolean },
): readonly PlannedChange[] {
  const names = new Map(models.map((model) => [model.name, digestName(model.name, [model, ...('object' in model.source ? [team] : [])])]))
  const wantedModels = models.map((model) => modelOf(model, names.get(model.name)!, team))
  const wantedConfigs = endpoints.map((endpoint) => configOf(endpoint, names, team))
  const isNamed = ({ name }: { readonly name: string }): boolean => endpoints.some((endpoint) => endpoint.name === name)
  const leaving = prune ? present.endpoints.filter((one) => one.status !== 'Deleting' && !isNamed(one) && isDeclared(present, one)) : []
  const staying = present.endpoints.filter((one) => !isNamed(one) && !leaving.includes(one))
  return [
    ...wantedModels.map((model): PlannedChange => ({ ...modelChange(model, present.models), kind: 'model', model })),
    ...wantedConfigs.map((config): PlannedChange => ({ ...known(config.name, present.configs), kind: 'configuration', config })),
    ...endpoints.map((endpoint, index) => endpointChange(endpoint, wantedConfigs[index]!, present)),
    ...endpoints.flatMap((endpoint, index) => scalingChanges(endpoint, wantedConfigs[index]!, present)),
    ...leftScaling(endpoints, staying, present),
    ...leaving.map(({ name }): PlannedChange => ({
      action: 'delete',
      kind: 'endpoint',
      name,
      details: [],
      config: '',
      declared: null,
      variants: [],
    })),
    ...unused(present, { configs: wantedConfigs, models: wantedModels }),
  ]
}

function digestName(name: string, content: unknown): string {
  return `${name}-${createHash('sha256').update(JSON.stringify(content)).digest('hex').slice(0, 8)}`
}

function modelOf(model: DeclaredModel, name: string, team: string): Omit<ModelDefinition, 'createdMs'> {
  return { name, source: sourceOf(model, team), kvCacheMib: model.kvCacheMib, request: { [MARK]: model } }
}

/** How it is rolled out and scaled and its number of replicas make no other configuration: these change in place. */
function configOf(
  { name, variants, shadows, capture }: DeclaredEndpoint,
  models: ReadonlyMap<string, string>,
  team: string,
): Omit<EndpointConfig, 'createdMs'> {
  const specOf = ({ scaling: _scaling, serverless, ...rest }: DeclaredVariant): VariantSpec => ({
    ...rest,
    model: models.get(rest.model)!,
    serverless: serverless === null ? null : { ...serverlessOf(serverless) },
  })
  const captured = capture === undefined ? {} : { capture: { ...capture, isEnabled: true, team } }
  const content = { variants: variants.map(specOf), shadows: shadows.map(specOf), ...captured }
  const fixed = { ...content, variants: content.variants.map(({ replicas: _replicas, ...spec }) => spec) }
  return { name: digestName(name, fixed), ...content, request: { [MARK]: content } }
}

function serverlessOf({ idleTimeoutS, ...terms }: NonNullable<DeclaredVariant['serverless']>): NonNullable<VariantSpec['serverless']> {
  return { ...terms, idleTimeoutMs: idleTimeoutS * 1000 }
}

function known(name: string, present: readonly { readonly name: string }[]): Pick<DeclaredChange, 'action' | 'name' | 'details'> {
  return { action: present.some((one) => one.name === name) ? 'keep' : 'create', name, details: [] }
}

/** With what differs from the newest one that a document called so. */
function modelChange(model: Omit<ModelDefinition, 'createdMs'>, present: readonly ModelDefinition[]): ReturnType<typeof known> {
  const change = known(model.name, present)
  const declaredOf = ({ request }: Pick<ModelDefinition, 'request'>): Partial<DeclaredModel> => (request[MARK] ?? {}) as Partial<DeclaredModel>
  const before = present.findLast((one) => declaredOf(one).name === declaredOf(model).name)
  return change.action === 'keep' || before === undefined ? change : { ...change, details: differences(declaredOf(before), declaredOf(model)) }
}

function endpointChange(declared: DeclaredEndpoint, config: Omit<EndpointConfig, 'createdMs'>, present: Present): PlannedChange {
  const { name } = declared
  const change = (action: DeclaredChange['action'], details: readonly string[], variants: readonly VariantChange[] = []): PlannedChange => ({
    action,
    kind: 'endpoint',
    name,
    details,
    config: config.name,
    declared,
    variants,
  })
  const found = present.endpoints.find((endpoint) => endpoint.name === name)
  if (found === undefined) return change('create', [])
  if (found.status === 'Failed') return change('replace', [`it failed: ${found.problem?.message ?? 'no reason is known'}`])
  if (found.status === 'Deleting') return change('replace', ['it is being deleted'])
  const current = found.rollout?.toConfig ?? found.config
  if (current !== config.name) {
    const before = present.configs.find((one) => one.name === current)
    return change('update', before === undefined ? [] : differences(contentOf(before), contentOf(config)))
  }
  const drifts = found.status === 'InService' ? driftOf(declared, found, present) : []
  return drifts.length === 0
    ? change('keep', [])
    : change(
        'update',
        drifts.flatMap(({ details }) => details),
        drifts.map(({ variant }) => variant),
      )
}

function contentOf({ variants, shadows, capture }: Pick<EndpointConfig, 'variants' | 'shadows' | 'capture'>): object {
  return { variants, shadows, ...(capture === undefined ? {} : { capture }) }
}

/** Replicas that are to be others, weights that somebody has set otherwise. Replicas of a variant that stays scaled are its scaler's. */
function driftOf(
  declared: DeclaredEndpoint,
  found: Endpoint,
  present: Present,
): readonly { readonly variant: VariantChange; readonly details: readonly string[] }[] {
  return declared.variants.flatMap((variant) => {
    const placed = found.variants.find(({ name, isShadow }) => name === variant.name && !isShadow)
    if (placed === undefined) return []
    const { target, policies, isShared } = scalingAt(declared.name, variant.name, present)
    const isScaled = variant.scaling !== null || (target !== undefined && (policies.length === 0 || isShared))
    const isCounted = variant.serverless === null && !isScaled
    const before = { weight: placed.desiredWeight, ...(isCounted ? { replicas: placed.desiredReplicas } : {}) }
    const after = { weight: variant.weight, ...(isCounted ? { replicas: variant.replicas } : {}) }
    const details = differences(before, after, variant.name)
    return details.length === 0 ? [] : [{ variant: { variant: variant.name, weight: after.weight, replicas: after.replicas ?? null }, details }]
  })
}

interface Kept {
  readonly configs: readonly { readonly name: string }[]
  readonly models: readonly { readonly name: string }[]
}

/** What earlier documents made, no endpoint uses, and this one does not want. An endpoint that goes still uses its own. */
function unused(present: Present, { configs, models }: Kept): readonly PlannedChange[] {
  const inUse = new Set(
    present.endpoints.flatMap(({ config, rollout }) => [config, ...(rollout === null ? [] : [rollout.fromConfig, rollout.toConfig])]),
  )
  const isWanted = (list: readonly { readonly name: string }[], name: string): boolean => list.some((one) => one.name === name)
  const oldConfigs = present.configs.filter(({ name, request }) => MARK in request && !inUse.has(name) && !isWanted(configs, name))
  const stay = present.configs.filter((config) => !oldConfigs.includes(config)).flatMap(({ variants, shadows }) => [...variants, ...shadows])
  const oldModels = present.models.filter(
    ({ name, request }) => MARK in request && !isWanted(models, name) && !stay.some(({ model }) => model === name),
  )
  return [
    ...oldConfigs.map(({ name }): PlannedChange => ({ action: 'delete', kind: 'configuration', name, details: [], config: null })),
    ...oldModels.map(({ name }): PlannedChange => ({ action: 'delete', kind: 'model', name, details: [], model: null })),
  ]
}

function isDeclared({ configs }: Present, { config }: Endpoint): boolean {
  const found = configs.find(({ name }) => name === config)
  return found !== undefined && MARK in found.request
}
