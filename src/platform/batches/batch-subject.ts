/** A batch that is on its way: what it wants, and how its lines are read and written. */
import type { BatchFormat, BatchPlan } from '#contract/batch'
import type { Job } from '#contract/job'

export interface BatchSubject {
  readonly job: Job
  readonly plan: BatchPlan
  readonly format: BatchFormat
}
