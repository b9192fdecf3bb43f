/**
 * The scheduling policy, as a pure function from a view to one decision. There is no prefill phase and no decode phase: every
 * sequence has pending tokens (known, not computed), and a step is a division of one token budget among them.
 *
 * One call gives one of four answers; but for 'run' the scheduler applies it and asks again on the state that came out, so the
 * policy never has to predict what freeing shared blocks will yield:
 *   preempt   what runs needs more blocks than are free: the last sequence in order gives its blocks back
 *   displace  the first that waits goes before a later lane, which holds its place or its blocks: the last in order gives them back
 *   admit     the first waiting sequence gets blocks for all its known tokens
 *   run       out.numTokens[i] pending tokens of running[i] are computed
 *
 * Running sequences whose pending tokens their last step brought (they decode) come first, so that a long prompt never stops a
 * stream: each computes one token, and those that were made to follow share at most half of what is left. The rest goes to the
 * others, the larger part to the first in order; prompts of the reserved lane have all of it before. A waiting sequence is never passed by
 * a later one, whatever its size: nothing starves in its lane. The background gets what all others leave (background-step.ts).
 */
import { assert } from '#base/assert'
import { divideBackground, fitsBeside, hasBackgroundRoom } from './background-step.ts'
import {
  type CandidateView,
  chunkTokens,
  countForeground,
  countReserved,
  type DecisionLimits,
  isDecoding,
  outputRows,
  type RunningView,
  type StepView,
} from './step-view.ts'

/** Reused from call to call. */
export interface StepDecision {
  action: 'preempt' | 'displace' | 'admit' | 'run'
  /** i32 (maxSequences): after 'run', tokens to compute of running[i]; 0 = not in this step. */
  readonly numTokens: Int32Array
}

/** Pure but for `out`, which is overwritten. */
export function decideStep(view: StepView, limits: DecisionLimits, out: StepDecision): void {
  const { running } = view
  const numForeground = countForeground(running)
  const numReserved = countReserved(running)
  // A prompt of the foreground is on its way: the background holds still.
  const isHeld = hasPrefill(running, numForeground)
  const numMissingBlocks = countMissingBlocks(running, isHeld ? numForeground : running.length)
  if (numMissingBlocks > view.numFreeBlocks) {
    assert(running.length > 1, 'one sequence alone outgrows the KV cache')
    out.action = 'preempt'
    return
  }
  out.action = admission(view, limits, { numReserved, numForeground, isHeld, numMissingBlocks })
  if (out.action === 'run') divideStep(view, limits, { numReserved, numForeground, isHeld }, out.numTokens)
}

interface StepFacts {
  readonly numReserved: number
  /** Those of the reserved lane included. */
  readonly numForeground: number
  readonly isHeld: boolean
  readonly numMissingBlocks: number
}

function hasPrefill(running: readonly RunningView[], count: number): boolean {
  for (let index = 0; index < count; index++) if (!isDecoding(running[index]!)) return true
  return false
}

function countMissingBlocks(running: readonly RunningView[], count: number): number {
  let numBlocks = 0
  for (let index = 0; index < count; index++) numBlocks += running[index]!.numMissingBlocks
  return numBlocks
}

/** 'run' = nobody is admitted now. */
function admission(view: StepView, limits: DecisionLimits, facts: StepFacts): 'admit' | 'displace' | 'run' {
  const { candidate, running } = view
  const { numForeground, numMissingBlocks } = facts
  if (candidate === null || view.hasPreempted) return 'run'
  if (running.length === 0) {
    assert(candidate.countBlocks() <= view.numFreeBlocks, 'a request that can never fit was queued')
    return 'admit'
  }
  const fits = (): boolean => fitsBeside(view, limits, { ...candidate, numMissingBlocks })
  if (candidate.lane === 'background') {
    const mayEnter = !facts.isHeld && !view.hasDisplaced && hasBackgroundRoom(view, limits, numForeground)
    return mayEnter && fits() ? 'admit' : 'run'
  }
  const numBefore = candidate.lane === 'reserved' ? facts.numReserved : numForeground
  if (!hasForegroundRoom(running, limits, { candidate, numReserved: facts.numReserved, numBefore })) return 'run'
  if (fits()) return 'admit'
  return numBefore < running.length ? 'displace' : 'run'
}

