/** What one step computes: written by Scheduler.plan, read by ModelRunner and Scheduler.commit. Made once, overwritten each step. */
import { assert } from '#base/assert'
import type { BlockId } from '#engine/kv-cache/block'
import type { Sequence } from './sequence.ts'

export class StepPlan {
  numSequences = 0
  /** The first numSequences are in the step, in order. */
  readonly sequences: Sequence[] = []
  /** i32 (maxSequences): pending tokens to compute of each. */
  readonly numTokens: Int32Array
  /** i32 (maxSequences): logit rows of each; 0 = it does not catch up in this step. */
  readonly numLogitRows: Int32Array
  numTokensTotal = 0
  /** Of numTokensTotal. */
  numBackgroundTokens = 0
  numLogitRowsTotal = 0
  numHiddenRowsTotal = 0
  /** Block pairs (from, to) to copy before the step runs. */
  private readonly copyPairs: Int32Array
  private numCopyPairs = 0

  constructor(maxSequences: number) {
    this.numTokens = new Int32Array(maxSequences)
    this.numLogitRows = new Int32Array(maxSequences)
    this.copyPairs = new Int32Array(maxSequences * 2)
  }

  clear(): void {
    this.numSequences = 0
    // Ended sequences must not stay reachable from here.
    this.sequences.length = 0
    this.numTokensTotal = 0
    this.numBackgroundTokens = 0
    this.numLogitRowsTotal = 0
    this.numHiddenRowsTotal = 0
    this.numCopyPairs = 0
  }

  add(sequence: Sequence, numTokens: number): void {
    assert(numTokens >= 1 && numTokens <= sequence.numPendingTokens, 'a step computes pending tokens')
    const catchesUp = numTokens === sequence.numPendingTokens
    const index = this.numSequences++
    this.sequences.push(sequence)
    this.numTokens[index] = numTokens
    this.numLogitRows[index] = catchesUp ? sequence.numLogitRows : 0
    this.numTokensTotal += numTokens
    if (sequence.lane === 'background') this.numBackgroundTokens += numTokens
    this.numLogitRowsTotal += this.numLogitRows[index]!
    if (sequence.isEmbed) this.numHiddenRowsTotal += numTokens
  }

  addCopy(from: BlockId, to: BlockId): void {
    this.copyPairs[this.numCopyPairs * 2] = from
    this.copyPairs[this.numCopyPairs * 2 + 1] = to
    this.numCopyPairs++
  }

  get numCopies(): number {
    return this.numCopyPairs
  }

  /** i32 (2 * numCopies): view of the pairs, valid until clear(). */
  copies(): Int32Array {
    return this.copyPairs.subarray(0, this.numCopyPairs * 2)
  }
}
