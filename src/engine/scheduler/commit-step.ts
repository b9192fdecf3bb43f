/**
 * What a finished step changes: computed tokens advance, sampled tokens and those that their guides force are appended, choices
 * fork, end or fail, full blocks become findable. The one writer of token counters; Scheduler.commit is its only caller.
 */
import { assert } from '#base/assert'
import { endReason, type StopConditions } from '#engine/sampling/stop-conditions'
import { ALL_FORBIDDEN, SAMPLED, type SampledColumns } from '#engine/sampling/sampling-columns'
import type { FinishReason } from '#contract/generate'
import type { ChoiceGuide } from './choice-guide.ts'
import type { SequenceBlocks } from './sequence-blocks.ts'
import type { Sequence } from './sequence.ts'
import type { StepEvents } from './step-events.ts'
import type { StepPlan } from './step-plan.ts'

/** Most tokens that a guide appends to a choice in one step: what the next step then computes of it stays a small chunk. */
export const MAX_FORCED_TOKENS = 64

/** What the scheduler takes of an executor's output. */
export interface ComputedStep extends Pick<SampledColumns, 'tokenIds' | 'nonFinite'> {
  /** f32 (hidden rows of the plan, hiddenSize). */
  readonly hidden: Float32Array
}

/** The moves of Scheduler that a commit causes. */
export interface CommitTarget {
  readonly blocks: SequenceBlocks
  readonly counters: { completionTokens: number; numForcedTokens: number }
  /** Puts a forked choice among the running. */
  addRunning(sequence: Sequence): void
  /** Ends one choice, frees what it holds, and ends the request with its last choice. */
  endChoice(sequence: Sequence, end: { readonly reason: 'stop' | 'length'; readonly stopTokenId: number | null }, events: StepEvents): void
  /** Ends the sequence's request with non_finite_logits and takes its blocks out of the prefix cache. */
  failNonFinite(sequence: Sequence, events: StepEvents): void
  /** Ends the choice's request with invalid_parameter: its bias or guide leaves no token. Its blocks are sound and stay findable. */
  failForbidden(choice: Sequence, events: StepEvents): void
  /** Ends the choice's request with what its guide threw. */
  failGuide(choice: Sequence, cause: unknown, events: StepEvents): void
}

/** Sequences of the plan that ended while the step ran are passed over. */
export function commitStep(plan: StepPlan, output: ComputedStep, target: CommitTarget, events: StepEvents): void {
  const place = { target, events }
  let logitRow = 0
  let hiddenRow = 0
  for (let index = 0; index < plan.numSequences; index++) {
    const sequence = plan.sequences[index]!
    const numTokens = plan.numTokens[index]!
    const numLogitRows = plan.numLogitRows[index]!
    const hasEnded = sequence.state === 'ended'
    if (sequence.isEmbed) {
      if (!hasEnded) commitEmbed(sequence, { output, hiddenRow, numTokens }, target, events)
      hiddenRow += numTokens
    } else if (!hasEnded) {
      commitGenerate(sequence, { output, logitRow, numLogitRows, numTokens }, place)
    }
    logitRow += numLogitRows
  }
  assert(logitRow === plan.numLogitRowsTotal && hiddenRow === plan.numHiddenRowsTotal, 'a step has other rows than its plan')
}

interface GenerateRows {
  readonly output: ComputedStep
  readonly logitRow: number
  readonly numLogitRows: number
  readonly numTokens: number
}

/** Where the moves of one commit go. */
interface CommitPlace {
  readonly target: CommitTarget
  readonly events: StepEvents
}

function commitGenerate(sequence: Sequence, rows: GenerateRows, place: CommitPlace): void {
  const { output, logitRow, numLogitRows, numTokens } = rows
  const { target, events } = place
  sequence.numComputedTokens += numTokens
  for (let row = logitRow; row < logitRow + numLogitRows; row++) {
    if (output.nonFinite[row] === SAMPLED || output.nonFinite[row] === ALL_FORBIDDEN) continue
    target.failNonFinite(sequence, events)
    return
  }
  target.blocks.registerComputed(sequence)
  if (numLogitRows === 0) return
  const choices = sequence.sampledChoices
  assert(numLogitRows === choices.length, 'each choice has its row')
  for (let index = 0; index < numLogitRows; index++) {
    const choice = choices[index]!
    const failure = choice.guide === null ? null : choice.guide.failure
    if (failure === null && output.nonFinite[logitRow + index] === SAMPLED) continue
    if (failure !== null) target.failGuide(choice, failure.cause, events)
    else target.failForbidden(choice, events)
    return
  }
  if (!sequence.request.hasForked) forkChoices(sequence, target)
  for (let index = 0; index < numLogitRows; index++) {
    const choice = choices[index]!
    // The guide of an earlier choice may just have ended the request.
    if (choice.state !== 'ended') commitToken(choice, { tokenId: output.tokenIds[logitRow + index]!, logitRow: logitRow + index }, place)
  }
}

