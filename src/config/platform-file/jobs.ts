/** Work that is accepted now and done later: how much of it may wait, how often it is tried, how long it is remembered. */
import { z } from 'zod'

export const jobsSection = z
  .strictObject({
    maxWaiting: z.int().min(1).max(100_000_000).default(2_000_000).describe('Jobs of all teams that may wait; more are refused.'),
    maxWaitingPerTeam: z.int().min(1).max(100_000_000).default(1_000_000).describe('Jobs of one team that may wait.'),
    maxAttempts: z
      .int()
      .min(1)
      .max(100)
      .default(5)
      .describe('Attempts of one job that may go wrong, the death of the server counted; then it has failed.'),
    retentionDays: z.int().min(1).max(3650).default(30).describe('How long a job that has ended, and its idempotency key, is remembered.'),
  })
  .prefault({})
  .describe('Jobs: asynchronous invocations, batches, transforms.')

export type JobsConfig = z.infer<typeof jobsSection>
