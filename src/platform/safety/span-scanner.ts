/**
 * Finds spans in text that arrives in pieces, and says how much of it is decided. The text is cut into stretches at places that depend
 * on the text alone, and each stretch is searched as a whole: so that the findings are the same however the text was chunked.
 *
 * Two kinds of cut. Quiet: after white space, where no phrase has begun and the last words hold nothing that personal data begins with.
 * Forced: when so much text has gathered that a match which begins in its first `step` characters must have ended (patterns have this
 * kind only). A forced cut never falls into a match: it moves behind it, and waits for more text where the match is at the edge.
 */
import { START_OF_PHRASES, type PhraseState } from './phrase-matcher.ts'
import { isSpaceCode } from './fold-text.ts'
import { LEFT_CONTEXT, type SpanRules } from './span-rules.ts'
import type { TextSpan } from './text-span.ts'

/** So many quiet words after one that may begin personal data, and none of it can be open. */
const QUIET_WORDS = 4
/** A forced cut waits no longer than for this text: matches that touch each other all the way are then cut where one ends. */
const MAX_STRETCH = 32_768
/** Digits and signs that personal data needs, and words that announce it. */
const LOUD = new Uint8Array(128)
for (const sign of '0123456789@:=+/_') LOUD[sign.charCodeAt(0)] = 1
const LOUD_WORDS = new Set(
  (
    'password passwd pwd passcode passphrase key token secret bearer authorization mr mrs ms miss dr prof sir herr frau mme name names me ' +
    'signed sincerely regards patient api begin private sk sg'
  ).split(' '),
)
const MAX_LOUD_WORD = 16
const SPACE = 32
const HYPHEN = 45

export class SpanScanner {
  /** All found so far, by stretch; offsets into the whole text. The last stretch's spans may hold a block. */
  readonly spans: TextSpan[] = []
  /** Characters before this are decided: masked or free. Stops at the stretch that holds a blocked span. */
  decided = 0
  isBlocked = false
  private readonly rules: SpanRules
  private readonly step: number
  /** Text from `base` on: at most LEFT_CONTEXT characters before `decided`, then what is undecided. */
  private text = ''
  private base = 0
  /** Characters of the text that the walk has seen. */
  private walked = 0
  private phrase: PhraseState = START_OF_PHRASES
  private profanity: PhraseState = START_OF_PHRASES
  private quietWords = QUIET_WORDS
  private word = ''
  private isWordLoud = false
  private hasWord = false
  private seen = { hasLoud: false, hasPhrase: false }
  /** Where the stretch is searched although nothing is quiet. */
  private forcedAt: number

  constructor(rules: SpanRules) {
    this.rules = rules
    this.step = Math.max(64, rules.maxLength >> 2)
    this.forcedAt = this.firstForced()
  }

  push(piece: string): void {
    this.text += piece
    const end = this.base + this.text.length
    while (!this.isBlocked && this.walked < end) {
      const code = this.text.charCodeAt(this.walked - this.base)
      if (code >= 0xd800 && code <= 0xdbff && this.walked + 1 === end) return
      this.walk(this.text.codePointAt(this.walked - this.base)!)
    }
  }

  /** The text is whole: all of it is searched. */
  finish(): void {
    if (this.isBlocked) return
    this.walked = this.base + this.text.length
    this.closeWord()
    this.search(this.walked, this.walked)
  }

  private walk(codePoint: number): void {
    this.walked += codePoint > 0xffff ? 2 : 1
    const { phrases, profanity } = this.rules
    this.phrase = phrases.step(this.phrase, codePoint)
    this.profanity = profanity.step(this.profanity, codePoint)
    if (phrases.hasHit(this.phrase) || profanity.hasHit(this.profanity)) this.seen.hasPhrase = true
    if (isSpaceCode(codePoint)) {
      if (this.hasWord) this.closeWord()
      this.hasWord = false
      if (this.isQuiet()) this.search(this.walked, this.walked)
    } else this.spell(codePoint)
    if (!this.isBlocked && this.walked >= this.forcedAt) this.searchForced()
  }

  private spell(codePoint: number): void {
    this.hasWord = true
    if (codePoint >= 128) this.word = ''
    else if (LOUD[codePoint] === 1) this.isWordLoud = true
    else if (isLetter(codePoint)) this.word = this.word.length > MAX_LOUD_WORD ? this.word : this.word + String.fromCharCode(codePoint | 32)
    else this.closePart(codePoint)
  }

  private isQuiet(): boolean {
    const { phrases, profanity, hasPatterns } = this.rules
    return !hasPatterns && this.quietWords >= QUIET_WORDS && phrases.isClosed(this.phrase) && profanity.isClosed(this.profanity)
  }

  private closePart(by: number): void {
    // A hardware address may be letters only.
    if (by === HYPHEN && /^[a-f]{2}$/.test(this.word)) this.isWordLoud = true
    if (LOUD_WORDS.has(this.word) || this.word === 'www') this.isWordLoud = true
    this.word = ''
  }

  private closeWord(): void {
    this.closePart(SPACE)
    if (this.rules.hasPii && this.isWordLoud) {
      this.quietWords = 0
      this.seen.hasLoud = true
    } else this.quietWords++
    this.isWordLoud = false
  }

  private firstForced(): number {
    return this.decided + this.step + this.rules.maxLength + 1
  }

  /** What begins in the first `step` characters and all that touches it is decided; the rest stays. */
  private searchForced(): void {
    const available = this.walked
    const hasLoud = this.rules.hasPii
    const spans = this.findTo(available, { hasLoud, hasPhrase: true })
    let cut = this.decided + this.step
    const code = this.text.charCodeAt(cut - 1 - this.base)
    if (code >= 0xd800 && code <= 0xdbff) cut++
    for (const { start, end } of spans) if (start < cut) cut = Math.max(cut, end)
    const isAtEdge = cut > available - this.rules.maxLength - 1
    if (isAtEdge && available - this.decided < MAX_STRETCH && !spans.some(({ start, action }) => start < cut && action === 'block')) {
      this.forcedAt = this.decided + Math.min(MAX_STRETCH, 2 * (available - this.decided))
      return
    }
    this.take(
      spans.filter(({ start }) => start < cut),
      cut,
    )
    // What is left has been walked, and no cut was quiet in it.
    this.seen = { hasLoud, hasPhrase: true }
  }

  private search(available: number, cut: number): void {
    this.take(this.seen.hasLoud || this.seen.hasPhrase || this.rules.hasPatterns ? this.findTo(available, this.seen) : [], cut)
    this.seen = { hasLoud: false, hasPhrase: false }
  }

  private findTo(available: number, seen: { readonly hasLoud: boolean; readonly hasPhrase: boolean }): TextSpan[] {
    const found = this.rules.find(this.text.slice(0, available - this.base), this.decided - this.base, seen)
    return found.map((span) => ({ ...span, start: span.start + this.base, end: span.end + this.base }))
  }

  private take(spans: readonly TextSpan[], cut: number): void {
    this.spans.push(...spans)
    if (spans.some(({ action }) => action === 'block')) {
      this.isBlocked = true
      return
    }
    this.decided = cut
    const base = Math.max(this.base, cut - LEFT_CONTEXT)
    this.text = this.text.slice(base - this.base)
    this.base = base
    this.forcedAt = this.firstForced()
  }
}

function isLetter(codePoint: number): boolean {
  return (codePoint >= 65 && codePoint <= 90) || (codePoint >= 97 && codePoint <= 122)
}
