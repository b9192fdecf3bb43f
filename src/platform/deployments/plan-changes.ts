/**
 * From a document and what there is to what must change, in order: models, configurations, endpoints, scaling, and then what goes. Models and
 * configurations are never changed: their names end in a digest of what they are, so another content is another name, and a change of an
 * endpoint is a rollout. What no document made is not touched. Pure.
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
import type { Endpoint, EndpointConfig, ModelDefinition, VariantSpec } from '#contract/deployment'
import type { ScalableTarget, ScalingPolicy } from '#contract/scaling'

export interface Present {
  readonly models: readonly ModelDefinition[]
  readonly configs: readonly EndpointConfig[]
  readonly endpoints: readonly Endpoint[]
  readonly targets: readonly ScalableTarget[]
  readonly policies: readonly ScalingPolicy[]
}

/** A change, and what it needs to be made. */
export type PlannedChange = DeclaredChange &
  (
    | { readonly kind: 'model'; readonly model: Omit<ModelDefinition, 'createdMs'> | null }
    | { readonly kind: 'configuration'; readonly config: Omit<EndpointConfig, 'createdMs'> | null }
    | { readonly kind: 'endpoint'; readonly config: string; readonly declared: DeclaredEndpoint | null }
    | { readonly kind: 'scaling'; readonly endpoint: string; readonly variant: DeclaredVariant }
  )

/** In the `request` of what a document made. */
const MARK = 'declared'
export const POLICY_NAME = 'declared'

export function planChanges(
  { models, endpoints }: Declaration,
  present: Present,
  { team, prune }: { readonly team: string; readonly prune: boolean },
): readonly PlannedChange[] {
  const names = new Map(models.map((model) => [model.name, digestName(model.name, [model, team])]))
  const wantedModels = models.map((model) => modelOf(model, names.get(model.name)!, team))
  const wantedConfigs = endpoints.map((endpoint) => configOf(endpoint, names))
  const isKept = (endpoint: Endpoint): boolean => !prune || endpoints.some(({ name }) => name === endpoint.name) || !isDeclared(present, endpoint)
  const leaving = present.endpoints.filter((endpoint) => !isKept(endpoint))
  return [
    ...wantedModels.map((model): PlannedChange => ({ ...known('model', model.name, present.models), kind: 'model', model })),
    ...wantedConfigs.map((config): PlannedChange => ({ ...known('configuration', config.name, present.configs), kind: 'configuration', config })),
    ...endpoints.map((endpoint, index) => endpointChange(endpoint, wantedConfigs[index]!, present)),
    ...endpoints.flatMap((endpoint) => scalingChanges(endpoint, present)),
    ...leaving.map(({ name }): PlannedChange => ({ action: 'delete', kind: 'endpoint', name, details: [], config: '', declared: null })),
    ...unused(present, { configs: wantedConfigs, models: wantedModels, leaving }),
  ]
}

function digestName(name: string, content: unknown): string {
  return `${name}-${createHash('sha256').update(JSON.stringify(content)).digest('hex').slice(0, 8)}`
}

function modelOf(model: DeclaredModel, name: string, team: string): Omit<ModelDefinition, 'createdMs'> {
  return { name, source: sourceOf(model, team), kvCacheMib: model.kvCacheMib, request: { [MARK]: model } }
}

/** Without how it is rolled out and scaled: these make no other configuration. */
function configOf({ name, variants, shadows }: DeclaredEndpoint, models: ReadonlyMap<string, string>): Omit<EndpointConfig, 'createdMs'> {
  const specOf = ({ scaling: _scaling, serverless, ...rest }: DeclaredVariant): VariantSpec => ({
    ...rest,
    model: models.get(rest.model)!,
    serverless: serverless === null ? null : { ...serverlessOf(serverless) },
  })
  const content = { variants: variants.map(specOf), shadows: shadows.map(specOf) }
  return { name: digestName(name, content), ...content, request: { [MARK]: content } }
}

