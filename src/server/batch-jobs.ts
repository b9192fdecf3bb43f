/** Batches as the routes of a dialect see them: jobs of kind 'batch' whose plan is in that dialect. Those of another one do not exist. */
import { type BatchDialect, type BatchPlan, planOf } from '#contract/batch'
import { InferdError } from '#contract/errors'
import type { Job, JobDesk, JobOrder } from '#contract/job'
import type { ServiceContext } from '#server/operation'

/** By which a dialect's batches are found. */
const DIALECT_LABEL = 'dialect'

export interface BatchTerms {
  /** Of the new job. */
  readonly id: string
  readonly windowMs: number
  readonly idempotency: JobOrder['idempotency']
}

export interface BatchPage {
  readonly afterId: string | null
  readonly limit: number
}

/** The first batches of a team run before its others, and none waits for another team's. */
export function submitBatch(context: ServiceContext, plan: BatchPlan, { id, windowMs, idempotency }: BatchTerms): Promise<Job> {
  const { principal } = context
  return needJobs(context).submit({
    id,
    kind: 'batch',
    principal,
    spec: plan as unknown as JobOrder['spec'],
    labels: { [DIALECT_LABEL]: plan.dialect },
    lane: principal.team,
    ttlMs: windowMs,
    idempotency,
  })
}

/** Throws resource_not_found. */
export async function needBatch(context: ServiceContext, dialect: BatchDialect, id: string): Promise<Job> {
  const job = await needJobs(context).get(context.principal.team, id)
  if (job === null || job.kind !== 'batch' || planOf(job).dialect !== dialect) throw new InferdError('resource_not_found', 'there is no such batch')
  return job
}

/** Newest first. Throws resource_not_found when there is none to begin after. */
export async function listBatches(context: ServiceContext, dialect: BatchDialect, { afterId, limit }: BatchPage): Promise<readonly Job[]> {
  if (afterId !== null) await needBatch(context, dialect, afterId)
  return needJobs(context).list({ team: context.principal.team, kind: 'batch', labels: { [DIALECT_LABEL]: dialect }, afterId, limit })
}

/** What has ended stays as it is. Throws resource_not_found. */
export async function cancelBatch(context: ServiceContext, dialect: BatchDialect, id: string): Promise<Job> {
  const job = await needBatch(context, dialect, id)
  return (await needJobs(context).cancel(context.principal.team, id)) ?? job
}

export function needJobs({ services: { jobs } }: ServiceContext): JobDesk {
  if (jobs === null) throw new InferdError('unsupported_parameter', 'this server keeps no jobs')
  return jobs
}
