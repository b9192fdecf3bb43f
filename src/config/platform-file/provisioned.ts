/** Provisioned throughput: of which models units are sold, how many, and what one is worth. */
import { z } from 'zod'

const tokens = z.int().min(1).max(1_000_000_000)

const provisionedModel = z.strictObject({
  maxUnits: z.int().min(1).max(10_000).describe('Units that all teams together may have: what the machine can do, and no more, is to be sold.'),
  inputTokensPerMinute: tokens.describe('Prompt tokens a minute of one unit; those found in the prefix cache are not counted.'),
  outputTokensPerMinute: tokens.optional().describe('Output tokens a minute of one unit; no bound when not given, as for embeddings.'),
})

export const provisionedSection = z
  .record(z.string().min(1).max(128), provisionedModel)
  .default({})
  .describe('Models of this machine, always on, of which teams may reserve units of throughput.')

export type ProvisionedModel = z.infer<typeof provisionedModel>
export type ProvisionedModels = z.infer<typeof provisionedSection>