function serverlessOf({ idleTimeoutS, ...terms }: NonNullable<DeclaredVariant['serverless']>): NonNullable<VariantSpec['serverless']> {
  return { ...terms, idleTimeoutMs: idleTimeoutS * 1000 }
}

function known(
  kind: 'model' | 'configuration',
  name: string,
  present: readonly { readonly name: string }[],
): Pick<DeclaredChange, 'action' | 'name' | 'details'> & { kind: typeof kind } {
  return { action: present.some((one) => one.name === name) ? 'keep' : 'create', kind, name, details: [] }
}

function endpointChange(declared: DeclaredEndpoint, config: Omit<EndpointConfig, 'createdMs'>, { endpoints, configs }: Present): PlannedChange {
  const { name } = declared
  const change = (action: DeclaredChange['action'], details: readonly string[]): PlannedChange => ({
    action,
    kind: 'endpoint',
    name,
    details,
    config: config.name,
    declared,
  })
  const found = endpoints.find((endpoint) => endpoint.name === name)
  if (found === undefined) return change('create', [])
  if (found.status === 'Failed') return change('replace', [`it failed: ${found.problem?.message ?? 'no reason is known'}`])
  const current = found.rollout?.toConfig ?? found.config
  if (current === config.name) return change('keep', [])
  const before = configs.find((one) => one.name === current)
  return change('update', before === undefined ? [] : differences(contentOf(before), contentOf(config)))
}

function contentOf({ variants, shadows }: Pick<EndpointConfig, 'variants' | 'shadows'>): object {
  return { variants, shadows }
}

function scalingChanges({ name, variants }: DeclaredEndpoint, { targets, policies }: Present): readonly PlannedChange[] {
  return variants.flatMap((variant): readonly PlannedChange[] => {
    const isAt = (one: { readonly endpoint: string; readonly variant: string }): boolean => one.endpoint === name && one.variant === variant.name
    const target = targets.find(isAt)
    const policy = policies.find((one) => isAt(one) && one.name === POLICY_NAME)
    const base = { kind: 'scaling', name: `${name}/${variant.name}`, endpoint: name, variant } as const
    if (variant.scaling === null) return policy === undefined ? [] : [{ ...base, action: 'delete', details: [] }]
    if (target === undefined || policy === undefined) return [{ ...base, action: 'create', details: [] }]
    const details = differences(scalingOf(target, policy), { ...variant.scaling })
    return [{ ...base, action: details.length === 0 ? 'keep' : 'update', details }]
  })
}

/** As a document says it. */
function scalingOf({ minReplicas, maxReplicas }: ScalableTarget, { rule }: ScalingPolicy): object {
  if (rule.kind !== 'target-tracking') return {}
  const { metric, target, scaleInCooldownMs, scaleOutCooldownMs } = rule
  return {
    min: minReplicas,
    max: maxReplicas,
    metric,
    target,
    scaleInCooldownS: scaleInCooldownMs / 1000,
    scaleOutCooldownS: scaleOutCooldownMs / 1000,
  }
}

interface Kept {
  readonly configs: readonly { readonly name: string }[]
  readonly models: readonly { readonly name: string }[]
  readonly leaving: readonly Endpoint[]
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

/** Leaves that differ, by their paths, in order. */
function differences(before: unknown, after: unknown, path = ''): readonly string[] {
  if (isRecord(before) && isRecord(after)) {
    const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])]
    return keys.flatMap((key) =>
      differences(before[key], after[key], Array.isArray(after) ? `${path}[${key}]` : path === '' ? key : `${path}.${key}`),
    )
  }
  return before === after ? [] : [`${path}: ${wordsOf(before)} -> ${wordsOf(after)}`]
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}

function wordsOf(value: unknown): string {
  return value === undefined || value === null ? 'none' : isRecord(value) ? JSON.stringify(value) : String(value)
}
