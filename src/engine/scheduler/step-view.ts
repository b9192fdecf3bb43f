/** What the policy of a step sees of those that run and of the first that waits, and what follows from a view alone. */
import type { Lane } from '#contract/lane'

export interface RunningView {
  readonly numPendingTokens: number
  /** Tokens that its last step brought: one sampled, and those that had to follow it. While no others are pending, it decodes. */
  readonly numNewestTokens: number
  /** Blocks to take before its pending tokens can be computed. Those that it had when it was admitted have theirs. */
  readonly numMissingBlocks: number
  /** Running places that it occupies. */
  readonly numSlots: number
  /** Logit rows of the step that computes its last pending token. */
  readonly numLogitRows: number
  /** Each of its tokens is an output row. */
  readonly isEmbed: boolean
  readonly lane: Lane
}

/** What the policy sees of the first waiting sequence. */
export interface CandidateView {
  readonly numSlots: number
  readonly lane: Lane
  /** Free blocks that its known tokens would take, prefix hits on free blocks included. Walks its hashes, so it is asked last. */
  countBlocks(): number
}

export interface StepView {
  /** Sorted, first in order first: by lanes, then in each. */
  readonly running: readonly RunningView[]
  readonly candidate: CandidateView | null
  readonly numFreeBlocks: number
  /** Most tokens of the background in this step; at least 1. */
  readonly maxBackgroundTokens: number
  /** Something was preempted for this step: admitting now would undo it. */
  readonly hasPreempted: boolean
  /** Something was displaced for this step: admitting it again now would undo it. */
  readonly hasDisplaced: boolean
}

export interface DecisionLimits {
  readonly maxTokensPerStep: number
  readonly maxPrefillTokensWithDecodes: number
  readonly maxSequences: number
  readonly maxOutputsPerStep: number
  readonly admissionWatermarkBlocks: number
}

export function isDecoding(sequence: RunningView): boolean {
  return sequence.numPendingTokens <= sequence.numNewestTokens && !sequence.isEmbed
}

/** Tokens that a sequence takes of what is left; one less than all when the rows that it would then sample do not fit. */
export function chunkTokens(sequence: RunningView, tokensLeft: number, outputsLeft: number): number {
  const chunk = Math.min(sequence.numPendingTokens, tokensLeft)
  if (sequence.isEmbed) return Math.min(chunk, outputsLeft)
  return outputRows(sequence, chunk) <= outputsLeft ? chunk : chunk - 1
}

export function outputRows(sequence: RunningView, chunk: number): number {
  if (sequence.isEmbed) return chunk
  return chunk === sequence.numPendingTokens ? sequence.numLogitRows : 0
}

/** Those before the background. */
export function countForeground(running: readonly RunningView[]): number {
  let count = running.length
  while (count > 0 && running[count - 1]!.lane === 'background') count--
  return count
}

export function countReserved(running: readonly RunningView[]): number {
  let count = 0
  while (count < running.length && running[count]!.lane === 'reserved') count++
  return count
}
