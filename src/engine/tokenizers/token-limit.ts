/** Encoding stops where a prompt cannot fit any more: nobody pays for the rest of it. */
import { InferdError } from '#contract/errors'

/** UTF-16 units below which a text is counted to its end all the same, so that the refusal can name both numbers. */
export const MAX_COUNTED_LENGTH = 65_536

export function tooManyTokens(maxTokens: number): InferdError {
  return new InferdError('context_length_exceeded', `the context holds ${maxTokens} tokens; the prompt has more`, { param: 'prompt' })
}
