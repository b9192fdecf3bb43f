/**
 * Causal attention over the paged cache. A token's row is computed on its own, in cache order and f64, so it does not depend
 * on how its sequence was cut into steps or who shares the batch.
 */
import type { StepBatch } from '../kernels.ts'
import type { KvCache } from './kv-cache.ts'
import type { Matrix } from './matrix.ts'

interface AttentionShape {
  readonly layer: number
  readonly numHeads: number
  readonly headDim: number
  readonly scale: number
  /** Only the last `window` positions, the token's own included. */
  readonly window: number | null
  readonly softcap: number | null
}

/** q, out: (numTokens, numHeads * headDim). */
export function attention(q: Matrix, shape: AttentionShape, cache: KvCache, batch: StepBatch, out: Matrix): void {
  const slots = new Int32Array(maxContextLength(batch))
  const weights = new Float64Array(slots.length)
  for (let sequence = 0; sequence < batch.numSequences; sequence++) {
    fillSlots(batch, sequence, cache.blockSize, slots)
    for (let token = batch.sequenceStarts[sequence]!; token < batch.sequenceStarts[sequence + 1]!; token++) {
      const end = batch.positions[token]! + 1
      const start = shape.window === null ? 0 : Math.max(0, end - shape.window)
      for (let head = 0; head < shape.numHeads; head++) {
        attendHead({ q, out, token, head, start, end }, shape, cache, slots, weights)
      }
    }
  }
}

interface HeadRow {
  readonly q: Matrix
  readonly out: Matrix
  readonly token: number
  readonly head: number
  /** Positions [start, end) are attended. */
  readonly start: number
  readonly end: number
}

/** weights: f64 scratch by position, mutated. */
function attendHead(
  { q, out, token, head, start, end }: HeadRow,
  shape: AttentionShape,
  cache: KvCache,
  slots: Int32Array,
  weights: Float64Array,
): void {
  const { headDim, scale, softcap } = shape
  const keys = cache.keys[shape.layer]!
  const values = cache.values[shape.layer]!
  const kvStart = Math.floor((head * cache.kvWidth) / headDim / shape.numHeads) * headDim
  const qStart = q.offset + token * q.stride + head * headDim
  let max = -Infinity
  for (let position = start; position < end; position++) {
    const at = slots[position]! * cache.kvWidth + kvStart
    let score = 0
    for (let i = 0; i < headDim; i++) score += q.data[qStart + i]! * keys[at + i]!
    score *= scale
    if (softcap !== null) score = softcap * Math.tanh(score / softcap)
    weights[position] = score
    if (score > max) max = score
  }
  let total = 0
  for (let position = start; position < end; position++) {
    weights[position] = Math.exp(weights[position]! - max)
    total += weights[position]!
  }
  const outStart = out.offset + token * out.stride + head * headDim
  for (let i = 0; i < headDim; i++) {
    let sum = 0
    for (let position = start; position < end; position++) sum += weights[position]! * values[slots[position]! * cache.kvWidth + kvStart + i]!
    out.data[outStart + i] = sum / total
  }
}

/** slots[p] of the sequence's positions, mutated. */
function fillSlots(batch: StepBatch, sequence: number, blockSize: number, slots: Int32Array): void {
  const tableStart = batch.blockTableStarts[sequence]!
  for (let position = 0; position < batch.contextLengths[sequence]!; position++) {
    const block = batch.blockTables[tableStart + Math.floor(position / blockSize)]!
    slots[position] = block * blockSize + (position % blockSize)
  }
}

function maxContextLength(batch: StepBatch): number {
  let max = 0
  for (let sequence = 0; sequence < batch.numSequences; sequence++) max = Math.max(max, batch.contextLengths[sequence]!)
  return max
}
