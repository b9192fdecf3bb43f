/**
 * Builds the sampling columns of a step (SamplingBatch) from the rows that sample. Columns are made at start for
 * the most rows a step can have; the two ragged lists grow by doubling and keep their size.
 */
import { assert } from '#base/assert'
import { TokenMasks } from './token-masks.ts'
import type { SamplingBatch } from './sampling-columns.ts'
import type { SamplingParameters } from './sampling-parameters.ts'
import type { TokenCounts } from './token-counts.ts'

/** What one logit row needs to be sampled; a sequence is one. */
export interface SamplingRow {
  readonly parameters: SamplingParameters
  /** u32: the request's seed plus the choice. */
  readonly seed: number
  /** Tokens that the choice has; the draw index of the next one. */
  readonly numOutputTokens: number
  /** null when the request has no penalty. */
  readonly tokenCounts: TokenCounts | null
  /** Its mask says which tokens may come, and minTokens acts on that. */
  readonly isMasked: boolean
}

export class SamplingBatchBuilder {
  readonly masks: TokenMasks
  private readonly maxRows: number
  private numRows = 0
  private readonly temperature: Float32Array
  private readonly topK: Int32Array
  private readonly topP: Float32Array
  private readonly minP: Float32Array
  private readonly repetitionPenalty: Float32Array
  private readonly presencePenalty: Float32Array
  private readonly frequencyPenalty: Float32Array
  private readonly seed: Uint32Array
  private readonly drawIndex: Uint32Array
  private readonly numTopLogprobs: Int32Array
  private readonly penaltyStarts: Int32Array
  private readonly biasStarts: Int32Array
  private readonly maskIndex: Int32Array
  private penaltyTokenIds = new Int32Array(1024)
  private penaltyCounts = new Int32Array(1024)
  private biasTokenIds = new Int32Array(256)
  private biasValues = new Float32Array(256)

  constructor(limits: { readonly maxRows: number; readonly vocabSize: number }) {
    const { maxRows } = limits
    this.maxRows = maxRows
    this.masks = new TokenMasks(limits)
    this.temperature = new Float32Array(maxRows)
    this.topK = new Int32Array(maxRows)
    this.topP = new Float32Array(maxRows)
    this.minP = new Float32Array(maxRows)
    this.repetitionPenalty = new Float32Array(maxRows)
    this.presencePenalty = new Float32Array(maxRows)
    this.frequencyPenalty = new Float32Array(maxRows)
    this.seed = new Uint32Array(maxRows)
    this.drawIndex = new Uint32Array(maxRows)
    this.numTopLogprobs = new Int32Array(maxRows)
    this.penaltyStarts = new Int32Array(maxRows + 1)
    this.biasStarts = new Int32Array(maxRows + 1)
    this.maskIndex = new Int32Array(maxRows)
  }

  /** Forgets all rows: the next step begins. Only between steps, because a batch shares these arrays. */
  clear(): void {
    this.numRows = 0
    this.masks.clear()
  }

  /** Hot: per token. Appends one logit row and returns the index of its mask, -1 when it has none. */
  addRow(row: SamplingRow): number {
    assert(this.numRows < this.maxRows, 'a step samples more rows than it may have')
    const index = this.numRows++
    const { options, numTopLogprobs } = row.parameters
    this.temperature[index] = options.temperature
    this.topK[index] = options.topK
    this.topP[index] = options.topP
    this.minP[index] = options.minP
    this.repetitionPenalty[index] = options.repetitionPenalty
    this.presencePenalty[index] = options.presencePenalty
    this.frequencyPenalty[index] = options.frequencyPenalty
    this.seed[index] = row.seed
    this.drawIndex[index] = row.numOutputTokens
    this.numTopLogprobs[index] = numTopLogprobs
    this.appendPenalties(index, row.tokenCounts)
    this.appendBias(index, row)
    const maskIndex = row.isMasked ? this.masks.addRow() : -1
    this.maskIndex[index] = maskIndex
    return maskIndex
  }

  /** Views of the filled columns; valid until clear(). fillMasks: see SamplingBatch. */
  build(fillMasks: SamplingBatch['fillMasks']): SamplingBatch {
    const numRows = this.numRows
    return {
      temperature: this.temperature.subarray(0, numRows),
      topK: this.topK.subarray(0, numRows),
      topP: this.topP.subarray(0, numRows),
      minP: this.minP.subarray(0, numRows),
      repetitionPenalty: this.repetitionPenalty.subarray(0, numRows),
      presencePenalty: this.presencePenalty.subarray(0, numRows),
      frequencyPenalty: this.frequencyPenalty.subarray(0, numRows),
      seed: this.seed.subarray(0, numRows),
      drawIndex: this.drawIndex.subarray(0, numRows),
      numTopLogprobs: this.numTopLogprobs.subarray(0, numRows),
      penaltyStarts: this.penaltyStarts.subarray(0, numRows + 1),
      penaltyTokenIds: this.penaltyTokenIds.subarray(0, this.penaltyStarts[numRows]!),
      penaltyCounts: this.penaltyCounts.subarray(0, this.penaltyStarts[numRows]!),
      biasStarts: this.biasStarts.subarray(0, numRows + 1),
      biasTokenIds: this.biasTokenIds.subarray(0, this.biasStarts[numRows]!),
      biasValues: this.biasValues.subarray(0, this.biasStarts[numRows]!),
      maskIndex: this.maskIndex.subarray(0, numRows),
      masks: this.masks.rows(),
      maskWords: this.masks.maskWords,
      fillMasks,
      captureLogits: false,
    }
  }

  private appendPenalties(index: number, tokenCounts: TokenCounts | null): void {
    const start = this.penaltyStarts[index]!
    const numEntries = tokenCounts === null ? 0 : tokenCounts.numEntries
    this.penaltyStarts[index + 1] = start + numEntries
    if (tokenCounts === null) return
    if (start + numEntries > this.penaltyTokenIds.length) {
      this.penaltyTokenIds = grownInt32(this.penaltyTokenIds, start + numEntries)
      this.penaltyCounts = grownInt32(this.penaltyCounts, start + numEntries)
    }
    this.penaltyTokenIds.set(tokenCounts.tokenIds.subarray(0, numEntries), start)
    this.penaltyCounts.set(tokenCounts.counts.subarray(0, numEntries), start)
  }

  private appendBias(index: number, row: SamplingRow): void {
    const { parameters } = row
    const isSuppressed = row.numOutputTokens < parameters.minTokens && !row.isMasked
    const list = isSuppressed ? parameters.biasBeforeMinTokens : parameters.bias
    const start = this.biasStarts[index]!
    const end = start + list.tokenIds.length
    this.biasStarts[index + 1] = end
    if (end === start) return
    if (end > this.biasTokenIds.length) {
      this.biasTokenIds = grownInt32(this.biasTokenIds, end)
      const values = new Float32Array(this.biasTokenIds.length)
      values.set(this.biasValues)
      this.biasValues = values
    }
    this.biasTokenIds.set(list.tokenIds, start)
    this.biasValues.set(list.values, start)
  }
}

function grownInt32(array: Int32Array<ArrayBuffer>, minLength: number): Int32Array<ArrayBuffer> {
  const grown = new Int32Array(Math.max(array.length * 2, minLength))
  grown.set(array)
  return grown
}
