/**
 * The scheduling policy, as a pure function from a view to one decision. There is no prefill phase and no decode phase: every
 * sequence has pending tokens (known, not computed), and a step is a division of one token budget among them.
 *
 * One call gives one of three answers; after 'preempt' and 'admit' the scheduler applies it and asks again on the state that
 * came out, so the policy never has to predict what freeing shared blocks will yield:
 *   preempt   what runs needs more blocks than are free: the last sequence in order gives its blocks back
 *   admit     the first waiting sequence gets blocks for all its known tokens
 *   run       out.numTokens[i] pending tokens of running[i] are computed
 *
 * Running sequences whose pending tokens their last step brought (they decode) come first, so that a long prompt never stops a
 * stream: each computes one token, and those that were made to follow share at most half of what is left. The rest goes to the
 * others, the larger part to the first in order. A waiting sequence is never passed by a later one,
 * whatever its size: nothing starves.
 */
import { assert } from '#base/assert'

/** What the policy sees of a running sequence. */
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
}

/** What the policy sees of the first waiting sequence. */
export interface CandidateView {
  readonly numSlots: number
  /** Free blocks that its known tokens would take, prefix hits on free blocks included. Walks its hashes, so it is asked last. */
  countBlocks(): number
}

export interface StepView {
  /** Sorted, first in order first. */
  readonly running: readonly RunningView[]
  readonly candidate: CandidateView | null
  readonly numFreeBlocks: number
  /** Something was preempted for this step: admitting now would undo it. */
  readonly hasPreempted: boolean
}

export interface DecisionLimits {
  readonly maxTokensPerStep: number
  readonly maxPrefillTokensWithDecodes: number
  readonly maxSequences: number
  readonly maxOutputsPerStep: number
  readonly admissionWatermarkBlocks: number
}

/** Reused from call to call. */
export interface StepDecision {
  action: 'preempt' | 'admit' | 'run'
  /** i32 (maxSequences): after 'run', tokens to compute of running[i]; 0 = not in this step. */
  readonly numTokens: Int32Array
}

/** Pure but for `out`, which is overwritten. Allocates nothing. */
export function decideStep(view: StepView, limits: DecisionLimits, out: StepDecision): void {
  const numMissingBlocks = countMissingBlocks(view.running)
  if (numMissingBlocks > view.numFreeBlocks) {
    assert(view.running.length > 1, 'one sequence alone outgrows the KV cache')
    out.action = 'preempt'
  } else if (mayAdmit(view, limits, numMissingBlocks)) {
    out.action = 'admit'
  } else {
    out.action = 'run'
    divideBudget(view.running, limits, out.numTokens)
  }
}

function countMissingBlocks(running: readonly RunningView[]): number {
  let numBlocks = 0
  for (let index = 0; index < running.length; index++) numBlocks += running[index]!.numMissingBlocks
  return numBlocks
}

function mayAdmit(view: StepView, limits: DecisionLimits, numMissingBlocks: number): boolean {
  const { candidate, running } = view
  if (candidate === null || view.hasPreempted) return false
  if (running.length === 0) {
    assert(candidate.countBlocks() <= view.numFreeBlocks, 'a request that can never fit was queued')
    return true
  }
  let numSlots = candidate.numSlots
  let numDecodes = 0
  let numFollowing = 0
  for (let index = 0; index < running.length; index++) {
    const sequence = running[index]!
    numSlots += sequence.numSlots
    if (!isDecoding(sequence)) continue
    numDecodes++
    if (sequence.numNewestTokens > 1) numFollowing += sequence.numPendingTokens - 1
  }
  if (numSlots > limits.maxSequences) return false
  const budget = prefillBudget(limits, numDecodes)
  if (!hasPrefillRoom(running, budget - Math.min(numFollowing, followShare(budget, true)))) return false
  // Each further choice will copy the prompt's last block when it writes its first token.
  const numReservedBlocks = limits.admissionWatermarkBlocks + candidate.numSlots - 1
  return numMissingBlocks + numReservedBlocks + candidate.countBlocks() <= view.numFreeBlocks
}

/** Whether the shares of those that prefill leave something of the budget. What is admitted earlier would only hold blocks. */
function hasPrefillRoom(running: readonly RunningView[], budget: number): boolean {
  let tokensLeft = budget
  let rank = 0
  for (let index = 0; index < running.length && tokensLeft > 0; index++) {
    if (isDecoding(running[index]!)) continue
    tokensLeft -= Math.min(running[index]!.numPendingTokens, prefillShare(rank++, budget))
  }
  return tokensLeft > 0
}

