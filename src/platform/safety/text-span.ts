/** What rules over characters find, and how findings that overlap become one edit of the text. */
import type { GuardAction, GuardFinding } from '#contract/guardrail'

/** UTF-16 units. */
export interface Stretch {
  readonly start: number
  readonly end: number
}

export interface TextSpan extends Stretch {
  readonly policy: GuardFinding['policy']
  readonly rule: string
  readonly action: GuardAction
  /** What stands in its place when it is masked. */
  readonly placeholder: string
}

/** An edit of the text: `start` to `end` becomes `placeholder`. */
export interface Mask extends Stretch {
  readonly placeholder: string
}

/**
 * Masks in order, none overlapping: of spans that touch each other's characters the one that starts first gives the placeholder, of
 * those the longest, of those the first rule; all their characters go.
 */
export function masksOf(spans: readonly TextSpan[]): Mask[] {
  const order = spans.filter(({ action }) => action === 'mask').toSorted((a, b) => a.start - b.start || b.end - a.end)
  const masks: { start: number; end: number; placeholder: string }[] = []
  for (const { start, end, placeholder } of order) {
    const last = masks.at(-1)
    if (last !== undefined && start < last.end) last.end = Math.max(last.end, end)
    else masks.push({ start, end, placeholder })
  }
  return masks
}

export function applyMasks(text: string, masks: readonly Mask[]): string {
  let masked = ''
  let at = 0
  for (const { start, end, placeholder } of masks) {
    masked += text.slice(at, start) + placeholder
    at = end
  }
  return masked + text.slice(at)
}

export function findingOf(span: TextSpan, match: string): GuardFinding {
  const { policy, rule, action, start, end } = span
  return { policy, rule, action, match, start, end, score: null, threshold: null, confidence: null }
}
