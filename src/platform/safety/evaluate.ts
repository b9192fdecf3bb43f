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
/** Characters that are searched in one go. */
const PIECE = 16_384

/** Rejects when a model that judges cannot be asked: nothing is let through unjudged. */
export async function evaluate({ compiled, direction, texts, context, clock, signal }: EvaluateOptions): Promise<Evaluation> {
  const beganMs = clock.nowMs()
  const rules = compiled.spans[direction]
  const judge = compiled.judgeOf(direction, context)
  const findings: GuardFinding[] = []
  const shown: string[] = []
  for (const { text, isMeaningJudged } of texts) {
    const scanned = rules === null ? { findings: [], masked: text } : await scan(rules, text, signal)
    findings.push(...scanned.findings)
    shown.push(scanned.masked)
    if (judge !== null && isMeaningJudged && !isBlocking(findings)) findings.push(...(await judgeAll(judge, text, signal)))
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

/** Of a long text piece by piece: the event loop runs in between. */
async function scan(
  rules: SpanRules,
  text: string,
  signal: AbortSignal,
): Promise<{ readonly findings: readonly GuardFinding[]; readonly masked: string }> {
  const scanner = new SpanScanner(rules)
  for (let at = 0; at < text.length && !scanner.isBlocked; at += PIECE) {
    if (at > 0) await setImmediate()
    signal.throwIfAborted()
    scanner.push(text.slice(at, at + PIECE))
  }
  scanner.finish()
  const findings = scanner.spans.map((span) => findingOf(span, text.slice(span.start, span.end)))
  return { findings, masked: scanner.isBlocked ? '' : applyMasks(text, masksOf(scanner.spans)) }
}

/** In passages of whole sentences, so that a bad one is not drowned by the rest. */
async function judgeAll(judge: PassageJudge, text: string, signal: AbortSignal): Promise<readonly GuardFinding[]> {
  if (text.length <= MAX_PASSAGE) return text.trim() === '' ? [] : judge(text, signal)
  const findings: GuardFinding[] = []
  const cutter = new PassageCutter()
  const add = async (passage: { readonly text: string; readonly start: number }): Promise<void> => {
    if (passage.text.trim() === '') return
    const found = await judge(passage.text, signal)
    findings.push(...found.map((finding) => ({ ...finding, start: finding.start + passage.start, end: finding.end + passage.start })))
  }
  for (let passage = cutter.push(text); passage !== null && !isBlocking(findings); passage = cutter.push('')) await add(passage)
  if (!isBlocking(findings)) await add(cutter.rest())
  return findings
}