function divideBudget(running: readonly RunningView[], limits: DecisionLimits, numTokens: Int32Array): void {
  let outputsLeft = limits.maxOutputsPerStep
  let numDecodes = 0
  let numFollowing = 0
  for (let index = 0; index < running.length; index++) {
    const sequence = running[index]!
    const decodes = isDecoding(sequence)
    numTokens[index] = decodes ? 1 : 0
    if (!decodes) continue
    numDecodes++
    if (sequence.numNewestTokens > 1) numFollowing += sequence.numPendingTokens - 1
    outputsLeft -= sequence.numLogitRows
  }
  assert(numDecodes <= limits.maxTokensPerStep && outputsLeft >= 0, 'more sequences decode than a step has room for')
  const budget = prefillBudget(limits, numDecodes)
  const hasPrefill = numDecodes < running.length
  const numGiven = Math.min(numFollowing, followShare(budget, hasPrefill))
  if (numGiven > 0) divideFollowing(running, numGiven, numTokens)
  if (hasPrefill) dividePrefill({ running, budget: budget - numGiven, outputsLeft }, numTokens)
}

/** Gives those that decode numGiven tokens beyond their first, in order. */
function divideFollowing(running: readonly RunningView[], numGiven: number, numTokens: Int32Array): void {
  let tokensLeft = numGiven
  for (let index = 0; index < running.length && tokensLeft > 0; index++) {
    const sequence = running[index]!
    if (!isDecoding(sequence)) continue
    const chunk = Math.min(sequence.numPendingTokens - 1, tokensLeft)
    numTokens[index] = 1 + chunk
    tokensLeft -= chunk
  }
  assert(tokensLeft === 0, 'tokens were given to nobody')
}

/** First everyone its share, in order, so that a short prompt gets past a long one; then what is left, in order. */
function dividePrefill(
  step: { readonly running: readonly RunningView[]; readonly budget: number; readonly outputsLeft: number },
  numTokens: Int32Array,
): void {
  const { running, budget } = step
  let { outputsLeft } = step
  let tokensLeft = budget
  for (let pass = 0; pass < 2; pass++) {
    let rank = 0
    for (let index = 0; index < running.length && tokensLeft > 0; index++) {
      const sequence = running[index]!
      if (isDecoding(sequence)) continue
      const given = numTokens[index]!
      const share = pass === 0 ? prefillShare(rank++, budget) : budget
      outputsLeft += outputRows(sequence, given)
      const chunk = chunkTokens(sequence, Math.min(share, given + tokensLeft), outputsLeft)
      numTokens[index] = chunk
      tokensLeft -= chunk - given
      outputsLeft -= outputRows(sequence, chunk)
    }
  }
}

/** Most tokens that a sequence gets before others do: half of the budget for the first in order, a quarter for those behind it. */
function prefillShare(rank: number, budget: number): number {
  return Math.ceil(budget / (rank === 0 ? 2 : 4))
}

/** Tokens of the prefill budget that those that decode may take beyond their first: at most half of it where somebody prefills. */
function followShare(budget: number, hasPrefill: boolean): number {
  return hasPrefill ? Math.floor(budget / 2) : budget
}

/** Tokens of a step that sequences other than the decoding ones may take. */
function prefillBudget(limits: DecisionLimits, numDecodes: number): number {
  if (numDecodes === 0) return limits.maxTokensPerStep
  return Math.min(limits.maxTokensPerStep - numDecodes, limits.maxPrefillTokensWithDecodes)
}

function isDecoding(sequence: RunningView): boolean {
  return sequence.numPendingTokens <= sequence.numNewestTokens && !sequence.isEmbed
}

/** Tokens that a sequence takes of what is left; one less than all when the rows that it would then sample do not fit. */
function chunkTokens(sequence: RunningView, tokensLeft: number, outputsLeft: number): number {
  const chunk = Math.min(sequence.numPendingTokens, tokensLeft)
  if (sequence.isEmbed) return Math.min(chunk, outputsLeft)
  return outputRows(sequence, chunk) <= outputsLeft ? chunk : chunk - 1
}

function outputRows(sequence: RunningView, chunk: number): number {
  if (sequence.isEmbed) return chunk
  return chunk === sequence.numPendingTokens ? sequence.numLogitRows : 0
}
