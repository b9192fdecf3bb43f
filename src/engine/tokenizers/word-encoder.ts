/** The model inside a tokenizer: turns one word into token ids. */
import type { IdList } from './piece-list.ts'

export interface WordEncoder {
  /** Appends the ids of text[start, end) to `out`. `text` is well-formed UTF-16. Near-linear in the word's length. */
  encodeWord(text: string, start: number, end: number, out: IdList): void
  /** At least so many tokens come of a word of `length` UTF-16 units; need not be whole. */
  minTokens(length: number): number
}
