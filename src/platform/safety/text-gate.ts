/**
 * One text of an answer on its way out (its words, its thoughts, the arguments of one call): how much of it is decided and what is
 * shown of it. Offsets are those of the text as the model writes it. What is decided depends on the text alone, never on its chunks.
 */
import type { GuardFinding } from '#contract/guardrail'
import type { PassageJudge } from './compiled-policy.ts'
import { isBlocking } from './evaluate.ts'
import { JsonTextReader } from './json-text.ts'
import { PassageCutter } from './passage-cutter.ts'
import { SpanScanner } from './span-scanner.ts'
import type { SpanRules } from './span-rules.ts'
import { findingOf, masksOf, type Mask } from './text-span.ts'

export interface TextGateOptions {
  readonly rules: SpanRules | null
  readonly judge: PassageJudge | null
  /** Arguments of a call: rules read what the JSON says. */
  readonly isJson: boolean
  readonly signal: AbortSignal
}

export class TextGate {
  readonly findings: GuardFinding[] = []
  isBlocked = false
  numJudged = 0
  private readonly scanner: SpanScanner | null
  private readonly cutter: PassageCutter | null
  private readonly judge: PassageJudge | null
  private readonly json: JsonTextReader | null
  private readonly signal: AbortSignal
  /** The text as rules read it. */
  private read = ''
  /** Of the read text: given to the scanner, judged by meaning. */
  private scanned = 0
  private judged = 0
  private numSpans = 0
  private masks: Mask[] = []

  constructor({ rules, judge, isJson, signal }: TextGateOptions) {
    this.scanner = rules === null ? null : new SpanScanner(rules)
    this.judge = judge
    this.cutter = judge === null ? null : new PassageCutter()
    this.json = isJson ? new JsonTextReader() : null
    this.signal = signal
  }

  /** Rejects when a model that judges cannot be asked. */
  async push(piece: string): Promise<void> {
    await this.take(this.json === null ? piece : this.json.push(piece))
  }

  /** The text is whole. */
  async finish(): Promise<void> {
    if (this.json !== null) await this.take(this.json.finish())
    if (this.isBlocked) return
    this.scanTo(this.read.length)
    this.scanner?.finish()
    this.collect()
    if (this.cutter !== null && !this.isBlocked) await this.judgePassage(this.cutter.rest())
  }

  /** Characters before this may be shown, as `render` gives them. */
  get decided(): number {
    const decided = Math.min(this.scanner?.decided ?? this.read.length, this.judge === null ? this.read.length : this.judged)
    return this.json === null ? decided : this.json.rawOffset(decided)
  }

  /** What is shown of `text`, the characters from `start` on. A mask shows where it begins. */
  render(text: string, start: number): string {
    const end = start + text.length
    let shown = ''
    let at = start
    for (const mask of this.masks) {
      if (mask.end <= at || mask.start >= end) continue
      if (mask.start >= at) shown += text.slice(at - start, mask.start - start) + mask.placeholder
      at = Math.min(end, mask.end)
    }
    return shown + text.slice(at - start)
  }

  /** Nothing of these characters is masked. */
  isClear(start: number, end: number): boolean {
    return !this.masks.some((mask) => mask.start < end && mask.end > start)
  }

  /** Nothing before this offset will be asked for any more. */
  forget(before: number): void {
    while (this.masks.length > 0 && this.masks[0]!.end <= before) this.masks.shift()
  }

  /** Passage by passage: spans are sought up to where a passage shows itself, then it is judged. So chunks decide nothing. */
  private async take(piece: string): Promise<void> {
    this.read += piece
    this.numJudged += piece.length
    if (this.cutter !== null) {
      for (let passage = this.cutter.push(piece); passage !== null && !this.isBlocked; passage = this.cutter.push('')) {
        this.scanTo(passage.seenTo)
        if (!this.isBlocked) await this.judgePassage(passage)
      }
    }
    if (!this.isBlocked) this.scanTo(this.read.length)
  }

  private scanTo(end: number): void {
    if (this.scanner === null || end <= this.scanned) return
    this.scanner.push(this.read.slice(this.scanned, end))
    this.scanned = end
    this.collect()
  }

  private collect(): void {
    if (this.scanner === null) return
    const fresh = this.scanner.spans.slice(this.numSpans)
    this.numSpans = this.scanner.spans.length
    this.findings.push(...fresh.map((span) => findingOf(span, this.read.slice(span.start, span.end))))
    const json = this.json
    const masks = masksOf(fresh)
    this.masks.push(
      ...(json === null
        ? masks
        : masks.map(({ start, end, placeholder }) => ({ placeholder, start: json.rawOffset(start), end: json.rawOffset(end) }))),
    )
    if (this.scanner.isBlocked) this.isBlocked = true
  }

  private async judgePassage({ text, start, end }: { readonly text: string; readonly start: number; readonly end: number }): Promise<void> {
    if (text.trim() !== '') {
      const found = await this.judge!(text, this.signal)
      this.findings.push(...found.map((finding) => ({ ...finding, start: finding.start + start, end: finding.end + start })))
      if (isBlocking(found)) {
        this.isBlocked = true
        return
      }
    }
    this.judged = end
  }
}
