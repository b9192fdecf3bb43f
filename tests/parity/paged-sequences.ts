/**
 * Sequences over a paged cache for executor tests: hands out blocks in a random order and turns "these sequences, so many
 * tokens each" into a StepBatch.
 */
import { assert } from '#base/assert'
import type { Random } from '#base/random'
import type { StepBatch } from '#engine/kernels/kernels'

interface PagedSequence {
  readonly tokenIds: number[]
  readonly blocks: number[]
  numComputed: number
}

export interface StepPart {
  readonly sequence: number
  /** How many of its tokens that are not computed yet. */
  readonly numTokens: number
  /** Which of the new tokens are outputs: the last one, all or none. */
  readonly outputs: 'last' | 'all' | 'none'
}

export class PagedSequences {
  private readonly blockSize: number
  private readonly freeBlocks: number[]
  private readonly sequences: PagedSequence[] = []

  constructor({ numBlocks, blockSize, random }: { readonly numBlocks: number; readonly blockSize: number; readonly random: Random }) {
    this.blockSize = blockSize
    this.freeBlocks = shuffled(
      Array.from({ length: numBlocks }, (_, index) => index),
      random,
    )
  }

  add(tokenIds: readonly number[]): number {
    this.sequences.push({ tokenIds: [...tokenIds], blocks: [], numComputed: 0 })
    return this.sequences.length - 1
  }

  append(sequence: number, tokenId: number): void {
    this.sequences[sequence]!.tokenIds.push(tokenId)
  }

  tokenIds(sequence: number): readonly number[] {
    return this.sequences[sequence]!.tokenIds
  }

  numUncomputed(sequence: number): number {
    const { tokenIds, numComputed } = this.sequences[sequence]!
    return tokenIds.length - numComputed
  }

  /** The step that computes these parts; the sequences move on. Outputs come in part order; the first numLogitRows are sampled (default: all). */
  step(parts: readonly StepPart[], numLogitRows?: number): StepBatch {
    const columns = {
      tokenIds: [] as number[],
      positions: [] as number[],
      slots: [] as number[],
      starts: [0],
      contexts: [] as number[],
      tableStarts: [0],
      tables: [] as number[],
      outputs: [] as number[],
    }
    for (const { sequence, numTokens, outputs } of parts) {
      const state = this.sequences[sequence]!
      assert(numTokens > 0 && state.numComputed + numTokens <= state.tokenIds.length, 'more tokens than the sequence has')
      const end = state.numComputed + numTokens
      while (state.blocks.length * this.blockSize < end) state.blocks.push(this.takeBlock())
      for (let position = state.numComputed; position < end; position++) {
        if (outputs === 'all' || (outputs === 'last' && position === end - 1)) columns.outputs.push(columns.tokenIds.length)
        columns.tokenIds.push(state.tokenIds[position]!)
        columns.positions.push(position)
        columns.slots.push(state.blocks[Math.floor(position / this.blockSize)]! * this.blockSize + (position % this.blockSize))
      }
      state.numComputed = end
      columns.starts.push(columns.tokenIds.length)
      columns.contexts.push(end)
      columns.tables.push(...state.blocks)
      columns.tableStarts.push(columns.tables.length)
    }
    return {
      numTokens: columns.tokenIds.length,
      numSequences: parts.length,
      tokenIds: Int32Array.from(columns.tokenIds),
      positions: Int32Array.from(columns.positions),
      slotMapping: Int32Array.from(columns.slots),
      sequenceStarts: Int32Array.from(columns.starts),
      contextLengths: Int32Array.from(columns.contexts),
      blockTableStarts: Int32Array.from(columns.tableStarts),
      blockTables: Int32Array.from(columns.tables),
      outputRows: Int32Array.from(columns.outputs),
      numOutputs: columns.outputs.length,
      numLogitRows: numLogitRows ?? columns.outputs.length,
    }
  }

  private takeBlock(): number {
    const block = this.freeBlocks.pop()
    assert(block !== undefined, 'no free block')
    return block
  }
}

export function shuffled<T>(items: readonly T[], random: Random): T[] {
  const order = [...items]
  for (let i = order.length - 1; i > 0; i--) {
    const j = random.nextInt(i + 1)
    ;[order[i], order[j]] = [order[j]!, order[i]!]
  }
  return order
}
