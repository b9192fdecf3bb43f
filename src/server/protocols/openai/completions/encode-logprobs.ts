/**
 * Token logprobs in the four parallel arrays of text completions, as OpenAI writes them: the sampled token is always among the
 * `top_logprobs`, and a token that is a part of a code point is spelled by its bytes, `bytes:\xf0\x9f`, so that two such tokens differ.
 */
import { isUtf8 } from 'node:buffer'
import type { TokenLogprob } from '#contract/generate'
import type { WireCompletionLogprobs } from './wire-types.ts'

const BACKSLASH = 0x5c

type SpelledToken = Pick<TokenLogprob, 'text' | 'bytes'>

/** Where the tokens of one choice begin in its output, in code points. A code point that several tokens spell counts with the last of them. */
export class TextOffsets {
  private readonly decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  private numCodePoints = 0

  /** The offset of the next token. */
  advance({ bytes }: SpelledToken): number {
    const offset = this.numCodePoints
    const text = this.decoder.decode(Uint8Array.from(bytes), { stream: true })
    for (const _ of text) this.numCodePoints++
    return offset
  }
}

/** `offsets` has seen the tokens of this choice that came before. */
export function encodeCompletionLogprobs(logprobs: readonly TokenLogprob[], offsets: TextOffsets): WireCompletionLogprobs {
  return {
    tokens: logprobs.map(spell),
    token_logprobs: logprobs.map(({ logprob }) => logprob),
    top_logprobs: logprobs.map(encodeTop),
    text_offset: logprobs.map((token) => offsets.advance(token)),
  }
}

/** Up to one more than was asked for. Of tokens with the same spelling the sampled one counts, then the likeliest. */
function encodeTop(token: TokenLogprob): Readonly<Record<string, number>> {
  const top = new Map<string, number>()
  for (const other of token.top) if (!top.has(spell(other))) top.set(spell(other), other.logprob)
  top.set(spell(token), token.logprob)
  return Object.fromEntries(top)
}

/** Printable ASCII stays as it is inside `bytes:`. A special token has no bytes, only its name. */
function spell({ text, bytes }: SpelledToken): string {
  if (!text.includes('\uFFFD') || isUtf8(Uint8Array.from(bytes))) return text
  const spelled = bytes.map((byte) => {
    const isPlain = byte >= 0x20 && byte < 0x7f && byte !== BACKSLASH
    return isPlain ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`
  })
  return `bytes:${spelled.join('')}`
}
