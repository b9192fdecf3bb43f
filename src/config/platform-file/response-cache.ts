/** Whole answers that are kept and given again. */
import { z } from 'zod'

const mode = z.enum(['off', 'exact', 'semantic'])

export const responseCacheSection = z
  .strictObject({
    byDefault: mode.default('off').describe('For calls that do not say; only deterministic ones (temperature 0, or a seed) are then kept.'),
    allowed: mode.default('off').describe('The most that a call may ask for.'),
    maxBytes: z
      .int()
      .min(1024)
      .max(2 ** 36)
      .default(64 * 2 ** 20)
      .describe('Memory for answers, in bytes; the least recently used go first.'),
    maxAnswerBytes: z
      .int()
      .min(1024)
      .max(2 ** 30)
      .default(2 ** 20)
      .describe('A larger answer is not kept.'),
    maxAgeS: z.int().min(1).max(31_536_000).default(3600).describe('Seconds after which an answer is not given again.'),
    threshold: z.number().min(0).max(1).default(0.95).describe('semantic: cosine of two last user texts from which on they mean the same.'),
    embeddingModel: z
      .string()
      .min(1)
      .max(128)
      .nullable()
      .default(null)
      .describe('semantic: model of this server that gives the vectors; null = exact only.'),
  })
  .prefault({})
  .refine(({ byDefault, allowed }) => ['off', 'exact', 'semantic'].indexOf(byDefault) <= ['off', 'exact', 'semantic'].indexOf(allowed), {
    message: 'byDefault is more than allowed',
    path: ['byDefault'],
  })
  .describe('Cache of whole answers, apart for each team.')

export type ResponseCacheConfig = z.infer<typeof responseCacheSection>