/** Whether those that it cannot displace have a place for it, and leave it a part of the step. */
function hasForegroundRoom(
  running: readonly RunningView[],
  limits: DecisionLimits,
  { candidate, numReserved, numBefore }: { readonly candidate: CandidateView; readonly numReserved: number; readonly numBefore: number },
): boolean {
  let numSlots = candidate.numSlots
  let numDecodes = 0
  let numFollowing = 0
  for (let index = 0; index < numBefore; index++) {
    const sequence = running[index]!
    numSlots += sequence.numSlots
    if (!isDecoding(sequence)) continue
    numDecodes++
    if (sequence.numNewestTokens > 1) numFollowing += sequence.numPendingTokens - 1
  }
  if (numSlots > limits.maxSequences) return false
  const budget = prefillBudget(limits, numDecodes)
  const lane = { start: candidate.lane === 'reserved' ? 0 : numReserved, end: numBefore }
  return hasPrefillRoom(running, lane, budget - Math.min(numFollowing, followShare(budget, true)))
}

/** Whether the shares of those that prefill in its lane leave something of the budget; those before it take what they need. */
function hasPrefillRoom(running: readonly RunningView[], { start, end }: { readonly start: number; readonly end: number }, budget: number): boolean {
  let tokensLeft = budget
  for (let index = 0; index < start; index++) if (!isDecoding(running[index]!)) tokensLeft -= running[index]!.numPendingTokens
  const share = tokensLeft
  let rank = 0
  for (let index = start; index < end && tokensLeft > 0; index++) {
    if (isDecoding(running[index]!)) continue
    tokensLeft -= Math.min(running[index]!.numPendingTokens, prefillShare(rank++, share))
  }
  return tokensLeft > 0
}

function divideStep(
  view: StepView,
  limits: DecisionLimits,
  { numReserved, numForeground, isHeld }: Omit<StepFacts, 'numMissingBlocks'>,
  numTokens: Int32Array,
): void {
  const { running } = view
  const rest = divideForeground(running, limits, { numReserved, count: numForeground }, numTokens)
  if (isHeld) numTokens.fill(0, numForeground, running.length)
  else divideBackground(view, limits, { ...rest, numForeground }, numTokens)
}

/** What it leaves of the step; while it prefills that is nobody's. */
function divideForeground(
  running: readonly RunningView[],
  limits: DecisionLimits,
  { numReserved, count }: { readonly numReserved: number; readonly count: number },
  numTokens: Int32Array,
): { readonly tokensLeft: number; readonly outputsLeft: number } {
  let outputsLeft = limits.maxOutputsPerStep
  let numDecodes = 0
  let numFollowing = 0
  for (let index = 0; index < count; index++) {
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
  const prefills = numDecodes < count
  const numGiven = Math.min(numFollowing, followShare(budget, prefills))
  if (numGiven > 0) divideFollowing(running, count, numGiven, numTokens)
  if (prefills) {
    // The reserved lane takes what it needs, the others what that leaves.
    const rest = dividePrefill({ running, start: 0, end: numReserved, budget: budget - numGiven, outputsLeft }, numTokens)
    dividePrefill({ running, start: numReserved, end: count, ...rest }, numTokens)
  }
  return { tokensLeft: limits.maxTokensPerStep - numDecodes - numGiven, outputsLeft }
}

/** Gives those that decode numGiven tokens beyond their first, in order. */
function divideFollowing(running: readonly RunningView[], count: number, numGiven: number, numTokens: Int32Array): void {
  let tokensLeft = numGiven
  for (let index = 0; index < count && tokensLeft > 0; index++) {
    const sequence = running[index]!
    if (!isDecoding(sequence)) continue
    const chunk = Math.min(sequence.numPendingTokens - 1, tokensLeft)
    numTokens[index] = 1 + chunk
    tokensLeft -= chunk
  }
  assert(tokensLeft === 0, 'tokens were given to nobody')
}

/** First everyone its share, in order, so that a short prompt gets past a long one; then what is left, in order. Returns what nobody took. */
function dividePrefill(
  step: {
    readonly running: readonly RunningView[]
    readonly start: number
    readonly end: number
    readonly budget: number
    readonly outputsLeft: number
  },
  numTokens: Int32Array,
): { readonly budget: number; readonly outputsLeft: number } {
  const { running, start, end, budget } = step
  let { outputsLeft } = step
  let tokensLeft = budget
  for (let pass = 0; pass < 2; pass++) {
    let rank = 0
    for (let index = start; index < end && tokensLeft > 0; index++) {
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
  return { budget: tokensLeft, outputsLeft }
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
