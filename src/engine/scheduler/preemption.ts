/**
 * Who gives way when the KV cache is full, and what it loses. Preemption is by recompute: the blocks go, the tokens stay, and
 * the sequence computes them again when it is readmitted (often from the prefix cache). Draws depend on (seed, draw index)
 * alone, so it then goes on with the tokens that it would have had.
 */
import { assert } from '#base/assert'
import type { SequenceBlocks } from './sequence-blocks.ts'
import type { Sequence } from './sequence.ts'

/** The last in order: lowest priority, latest arrival, highest choice. `running` is sorted and not empty. */
export function chooseVictim(running: readonly Sequence[]): Sequence {
  const victim = running[running.length - 1]
  assert(victim !== undefined, 'nobody is left to preempt')
  return victim
}

/** Frees the victim's blocks and everything that was derived from computing them. The caller moves it back to the queue. */
export function forgetComputed(victim: Sequence, blocks: SequenceBlocks): void {
  blocks.release(victim)
  victim.request.hiddenSum?.fill(0)
}
