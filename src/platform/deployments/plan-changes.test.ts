import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { DeclaredEndpoint, DeclaredScaling, Declaration } from '#contract/declaration'
import type { Endpoint, EndpointConfig } from '#contract/deployment'
import type { ScalableTarget, ScalingPolicy, ScheduledAction } from '#contract/scaling'
import { planChanges, type PlannedChange, type Present } from './plan-changes.ts'
import { declaredName, POLICY_NAME } from './plan-scaling.ts'

/** Of what is planned here. */
type Document = Pick<Declaration, 'models' | 'endpoints'>

const TERMS = { team: 't', prune: false }
const ROLLOUT = { kind: 'all-at-once', stepPercent: 100, waitMs: 0, bakeMs: 0, maxDurationMs: 1000, alarms: [] } as const
const EMPTY: Present = { models: [], configs: [], endpoints: [], targets: [], policies: [], schedules: [], nowMs: 0 }
const SCALING: DeclaredScaling = {
  min: 1,
  max: 3,
  tracking: { metric: 'tokens', target: 20, scaleInCooldownS: 60, scaleOutCooldownS: 5 },
  steps: [],
  schedules: [],
}

function endpointOf(name: string, more: Partial<DeclaredEndpoint['variants'][number]> = {}): DeclaredEndpoint {
  return {
    name,
    variants: [{ name: 'main', model: 'm', weight: 1, replicas: 1, serverless: null, scaling: null, ...more }],
    shadows: [],
    rollout: ROLLOUT,
  }
}

function declare(...endpoints: readonly DeclaredEndpoint[]): Document {
  return { models: [{ name: 'm', source: { served: 'base' }, kvCacheMib: null }], endpoints }
}

function placedOf({ variants: changes }: Extract<PlannedChange, { kind: 'endpoint' }>, { variants }: EndpointConfig): Endpoint['variants'] {
  return variants.map((spec) => {
    const change = changes.find(({ variant }) => variant === spec.name)
    const [weight, replicas] = [change?.weight ?? spec.weight, change?.replicas ?? spec.replicas]
    const { name, model, serverless } = spec
    const wanted = { desiredWeight: weight, desiredReplicas: replicas, currentWeight: weight, currentReplicas: replicas }
    return { name, model, unit: '', ...wanted, isShadow: false, serverless }
  })
}

/** What there is when the changes are made and all of it is in service. */
function applied(present: Present, changes: readonly PlannedChange[]): Present {
  const next = {
    models: [...present.models],
    configs: [...present.configs],
    endpoints: [...present.endpoints],
    targets: [...present.targets],
    policies: [...present.policies],
    schedules: present.schedules,
    nowMs: present.nowMs,
  }
  const without = <T extends { readonly name: string }>(list: readonly T[], name: string): T[] => list.filter((one) => one.name !== name)
  for (const change of changes) {
    const { action, name } = change
    if (action === 'keep') continue
    if (change.kind === 'model')
      next.models = change.model === null ? without(next.models, name) : [...next.models, { ...change.model, createdMs: 0 }]
    if (change.kind === 'configuration') {
      next.configs = change.config === null ? without(next.configs, name) : [...next.configs, { ...change.config, createdMs: 0 }]
      for (const { model } of change.config?.variants ?? []) expect(next.models.map((one) => one.name)).toContain(model)
    }
    if (change.kind === 'endpoint') {
      next.endpoints = without(next.endpoints, name)
      if (change.declared !== null) {
        expect(next.configs.map((one) => one.name)).toContain(change.config)
        next.endpoints.push({
          name,
          config: change.config,
          status: 'InService',
          problem: null,
          variants: placedOf(
            change,
            next.configs.find((config) => config.name === change.config)!,
          ),
          rollout: null,
          lastPlan: null,
          createdMs: 0,
          modifiedMs: 0,
        })
      }
    }
    if (change.kind === 'scaling') {
      if (action === 'later') continue
      const place = { endpoint: change.endpoint, variant: change.variant }
      const isElsewhere = (one: typeof place): boolean => one.endpoint !== place.endpoint || one.variant !== place.variant
      next.targets = next.targets.filter(isElsewhere)
      next.policies = next.policies.filter(isElsewhere)
      const { scaling } = change
      if (action === 'delete' || scaling === null) continue
      const setBounds = { minReplicas: scaling.min, maxReplicas: scaling.max }
      next.targets.push({ ...place, ...setBounds, setBounds } as ScalableTarget)
      next.policies.push(...policiesOf(scaling).map((policy) => ({ ...place, ...policy, createdMs: 0 }) as ScalingPolicy))
    }
  }
  return next
}

