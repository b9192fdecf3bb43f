/**
 * One choice's way from tokens to what may be sent: text that no stop string can take any more, and with logprobs the tokens that spell it.
 * Text and tokens leave together, cut at token borders, so that no logprob tells what a stop string will hide.
 */
import type { GenerateRequest, TokenLogprob } from '#contract/generate'
import type { TokenLogprobs } from './scheduler/token-request.ts'
import type { TokenSpeller } from './token-speller.ts'
import { Detokenizer } from './tokenizers/detokenizer.ts'
import { StopStringMatcher } from './tokenizers/stop-strings.ts'
import type { Tokenizer } from './tokenizers/tokenizer.ts'

export interface TextPart {
  readonly text: string
  /** With logprobs: the tokens that spell it. Their bytes are the text's, except next to a stop string and where bytes are not UTF-8. */
  readonly tokens: readonly HeldToken[]
}

export interface HeldToken {
  readonly logprob: TokenLogprob
  /** UTF-16 units of the choice's text before the token, and up to its end; a code point that it leaves open counts as one. */
  readonly start: number
  readonly end: number
}

const NO_TOKENS: readonly HeldToken[] = []

export interface ChoiceTextParts {
  readonly request: GenerateRequest
  readonly tokenizer: Tokenizer
  readonly speller: TokenSpeller
  /** Special tokens that are seen as this text, by stop strings too. Null: all are invisible. */
  readonly markTexts: ReadonlyMap<number, string> | null
}

export class ChoiceText {
  /** The stop string that ended the choice; nothing may be pushed after it. */
  matched: string | null = null
  /** UTF-16 units of the choice's text so far. */
  numDecoded = 0
  private readonly detokenizer: Detokenizer
  private readonly stops: StopStringMatcher
  private readonly speller: TokenSpeller
  private readonly markTexts: ReadonlyMap<number, string> | null
  private readonly includeStopString: boolean
  private heldTokens: HeldToken[] = []
  /** Safe to send but for its last token. */
  private heldText = ''
  /** Of the decoded units, those that no stop string can take any more, and those that were sent. */
  private numSafe = 0
  private numSent = 0

  constructor({ request, tokenizer, speller, markTexts }: ChoiceTextParts) {
    // A chat turn begins anew; a raw prompt is continued, so its first token's space is real.
    this.detokenizer = new Detokenizer(tokenizer, request.input.kind === 'messages' ? {} : { stripLeadingSpace: false })
    this.stops = new StopStringMatcher(request.stopStrings, request.includeStopString)
    this.includeStopString = request.includeStopString
    this.speller = speller
    this.markTexts = markTexts
  }

  /** Hot: per token. What may be sent now; sets `matched` when the choice is over. */
  push(tokenId: number, logprobs: TokenLogprobs | null): TextPart {
    const { detokenizer } = this
    const logprob = logprobs === null ? null : this.speller.describe(tokenId, logprobs, detokenizer.stripsNextSpace)
    const start = this.numDecoded
    const mark = this.markTexts?.get(tokenId)
    const decoded = mark === undefined ? detokenizer.push(tokenId) : detokenizer.finish() + mark
    this.numDecoded += decoded.length
    if (logprob !== null) this.heldTokens.push({ logprob, start, end: this.numDecoded + (detokenizer.isInsideCodePoint ? 1 : 0) })
    this.scan(decoded)
    return this.matched === null ? this.takeSafe() : this.takeCut()
  }

  /** The choice is over without a stop string so far: its last bytes may still complete one. */
  finish(): TextPart {
    this.scan(this.detokenizer.finish())
    if (this.matched !== null) return this.takeCut()
    const part = { text: this.heldText + this.stops.finish(), tokens: this.heldTokens }
    this.heldTokens = []
    return part
  }

  private scan(decoded: string): void {
    const { text, matched } = this.stops.push(decoded)
    this.heldText += text
    this.numSafe += text.length
    this.matched = matched
  }

  private takeSafe(): TextPart {
    const { heldTokens } = this
    let numTokens = 0
    while (numTokens < heldTokens.length && heldTokens[numTokens]!.end <= this.numSafe) numTokens += 1
    if (numTokens === heldTokens.length) return this.take(this.numSafe, numTokens)
    return this.take(numTokens === 0 ? this.numSent : this.pastPair(heldTokens[numTokens - 1]!.end), numTokens)
  }

  /** A token that begins a code point of two units ends between them by its own count. */
  private pastPair(end: number): number {
    const last = this.heldText.charCodeAt(end - this.numSent - 1)
    return last >= 0xd800 && last <= 0xdbff ? end + 1 : end
  }

  private take(end: number, numTokens: number): TextPart {
    const text = this.heldText.slice(0, end - this.numSent)
    this.heldText = this.heldText.slice(text.length)
    this.numSent = end
    return { text, tokens: numTokens === 0 ? NO_TOKENS : this.heldTokens.splice(0, numTokens) }
  }

  /** A token that reaches over the cut spells hidden text: it goes only where the stop string itself is kept. */
  private takeCut(): TextPart {
    const cut = this.numSafe
    const kept = this.heldTokens.filter(({ start, end }) => start < cut && (end <= cut || this.includeStopString))
    this.heldTokens = []
    return { text: this.heldText, tokens: kept.map(({ logprob, start, end }) => ({ logprob, start, end: Math.min(end, cut) })) }
  }
}

/** Null for none. */
export function logprobsOf(tokens: readonly HeldToken[]): readonly TokenLogprob[] | null {
  return tokens.length === 0 ? null : tokens.map(({ logprob }) => logprob)
}
