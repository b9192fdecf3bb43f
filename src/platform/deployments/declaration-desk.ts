/** Makes what a document says, change after change; each is durable when the next begins, so a run that was cut off is gone on with by the next. */
import type { Clock } from '#base/clock'
import type { Declaration, DeclarationDesk, DeclarationTerms, DeclaredChange } from '#contract/declaration'
import type { DeploymentDesk } from '#contract/deployment'
import { InferdError } from '#contract/errors'
import type { ScalingDesk } from '#contract/scaling'
import { planChanges, type PlannedChange, POLICY_NAME, type Present } from './plan-changes.ts'

export interface DeclarationDeskParts {
  readonly deployments: DeploymentDesk
  readonly scaling: ScalingDesk
  /** Of the server's file. */
  readonly alarmNames: readonly string[]
  readonly clock: Clock
}

const LOOK_MS = 100
/** For an endpoint that failed to be gone. */
const GONE_MS = 60_000

export class Declarations implements DeclarationDesk {
  private readonly parts: DeclarationDeskParts

  constructor(parts: DeclarationDeskParts) {
    this.parts = parts
  }

  async plan(declaration: Declaration, terms: DeclarationTerms): Promise<readonly DeclaredChange[]> {
    return (await this.planned(declaration, terms)).map(shown)
  }

  async apply(declaration: Declaration, terms: DeclarationTerms, signal: AbortSignal): Promise<readonly DeclaredChange[]> {
    const changes = await this.planned(declaration, terms)
    for (const change of changes) {
      signal.throwIfAborted()
      if (change.action !== 'keep' && change.action !== 'later') await this.make(change, signal)
    }
    return changes.map(shown)
  }

  private async planned(declaration: Declaration, terms: DeclarationTerms): Promise<readonly PlannedChange[]> {
    const { deployments, scaling, alarmNames } = this.parts
    for (const { name, rollout } of declaration.endpoints) {
      const unknown = rollout.alarms.find((rule) => typeof rule === 'string' && !alarmNames.includes(rule))
      if (unknown !== undefined)
        throw new InferdError('invalid_parameter', `endpoint '${name}' names the alarm '${String(unknown)}', which the server does not have`)
    }
    const present: Present = {
      models: await deployments.listModels(),
      configs: await deployments.listConfigs(),
      endpoints: await deployments.listEndpoints(),
      targets: await scaling.listTargets(),
      policies: await scaling.listPolicies(),
      schedules: await scaling.listSchedules(),
    }
    return planChanges(declaration, present, terms)
  }

  private async make(change: PlannedChange, signal: AbortSignal): Promise<void> {
    const { deployments } = this.parts
    switch (change.kind) {
      case 'model':
        if (change.action === 'delete') await deployments.deleteModel(change.name)
        else if (change.model !== null) await deployments.createModel(change.model)
        return
      case 'configuration':
        if (change.action === 'delete') await deployments.deleteConfig(change.name)
        else if (change.config !== null) await deployments.createConfig(change.config)
        return
      case 'endpoint':
        return this.makeEndpoint(change, signal)
      case 'scaling':
        return this.makeScaling(change)
    }
  }

  private async makeEndpoint(
    { action, name, config, declared, variants }: Extract<PlannedChange, { readonly kind: 'endpoint' }>,
    signal: AbortSignal,
  ): Promise<void> {
    const { deployments } = this.parts
    if (action === 'delete' || action === 'replace') await deployments.deleteEndpoint(name).catch(unlessGone)
    if (action === 'replace') await this.untilGone(name, signal)
    if (action === 'create' || action === 'replace') await deployments.createEndpoint(name, config)
    if (action !== 'update' || declared === null) return
    if (variants.length > 0) await deployments.changeVariants(name, variants)
    else await deployments.updateEndpoint(name, config, declared.rollout)
  }

  private async makeScaling({ endpoint, variant, scaling: wanted, isShared }: Extract<PlannedChange, { readonly kind: 'scaling' }>): Promise<void> {
    const { scaling } = this.parts
    if (wanted === null) {
      await (isShared ? scaling.deletePolicy(endpoint, variant, POLICY_NAME) : scaling.deleteTarget(endpoint, variant)).catch(unlessGone)
      return
    }
    const { min, max, metric, target, scaleInCooldownS, scaleOutCooldownS } = wanted
    const place = { endpoint, variant }
    await scaling.putTarget({
      ...place,
      minReplicas: min,
      maxReplicas: max,
      isScaleInSuspended: false,
      isScaleOutSuspended: false,
      isScheduleSuspended: false,
    })
    const cooldowns = { scaleInCooldownMs: scaleInCooldownS * 1000, scaleOutCooldownMs: scaleOutCooldownS * 1000 }
    await scaling.putPolicy({
      ...place,
      name: POLICY_NAME,
      rule: { kind: 'target-tracking', metric, target, ...cooldowns, isScaleInDisabled: false },
    })
  }

  private async untilGone(name: string, signal: AbortSignal): Promise<void> {
    const { deployments, clock } = this.parts
    const untilMs = clock.nowMs() + GONE_MS
    while ((await deployments.findEndpoint(name)) !== null) {
      if (clock.nowMs() > untilMs) throw new InferdError('deadline_exceeded', `the endpoint '${name}' is still being deleted`)
      await clock.sleep(LOOK_MS, signal)
    }
  }
}

function shown({ action, kind, name, details }: PlannedChange): DeclaredChange {
  return { action, kind, name, details }
}

function unlessGone(error: unknown): void {
  if (!(error instanceof InferdError) || error.code !== 'resource_not_found') throw error
}