function policiesOf({ tracking, steps }: DeclaredScaling): readonly Pick<ScalingPolicy, 'name' | 'rule'>[] {
  const { metric, target, scaleInCooldownS, scaleOutCooldownS } = tracking!
  const cooldowns = { scaleInCooldownMs: scaleInCooldownS * 1000, scaleOutCooldownMs: scaleOutCooldownS * 1000, isScaleInDisabled: false }
  const kept = { name: POLICY_NAME, rule: { kind: 'target-tracking', metric, target, ...cooldowns } } as const
  return [kept, ...steps.map(({ name, rule }) => ({ name: declaredName(name), rule }))]
}

function words(changes: readonly PlannedChange[]): readonly string[] {
  return changes.filter(({ action }) => action !== 'keep').map(({ action, kind, name }) => `${action} ${kind} ${name.replace(/-[0-9a-f]{8}$/, '-*')}`)
}

test('what is new is made in the order in which it is named, and nothing is to do then', () => {
  const wanted = declare(endpointOf('e', { scaling: SCALING }))
  const changes = planChanges(wanted, EMPTY, TERMS)
  expect(words(changes)).toEqual(['create model m-*', 'create configuration e-*', 'create endpoint e', 'create scaling e/main'])
  expect(words(planChanges(wanted, applied(EMPTY, changes), TERMS))).toEqual([])
})

test('another content is another configuration, a rollout, and told leaf by leaf; the old one goes with the next document', () => {
  const before = applied(EMPTY, planChanges(declare(endpointOf('e')), EMPTY, TERMS))
  const wanted = declare(endpointOf('e', { replicas: 2, weight: 3 }))
  const changes = planChanges(wanted, before, TERMS)
  expect(words(changes)).toEqual(['create configuration e-*', 'update endpoint e'])
  expect(changes.find(({ kind }) => kind === 'endpoint')?.details).toEqual(['variants[0].weight: 1 -> 3', 'variants[0].replicas: 1 -> 2'])
  const after = applied(before, changes)
  expect(words(planChanges(wanted, after, TERMS))).toEqual(['delete configuration e-*'])
  expect(words(planChanges(wanted, applied(after, planChanges(wanted, after, TERMS)), TERMS))).toEqual([])
})

test('how it is rolled out and scaled makes no rollout', () => {
  const before = applied(EMPTY, planChanges(declare(endpointOf('e', { scaling: SCALING })), EMPTY, TERMS))
  const other = { ...endpointOf('e', { scaling: { ...SCALING, max: 5 } }), rollout: { ...ROLLOUT, bakeMs: 9 } }
  const changes = planChanges(declare(other), before, TERMS)
  expect(words(changes)).toEqual(['update scaling e/main'])
  expect(changes.find(({ kind }) => kind === 'scaling')?.details).toEqual(['max: 3 -> 5'])
  expect(words(planChanges(declare(endpointOf('e')), before, TERMS))).toEqual(['delete scaling e/main'])
})

test('an endpoint that failed is replaced', () => {
  const before = applied(EMPTY, planChanges(declare(endpointOf('e')), EMPTY, TERMS))
  const problem = { code: 'insufficient_memory', message: 'no room', param: null, retryAfterMs: null } as const
  const failed = { ...before, endpoints: before.endpoints.map((endpoint): Endpoint => ({ ...endpoint, status: 'Failed', problem })) }
  const changes = planChanges(declare(endpointOf('e')), failed, TERMS)
  expect(words(changes)).toEqual(['replace endpoint e'])
  expect(changes.find(({ kind }) => kind === 'endpoint')?.details).toEqual(['it failed: no room'])
})

