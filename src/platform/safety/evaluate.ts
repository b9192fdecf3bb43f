/** Judges text that is whole: the input of a call, and what ApplyGuardrail is given. */
import { setImmediate } from 'node:timers/promises'
import type { Clock } from '#base/clock'
import type { GuardAssessment, GuardContent, GuardFinding } from '#contract/guardrail'
import type { CompiledPolicy, PassageJudge } from './compiled-policy.ts'
import { MAX_PASSAGE, PassageCutter } from './passage-cutter.ts'
import { SpanScanner } from './span-scanner.ts'
import type { SpanRules } from './span-rules.ts'
import { applyMasks, findingOf, masksOf } from './text-span.ts'

/** One text and whether its meaning is judged as well. */
export interface JudgedText {
  readonly text: string
  readonly isMeaningJudged: boolean
}

export interface Evaluation {
  readonly isBlocked: boolean
  readonly isMasked: boolean
  /** As they came, masked where a rule says so; of no use when blocked. */
  readonly texts: readonly string[]
  readonly assessment: GuardAssessment
}

export interface EvaluateOptions {
  readonly compiled: CompiledPolicy
  readonly direction: 'input' | 'output'
  readonly texts: readonly JudgedText[]
  /** Sources and query, for grounding. */
  readonly context: readonly GuardContent[]
  readonly clock: Clock
  readonly signal: AbortSignal
}

const MAX_FINDINGS = 256
/** Characters that are judged in one go; the event loop runs in between. */
const PIECE = 16_384

/** Rejects when a model that judges cannot be asked: nothing is let through unjudged. */
export async function evaluate({ compiled, direction, texts, context, clock, signal }: EvaluateOptions): Promise<Evaluation> {
  const beganMs = clock.nowMs()
  const rules = compiled.spans[direction]
  const judge = compiled.judgeOf(direction, context)
  const findings: GuardFinding[] = []
  const shown: string[] = []
  const pace = new Pace(signal)
  for (const { text, isMeaningJudged } of texts) {
    const scanned = rules === null ? { findings: [], masked: text } : await scan(rules, text, pace)
    findings.push(...scanned.findings)
    shown.push(scanned.masked)
    if (judge !== null && isMeaningJudged && !isBlocking(findings)) findings.push(...(await judgeAll(judge, text, pace)))
  }
  const isBlocked = isBlocking(findings)
  return {
    isBlocked,
    isMasked: findings.some(({ action }) => action === 'mask'),
    texts: shown,
    assessment: {
      direction,
      findings: boundFindings(findings),
      judgedCharacters: texts.reduce((sum, { text }) => sum + text.length, 0),
      latencyMs: clock.nowMs() - beganMs,
    },
  }
}

export function isBlocking(findings: readonly GuardFinding[]): boolean {
  return findings.some(({ action }) => action === 'block')
}

/** The first ones, and the first block among the others: a trace is bounded. */
export function boundFindings(findings: readonly GuardFinding[]): readonly GuardFinding[] {
  if (findings.length <= MAX_FINDINGS) return findings
  const first = findings.slice(0, MAX_FINDINGS)
  const block = isBlocking(first) ? undefined : findings.find(({ action }) => action === 'block')
  return block === undefined ? first : [...first.slice(1), block]
}

/** Of all texts of one evaluation together: a thousand short ones are as much work as a long one. */
class Pace {
  readonly signal: AbortSignal
  private numCharacters = 0

  constructor(signal: AbortSignal) {
    this.signal = signal
  }

  /** Before so many characters are judged. */
  async before(numCharacters: number): Promise<void> {
    const isDue = this.numCharacters > 0 && this.numCharacters + numCharacters > PIECE
    this.numCharacters = isDue ? numCharacters : this.numCharacters + numCharacters
    if (isDue) await setImmediate()
    this.signal.throwIfAborted()
  }
}

async function scan(rules: SpanRules, text: string, pace: Pace): Promise<{ readonly findings: readonly GuardFinding[]; readonly masked: string }> {
  const scanner = new SpanScanner(rules)
  for (let at = 0; at < text.length && !scanner.isBlocked; at += PIECE) {
    const piece = text.slice(at, at + PIECE)
    await pace.before(piece.length)
    scanner.push(piece)
  }
  scanner.finish()
  const findings = scanner.spans.map((span) => findingOf(span, text.slice(span.start, span.end)))
  return { findings, masked: scanner.isBlocked ? '' : applyMasks(text, masksOf(scanner.spans)) }
}

/** In passages of whole sentences, so that a bad one is not drowned by the rest. */
async function judgeAll(judge: PassageJudge, text: string, pace: Pace): Promise<readonly GuardFinding[]> {
  const judgeInTurn = async (passage: string): Promise<readonly GuardFinding[]> => {
    if (passage.trim() === '') return []
    await pace.before(passage.length)
    return judge(passage, pace.signal)
  }
  if (text.length <= MAX_PASSAGE) return judgeInTurn(text)
  const findings: GuardFinding[] = []
  const cutter = new PassageCutter()
  const add = async (passage: { readonly text: string; readonly start: number }): Promise<void> => {
    const found = await judgeInTurn(passage.text)
    findings.push(...found.map((finding) => ({ ...finding, start: finding.start + passage.start, end: finding.end + passage.start })))
  }
  for (let passage = cutter.push(text); passage !== null && !isBlocking(findings); passage = cutter.push('')) await add(passage)
  if (!isBlocking(findings)) await add(cutter.rest())
  return findings
}