/** The prompt is computed: every other choice takes a share in its blocks and runs for itself. */
function forkChoices(first: Sequence, target: CommitTarget): void {
  const { request } = first
  request.hasForked = true
  for (const choice of request.sequences) {
    if (choice === first) continue
    target.blocks.fork(first, choice)
    target.addRunning(choice)
  }
}

interface NewToken {
  readonly tokenId: number
  /** Of a forced token the row of the sampled one before it, for which nobody asks: forced tokens have no logprobs. */
  readonly logitRow: number
}

/** Hot: per token. */
function commitToken(choice: Sequence, token: NewToken, place: CommitPlace): void {
  const { guide, request } = choice
  const { target, events } = place
  choice.numNewestTokens = 1
  const reason = takeToken(choice, token, choice.isMasked ? request.guidedStop : request.stop, place)
  if (choice.state === 'ended') return
  if (choice.isFinishRequested) target.endChoice(choice, { reason: 'stop', stopTokenId: null }, events)
  else if (guide !== null) followGuide(choice, guide, token, place)
  else if (reason === 'length') target.endChoice(choice, { reason, stopTokenId: null }, events)
}

/** Hot: per token. Appends a token. One that stops the choice ends it here; any other is emitted, and 'length' says that it was the last. */
function takeToken(choice: Sequence, token: NewToken, stop: StopConditions, { target, events }: CommitPlace): FinishReason | null {
  const { request } = choice
  choice.appendToken(token.tokenId)
  request.completionTokens++
  target.counters.completionTokens++
  const reason = endReason(stop, token.tokenId, choice.numOutputTokens)
  if (reason === 'stop') target.endChoice(choice, { reason, stopTokenId: token.tokenId }, events)
  else events.token(request, { choice: choice.choice, tokenId: token.tokenId, logitRow: token.logitRow })
  return reason
}

/** Tells the guide of the sampled token, appends what must follow, and ends the choice where nothing may or the length is used up. */
function followGuide(choice: Sequence, guide: ChoiceGuide, sampled: NewToken, place: CommitPlace): void {
  const { target, events } = place
  const { guidedStop, parameters } = choice.request
  guide.accept(sampled.tokenId)
  const numLeft = guidedStop.maxOutputTokens - choice.numOutputTokens
  // Forced tokens have no logits: who wants logprobs has every token sampled, under masks that leave one.
  const forced = parameters.numTopLogprobs < 0 && numLeft > 0 ? guide.forcedTokens(Math.min(numLeft, MAX_FORCED_TOKENS)) : []
  for (const tokenId of forced) {
    target.counters.numForcedTokens++
    choice.numNewestTokens++
    takeToken(choice, { tokenId, logitRow: sampled.logitRow }, guidedStop, place)
    if (choice.state === 'ended') return
    guide.accept(tokenId)
  }
  const isComplete = guide.isComplete()
  if (guide.failure !== null) target.failGuide(choice, guide.failure.cause, events)
  else if (isComplete) target.endChoice(choice, { reason: 'stop', stopTokenId: null }, events)
  else if (choice.numOutputTokens >= guidedStop.maxOutputTokens) target.endChoice(choice, { reason: 'length', stopTokenId: null }, events)
}

function commitEmbed(
  sequence: Sequence,
  rows: { readonly output: ComputedStep; readonly hiddenRow: number; readonly numTokens: number },
  target: CommitTarget,
  events: StepEvents,
): void {
  const sum = sequence.request.hiddenSum
  assert(sum !== null, 'an embedding has a sum')
  const { hidden } = rows.output
  const width = sum.length
  for (let row = rows.hiddenRow; row < rows.hiddenRow + rows.numTokens; row++) {
    for (let column = 0; column < width; column++) sum[column] = sum[column]! + hidden[row * width + column]!
  }
  sequence.numComputedTokens += rows.numTokens
  if (!sum.every(Number.isFinite)) {
    target.failNonFinite(sequence, events)
    return
  }
  target.blocks.registerComputed(sequence)
  if (sequence.numPendingTokens > 0) return
  for (let column = 0; column < width; column++) sum[column] = sum[column]! / sequence.numKnownTokens
  events.embedding(sequence.request)
  target.endChoice(sequence, { reason: 'stop', stopTokenId: null }, events)
}