test('what no document made is never touched, and what one made only with prune', () => {
  const foreign: Present = {
    ...EMPTY,
    models: [{ name: 'theirs', source: { kind: 'served', model: 'base' }, kvCacheMib: null, request: {}, createdMs: 0 }],
    configs: [
      {
        name: 'theirs',
        variants: [{ name: 'v', model: 'theirs', weight: 1, replicas: 1, serverless: null }],
        shadows: [],
        request: {},
        createdMs: 0,
      },
    ],
    endpoints: [
      {
        name: 'theirs',
        config: 'theirs',
        status: 'InService',
        problem: null,
        variants: [],
        rollout: null,
        lastPlan: null,
        createdMs: 0,
        modifiedMs: 0,
      },
    ],
  }
  const both = applied(foreign, planChanges(declare(endpointOf('e')), foreign, TERMS))
  expect(words(planChanges(declare(), both, TERMS))).toEqual([])
  const pruned = planChanges(declare(), both, { ...TERMS, prune: true })
  expect(words(pruned)).toEqual(['delete endpoint e'])
  expect(words(planChanges({ models: [], endpoints: [] }, applied(both, pruned), { ...TERMS, prune: true }))).toEqual([
    'delete configuration e-*',
    'delete model m-*',
  ])
})

test('weights and replicas that somebody has changed are put right in place; the replicas of what is scaled are not', () => {
  const wanted = declare(endpointOf('e', { replicas: 2 }), endpointOf('f', { scaling: SCALING }))
  const before = applied(EMPTY, planChanges(wanted, EMPTY, TERMS))
  const moved = before.endpoints.map((endpoint): Endpoint => ({
    ...endpoint,
    variants: endpoint.variants.map((variant) => ({ ...variant, desiredWeight: 5, desiredReplicas: 3 })),
  }))
  const [first, second] = planChanges(wanted, { ...before, endpoints: moved }, TERMS).filter(({ action }) => action !== 'keep')
  expect(first).toMatchObject({ action: 'update', name: 'e', details: ['main.weight: 5 -> 1', 'main.replicas: 3 -> 2'] })
  expect(first).toMatchObject({ variants: [{ variant: 'main', weight: 1, replicas: 2 }] })
  expect(second).toMatchObject({ action: 'update', name: 'f', variants: [{ variant: 'main', weight: 1, replicas: null }] })
  const busy = moved.map((endpoint): Endpoint => ({ ...endpoint, status: 'Updating' }))
  expect(words(planChanges(wanted, { ...before, endpoints: busy }, TERMS))).toEqual([])
})

test('another number of replicas is no rollout', () => {
  const before = applied(EMPTY, planChanges(declare(endpointOf('e')), EMPTY, TERMS))
  const changes = planChanges(declare(endpointOf('e', { replicas: 4 })), before, TERMS)
  expect(words(changes)).toEqual(['update endpoint e'])
  expect(changes.find(({ kind }) => kind === 'endpoint')).toMatchObject({ details: ['main.replicas: 1 -> 4'], config: before.configs[0]?.name })
})

test('a variant that comes by a rollout is scaled after it; one that is no more takes its scaling along', () => {
  const before = applied(EMPTY, planChanges(declare(endpointOf('e', { scaling: SCALING })), EMPTY, TERMS))
  const wanted = declare(endpointOf('e', { name: 'other', scaling: SCALING }))
  const changes = planChanges(wanted, before, TERMS)
  expect(words(changes)).toEqual(['create configuration e-*', 'update endpoint e', 'later scaling e/other', 'delete scaling e/main'])
  expect(words(planChanges(wanted, applied(before, changes), TERMS))).toEqual(['create scaling e/other', 'delete configuration e-*'])
})

