/** What happens when a model's text goes wrong while it is written. */
import { z } from 'zod'

/** `adjust` is named so that it can be refused by name: a running generation cannot be given other sampling. */
const action = z.enum(['off', 'warn', 'stop', 'fallback', 'adjust']).refine((value) => value !== 'adjust', {
  message:
    'adjust is not offered: a running generation takes no other sampling, and chat templates no unfinished answer to go on from; ' +
    'use stop or fallback',
})
const positive = z.int().min(1).max(100_000)

const policy = z.strictObject({
  repetition: action.default('warn').describe('The end of the text repeats itself.'),
  'low-entropy': action.default('warn').describe('A few characters, over and over.'),
  'broken-encoding': action.default('warn').describe('Characters that come from wrong decoding.'),
  whitespace: action.default('warn').describe('White space without end.'),
  'off-schema': action.default('warn').describe('Text that cannot become the JSON that was asked for.'),
  loopCharacters: positive.optional().describe('Least characters of a repetition; 160 when not given.'),
  loopRepeats: z.int().min(2).max(1000).optional().describe('Least times that the period repeats; 4 when not given.'),
  whitespaceRun: positive.optional().describe('Least white space at one stretch; 200 when not given.'),
})

export const qualitySection = z
  .record(z.string().min(1).max(128), policy)
  .default({})
  .describe('By model; `*` is that of models not named. Without it faults are reported and nothing is done.')

export type QualityConfig = z.infer<typeof qualitySection>
