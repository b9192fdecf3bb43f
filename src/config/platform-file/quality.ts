/** What happens when a model's text goes wrong while it is written. */
import { z } from 'zod'

const action = z.enum(['off', 'warn', 'adjust', 'stop', 'fallback'])
const positive = z.int().min(1).max(100_000)

const policy = z.strictObject({
  repetition: action.default('warn').describe('The end of the text repeats itself.'),
  'low-entropy': action.default('warn').describe('A few characters, over and over.'),
  'broken-encoding': action.default('warn').describe('Characters that come from wrong decoding.'),
  whitespace: action.default('warn').describe('White space without end.'),
  'off-schema': action.default('warn').describe('Text that cannot become the JSON that was asked for.'),
  adjustment: z
    .strictObject({
      temperature: z.number().min(0).max(2).optional(),
      topK: z.int().min(0).max(1_000_000).optional(),
      topP: z.number().min(0.001).max(1).optional(),
      minP: z.number().min(0).max(1).optional(),
      repetitionPenalty: z.number().min(0.01).max(10).optional(),
      presencePenalty: z.number().min(-2).max(2).optional(),
      frequencyPenalty: z.number().min(-2).max(2).optional(),
    })
    .default({ repetitionPenalty: 1.3, frequencyPenalty: 0.5 })
    .describe('adjust: what is sampled with from the fault on; what is not named stays as the caller asked.'),
  loopCharacters: positive.optional().describe('Least characters of a repetition; 160 when not given.'),
  loopRepeats: z.int().min(2).max(1000).optional().describe('Least times that the period repeats; 4 when not given.'),
  whitespaceRun: positive.optional().describe('Least white space at one stretch; 200 when not given.'),
})

export const qualitySection = z
  .record(z.string().min(1).max(128), policy)
  .default({})
  .describe('By model; `*` is that of models not named. Without it faults are reported and nothing is done.')

export type QualityConfig = z.infer<typeof qualitySection>