test('policies and schedules of others stay when a document scales no more', () => {
  const before = applied(EMPTY, planChanges(declare(endpointOf('e', { scaling: SCALING })), EMPTY, TERMS))
  const theirs = { ...before.policies[0]!, name: 'theirs' }
  const place = { name: 'theirs', endpoint: 'e', variant: 'main' } as ScheduledAction
  const shared = (present: Present): unknown => planChanges(declare(endpointOf('e')), present, TERMS).find(({ kind }) => kind === 'scaling')
  expect(shared(before)).toMatchObject({ action: 'delete', isShared: false })
  expect(shared({ ...before, policies: [...before.policies, theirs] })).toMatchObject({ action: 'delete', isShared: true })
  expect(shared({ ...before, schedules: [place] })).toMatchObject({ action: 'delete', isShared: true })
})

test('an endpoint that is being deleted is waited for and made again, and is not deleted twice', () => {
  const before = applied(EMPTY, planChanges(declare(endpointOf('e')), EMPTY, TERMS))
  const going = { ...before, endpoints: before.endpoints.map((endpoint): Endpoint => ({ ...endpoint, status: 'Deleting' })) }
  expect(words(planChanges(declare(endpointOf('e')), going, TERMS))).toEqual(['replace endpoint e'])
  expect(words(planChanges(declare(), going, { ...TERMS, prune: true }))).toEqual([])
})

test('a model of the server is the same for every team, one of a bucket is not', () => {
  const made = applied(EMPTY, planChanges(declare(endpointOf('e')), EMPTY, TERMS))
  expect(words(planChanges(declare(endpointOf('e')), made, { team: 'u', prune: false }))).toEqual([])
  const ours: Document = { models: [{ name: 'm', source: { object: 's3://inferd-t/m.gguf' }, kvCacheMib: null }], endpoints: [endpointOf('e')] }
  const before = applied(EMPTY, planChanges(ours, EMPTY, TERMS))
  expect(words(planChanges(ours, before, { team: 'u', prune: false }))).toContain('create model m-*')
})

test('a model of another content is told by what differs', () => {
  const before = applied(EMPTY, planChanges(declare(endpointOf('e')), EMPTY, TERMS))
  const wanted: Document = { models: [{ name: 'm', source: { served: 'base' }, kvCacheMib: 64 }], endpoints: [endpointOf('e')] }
  expect(planChanges(wanted, before, TERMS)[0]).toMatchObject({ action: 'create', kind: 'model', details: ['kvCacheMib: none -> 64'] })
})

test('whatever two documents say, after both nothing is left but to tidy up and to scale what came, once, and no call moves for it', () => {
  const variant = fc.record({
    name: fc.constantFrom('a', 'b', 'c'),
    model: fc.constantFrom('m', 'n'),
    weight: fc.integer({ min: 1, max: 3 }),
    replicas: fc.integer({ min: 1, max: 3 }),
    serverless: fc.constant(null),
    scaling: fc.option(fc.constant(SCALING)),
  })
  const variants = fc.uniqueArray(variant, { minLength: 1, maxLength: 3, selector: ({ name }) => name })
  const endpoint = fc.record({ name: fc.constantFrom('e', 'f', 'g'), variants, shadows: fc.constant([]), rollout: fc.constant(ROLLOUT) })
  const document = fc.uniqueArray(endpoint, { maxLength: 3, selector: ({ name }) => name }).map((endpoints): Document => ({
    models: ['m', 'n'].map((name) => ({ name, source: { served: name }, kvCacheMib: null })),
    endpoints,
  }))
  fc.assert(
    fc.property(document, document, fc.boolean(), (first, second, prune) => {
      const terms = { team: 't', prune }
      let present = applied(EMPTY, planChanges(first, EMPTY, terms))
      present = applied(present, planChanges(second, present, terms))
      const rest = planChanges(second, present, terms).filter(({ action }) => action !== 'keep')
      for (const change of rest) {
        if (change.kind === 'scaling') expect(change.action).toBe('create')
        else if (change.kind === 'endpoint') expect(change.variants).not.toEqual([])
        else expect(change.action).toBe('delete')
      }
      expect(words(planChanges(second, applied(present, rest), terms))).toEqual([])
    }),
    { seed: 8, numRuns: 300 },
  )
})
