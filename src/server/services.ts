/** What stands behind routes that are no model calls: ports that the platform implements; null = this server has none. */
import type { CallCaptures } from '#contract/capture'
import type { ComparisonDesk } from '#contract/comparison'
import type { DeclarationDesk } from '#contract/declaration'
import type { DeploymentDesk } from '#contract/deployment'
import type { GuardrailService } from '#contract/guardrail'
import type { JobDesk } from '#contract/job'
import type { ObjectStores } from '#contract/objects'
import type { Invocations } from '#contract/invocation'
import type { ProvisionedDesk } from '#contract/provisioned'
import type { ModePlanner } from '#contract/mode-plan'
import type { ScalingDesk } from '#contract/scaling'
import type { FileShelf } from '#contract/stored-file'
import type { BackgroundRuns, ResponseArchive } from '#contract/stored-response'
import type { TagDesk } from '#contract/tags'
import type { CredentialIssuer } from '#contract/temporary-credentials'
import type { UsageReports } from '#contract/usage-record'

/** In the text format of Prometheus. */
export interface MetricsPage {
  readonly contentType: string
  text(): Promise<string>
}

export interface ServerServices {
  readonly guardrails: GuardrailService | null
  readonly usage: UsageReports | null
  readonly metrics: MetricsPage | null
  readonly responses: ResponseArchive | null
  readonly background: BackgroundRuns | null
  readonly files: FileShelf | null
  readonly credentials: CredentialIssuer | null
  readonly jobs: JobDesk | null
  readonly objects: ObjectStores | null
  readonly invocations: Invocations | null
  readonly deployments: DeploymentDesk | null
  /** null = nothing has tags. */
  readonly tags: TagDesk | null
  readonly scaling: ScalingDesk | null
  readonly declarations: DeclarationDesk | null
  readonly provisioned: ProvisionedDesk | null
  readonly plans: ModePlanner | null
  readonly comparisons: ComparisonDesk | null
  readonly captures: CallCaptures | null
}

export const NO_SERVICES: ServerServices = {
  guardrails: null,
  usage: null,
  metrics: null,
  responses: null,
  background: null,
  files: null,
  credentials: null,
  jobs: null,
  objects: null,
  invocations: null,
  deployments: null,
  tags: null,
  scaling: null,
  declarations: null,
  provisioned: null,
  plans: null,
  comparisons: null,
  captures: null,
}
