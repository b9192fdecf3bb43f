/** Makes what a document says, change after change; each is durable when the next begins, so a run that was cut off is gone on with by the next. */
import type { Clock } from '#base/clock'
import type { Declaration, DeclarationDesk, DeclarationTerms, DeclaredChange } from '#contract/declaration'
import type { DeploymentDesk } from '#contract/deployment'
import { InferdError } from '#contract/errors'
import type { ProvisionedDesk } from '#contract/provisioned'
import type { ScalingDesk } from '#contract/scaling'
import { DECLARED_TAG, planThroughput, type ThroughputChange } from './plan-provisioned.ts'
import { makeScaling } from './make-scaling.ts'
import { planChanges, type PlannedChange, type Present } from './plan-changes.ts'

export interface DeclarationDeskParts {
  readonly deployments: DeploymentDesk
  readonly scaling: ScalingDesk
  /** null = no units are sold. */
  readonly provisioned: ProvisionedDesk | null
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
      if (change.action !== 'keep' && change.action !== 'later') await this.make(change, terms, signal)
    }
    return changes.map(shown)
  }

  private async planned(declaration: Declaration, terms: DeclarationTerms): Promise<readonly PlannedChange[]> {
    const { deployments, scaling, alarmNames, clock } = this.parts
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
      nowMs: clock.wallMs(),
    }
    return [...planChanges(declaration, present, terms), ...(await this.plannedThroughput(declaration, terms))]
  }

  private async plannedThroughput({ provisioned }: Declaration, { team, prune }: DeclarationTerms): Promise<readonly PlannedChange[]> {
    const { provisioned: desk, clock } = this.parts
    if (desk !== null) return planThroughput(provisioned, await desk.list(team), { prune, nowMs: clock.wallMs() })
    if (provisioned.length === 0) return []
    throw new InferdError('unsupported_parameter', 'provisioned: this server sells no units', { param: 'provisioned' })
  }

  private async make(change: PlannedChange, terms: DeclarationTerms, signal: AbortSignal): Promise<void> {
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
        return makeScaling(this.parts.scaling, change)
      case 'throughput':
        return this.makeThroughput(change, terms)
    }
  }

  private async makeThroughput({ action, name, declared }: ThroughputChange, { team, keyId }: DeclarationTerms): Promise<void> {
    const desk = this.parts.provisioned
    if (desk === null) return
    if (action !== 'create') await desk.remove({ team, who: name }).catch(unlessGone)
    if (declared !== null) await desk.create({ ...declared, team, keyId, tags: { [DECLARED_TAG]: 'true' }, token: null })
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
