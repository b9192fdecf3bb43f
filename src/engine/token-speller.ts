/**
 * How tokens are spelled in logprobs: text and bytes. One per engine: up to 21 spellings per computed token make the same few again and
 * again, so they are kept.
 */
import type { TokenLogprob } from '#contract/generate'
import type { TokenLogprobs } from './scheduler/token-request.ts'
import type { Tokenizer } from './tokenizers/tokenizer.ts'

interface Spelling {
  readonly tokenId: number
  readonly text: string
  readonly bytes: readonly number[]
}

/** A few megabytes; a full memory forgets everything and starts again. */
const MAX_KEPT_SPELLINGS = 32_768
const SPACE_BYTE = 0x20
/** U+FEFF is a character of the answer, not a mark in front of it. */
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

export class TokenSpeller {
  private readonly tokenizer: Tokenizer
  private readonly kept = new Map<number, Spelling>()

  constructor(tokenizer: Tokenizer) {
    this.tokenizer = tokenizer
  }

  /** Copies out of `logprobs`, which the core overwrites. `stripsSpace`: a leading space is no part of the answer. */
  describe(tokenId: number, logprobs: TokenLogprobs, stripsSpace: boolean): TokenLogprob {
    const top: TokenLogprob['top'][number][] = []
    for (let rank = 0; rank < logprobs.numTop; rank += 1) {
      const { tokenId: topId, text, bytes } = this.spell(logprobs.topTokenIds[rank]!, stripsSpace)
      top.push({ tokenId: topId, text, bytes, logprob: logprobs.topLogprobs[rank]! })
    }
    const { text, bytes } = this.spell(tokenId, stripsSpace)
    return { tokenId, text, bytes, logprob: logprobs.logprob, top }
  }

  private spell(tokenId: number, stripsSpace: boolean): Spelling {
    const bytes = this.tokenizer.tokenBytes(tokenId)
    if (stripsSpace && bytes[0] === SPACE_BYTE) return spellBytes(tokenId, bytes.subarray(1))
    const known = this.kept.get(tokenId)
    if (known !== undefined) return known
    const spelling = bytes.length === 0 ? { tokenId, text: this.tokenizer.tokenText(tokenId), bytes: [] } : spellBytes(tokenId, bytes)
    if (this.kept.size >= MAX_KEPT_SPELLINGS) this.kept.clear()
    this.kept.set(tokenId, spelling)
    return spelling
  }
}

function spellBytes(tokenId: number, bytes: Uint8Array): Spelling {
  return { tokenId, text: decoder.decode(bytes), bytes: [...bytes] }
}
