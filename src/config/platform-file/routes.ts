/** Names that callers use, and which models answer to them. */
import { z } from 'zod'

const modelName = z.string().min(1).max(128)
const share = z.strictObject({
  model: modelName,
  weight: z.number().min(0).max(1_000_000).default(1).describe('Share of the calls, relative to the other models.'),
})
const failureClass = z
  .enum(['busy', 'failed', 'timeout', 'context-length', 'guardrail', 'degenerate', 'loading'])
  .describe('busy: 429 and full queues; failed: 5xx and lost workers; timeout; context-length; guardrail; degenerate; loading.')

const route = z.strictObject({
  name: z.string().min(1).max(256).describe('What callers name.'),
  aliases: z
    .array(z.string().min(1).max(2048))
    .max(256)
    .default([])
    .describe('Further names: ARNs, ids of other providers, inference profiles. No patterns.'),
  models: z.array(share).max(64).default([]).describe('Drawn by weight. Give either this or byDifficulty.'),
  byDifficulty: z
    .array(z.strictObject({ model: modelName, maxDifficulty: z.number().min(0).max(1).describe('Prompts up to this score; the last step has 1.') }))
    .max(16)
    .default([])
    .describe('Cheapest first: easy prompts never reach the dear models.'),
  fallbacks: z
    .array(z.strictObject({ model: modelName, on: z.array(failureClass).min(1).max(7).default(['busy', 'failed', 'timeout', 'loading']) }))
    .max(16)
    .default([])
    .describe('Asked in turn when a model gave no answer for one of these reasons and nothing was sent.'),
  maxRetries: z.int().min(0).max(5).default(0).describe('Further attempts on the same model, within the retry budget.'),
  firstPieceTimeoutS: z.number().min(0.05).max(3600).nullable().default(null).describe('Longest wait for the first piece of an attempt.'),
  hedge: z
    .strictObject({
      quantile: z.number().min(0.5).max(0.999).default(0.95).describe('Of the times to the first piece, after which a second attempt starts.'),
      minDelayMs: z.int().min(10).max(600_000).default(1000).describe('Never earlier than this.'),
    })
    .nullable()
    .default(null)
    .describe('A second attempt beside a slow one; the first answer wins.'),
})

export const routesSection = z.array(route).max(1024).default([]).describe('Routes.')

export type RouteEntry = z.infer<typeof routesSection>[number]
