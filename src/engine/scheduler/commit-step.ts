/**
 * What a finished step changes: computed tokens advance, sampled tokens are appended, choices fork, end or fail, full blocks
 * become findable. The one writer of token counters; Scheduler.commit is its only caller.
 */
import { assert } from '#base/assert'
import { endReason } from '#engine/sampling/stop-conditions'
import { ALL_FORBIDDEN, SAMPLED, type SampledColumns } from '#engine/sampling/sampling-columns'
import type { SequenceBlocks } from './sequence-blocks.ts'
import type { Sequence } from './sequence.ts'
import type { StepEvents } from './step-events.ts'
import type { StepPlan } from './step-plan.ts'

/** What the scheduler takes of an executor's output. */
export interface ComputedStep extends Pick<SampledColumns, 'tokenIds' | 'nonFinite'> {
  /** f32 (hidden rows of the plan, hiddenSize). */
  readonly hidden: Float32Array
}

/** The moves of Scheduler that a commit causes. */
export interface CommitTarget {
  readonly blocks: SequenceBlocks
  /** Puts a forked choice among the running. */
  addRunning(sequence: Sequence): void
  /** Ends one choice, frees what it holds, and ends the request with its last choice. */
  endChoice(sequence: Sequence, end: { readonly reason: 'stop' | 'length'; readonly stopTokenId: number | null }, events: StepEvents): void
  /** Ends the sequence's request with non_finite_logits and takes its blocks out of the prefix cache. */
  failNonFinite(sequence: Sequence, events: StepEvents): void
  /** Ends the sequence's request with invalid_parameter: its bias leaves no token. Its blocks are sound and stay findable. */
  failForbidden(sequence: Sequence, events: StepEvents): void
}

/** Sequences of the plan that ended while the step ran are passed over. Returns the number of sampled tokens that counted. */
export function commitStep(plan: StepPlan, output: ComputedStep, target: CommitTarget, events: StepEvents): number {
  let logitRow = 0
  let hiddenRow = 0
  let numSampled = 0
  for (let index = 0; index < plan.numSequences; index++) {
    const sequence = plan.sequences[index]!
    const numTokens = plan.numTokens[index]!
    const numLogitRows = plan.numLogitRows[index]!
    const hasEnded = sequence.state === 'ended'
    if (sequence.isEmbed) {
      if (!hasEnded) commitEmbed(sequence, { output, hiddenRow, numTokens }, target, events)
      hiddenRow += numTokens
    } else if (!hasEnded) {
      numSampled += commitGenerate(sequence, { output, logitRow, numLogitRows, numTokens }, target, events)
    }
    logitRow += numLogitRows
  }
  assert(logitRow === plan.numLogitRowsTotal && hiddenRow === plan.numHiddenRowsTotal, 'a step has other rows than its plan')
  return numSampled
}

interface GenerateRows {
  readonly output: ComputedStep
  readonly logitRow: number
  readonly numLogitRows: number
  readonly numTokens: number
}

function commitGenerate(sequence: Sequence, rows: GenerateRows, target: CommitTarget, events: StepEvents): number {
  const { output, logitRow, numLogitRows, numTokens } = rows
  sequence.numComputedTokens += numTokens
  for (let row = logitRow; row < logitRow + numLogitRows; row++) {
    if (output.nonFinite[row] === SAMPLED || output.nonFinite[row] === ALL_FORBIDDEN) continue
    target.failNonFinite(sequence, events)
    return 0
  }
  target.blocks.registerComputed(sequence)
  for (let row = logitRow; row < logitRow + numLogitRows; row++) {
    if (output.nonFinite[row] !== ALL_FORBIDDEN) continue
    target.failForbidden(sequence, events)
    return 0
  }
  if (numLogitRows === 0) return 0
  if (sequence.request.hasForked) {
    commitToken(sequence, { tokenId: output.tokenIds[logitRow]!, logitRow }, target, events)
  } else {
    forkChoices(sequence, rows, target, events)
  }
  return numLogitRows
}

/** The prompt is computed: every choice takes its first token, and those that go on take a share in the prompt's blocks. */
function forkChoices(first: Sequence, rows: GenerateRows, target: CommitTarget, events: StepEvents): void {
  const { request } = first
  assert(rows.numLogitRows === request.sequences.length, 'each choice has its row')
  request.hasForked = true
  for (const sequence of request.sequences) {
    if (sequence === first) continue
    target.blocks.fork(first, sequence)
    target.addRunning(sequence)
  }
  for (const sequence of request.sequences) {
    const logitRow = rows.logitRow + sequence.choice
    commitToken(sequence, { tokenId: rows.output.tokenIds[logitRow]!, logitRow }, target, events)
  }
}

/** Hot: per token. */
function commitToken(
  sequence: Sequence,
  token: { readonly tokenId: number; readonly logitRow: number },
  target: CommitTarget,
  events: StepEvents,
): void {
  const { request, choice } = sequence
  const { tokenId, logitRow } = token
  sequence.appendToken(tokenId)
  request.completionTokens++
  const reason = endReason(request.stop, tokenId, sequence.numOutputTokens)
  if (reason === 'stop') {
    target.endChoice(sequence, { reason, stopTokenId: tokenId }, events)
    return
  }
  events.token(request, { choice, tokenId, logitRow })
  if (sequence.isFinishRequested) target.endChoice(sequence, { reason: 'stop', stopTokenId: null }, events)
  else if (reason === 'length') target.endChoice(sequence, { reason, stopTokenId: null }, events)
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
