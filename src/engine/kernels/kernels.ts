/**
 * The executor interface: who runs a program. `native` is C++, `reference` is plain TypeScript and the oracle, `null`
 * does no math (scheduler tests). All three take the same step and must agree.
 */
import type { Clock } from '#base/clock'
import type { Program } from '#engine/program/program'
import type { SampledColumns, SamplingBatch } from '#engine/sampling/sampling-columns'
import type { TensorFile } from '#engine/weights/tensor-file'
import type { KvDType } from './kv-dtype.ts'

/** Part of this contract, defined where sampling is. */
export { MAX_TOP_LOGPROBS } from '#engine/sampling/sampling-columns'
export type { SamplingBatch } from '#engine/sampling/sampling-columns'

/** Where weights are kept as the kernels have them in memory (native kernels only). */
export interface PackedWeightsPlace {
  readonly folder: string
  /** Less is packed again at each start: it takes no time, and thousands of small models would fill the folder. */
  readonly minBytes: number
  /** Of all files there; what has not been used for longest makes room. */
  readonly maxBytes: number
}

export interface BindOptions {
  readonly program: Program
  readonly tensors: TensorFile
  readonly kvCache: { readonly numBlocks: number; readonly blockSize: number; readonly dtype: KvDType }
  /** Upper bounds of one step; activations are allocated once for them. */
  readonly limits: StepLimits
  /** null = as many as the machine has. Ignored by reference and null. */
  readonly numThreads: number | null
  /** null = weights are packed each time. */
  readonly packedWeights?: (PackedWeightsPlace & { readonly modelIdentity: string; readonly clock: Clock }) | null
  /** Called as weights arrive. */
  readonly onProgress?: (loadedBytes: number, totalBytes: number) => void
  readonly signal?: AbortSignal
}

export interface StepLimits {
  readonly maxTokens: number
  readonly maxSequences: number
  readonly maxOutputs: number
}

/**
 * The tensors of one step. Sequence s owns token rows [sequenceStarts[s], sequenceStarts[s + 1]); its positions are consecutive
 * and end at contextLengths[s] - 1. Position p of sequence s lives in slot
 * blockTables[blockTableStarts[s] + floor(p / blockSize)] * blockSize + p % blockSize.
 */
export interface StepBatch {
  readonly numTokens: number
  readonly numSequences: number
  /** i32 (numTokens). */
  readonly tokenIds: Int32Array
  /** i32 (numTokens), absolute, 0-based. */
  readonly positions: Int32Array
  /** i32 (numTokens): where this token's K and V are written. */
  readonly slotMapping: Int32Array
  /** i32 (numSequences + 1). */
  readonly sequenceStarts: Int32Array
  /** i32 (numSequences): cached tokens after this step, the new ones included. */
  readonly contextLengths: Int32Array
  /** i32 (numSequences + 1): ranges of blockTables. */
  readonly blockTableStarts: Int32Array
  /** i32: block ids, sequence after sequence. */
  readonly blockTables: Int32Array
  /** i32 (numOutputs): token rows to keep; the first numLogitRows are sampled, the others return hidden states.
   *  A row may be sampled several times: choices of one prompt. */
  readonly outputRows: Int32Array
  readonly numOutputs: number
  readonly numLogitRows: number
}

/** Valid until the next runStep of the same executor. */
export interface StepOutput extends SampledColumns {
  /** f32 (numOutputs - numLogitRows, hiddenSize). */
  readonly hidden: Float32Array
  /** f32 (numLogitRows, vocabSize) when captured, else empty. */
  readonly logits: Float32Array
}

export interface ExecutorMemory {
  readonly weightsBytes: number
  readonly kvCacheBytes: number
  readonly activationBytes: number
}

export interface Executor {
  readonly memory: ExecutorMemory
  /** Runs one step; at most one at a time. The batch's arrays must not change until it resolves. */
  runStep(batch: StepBatch, sampling: SamplingBatch): Promise<StepOutput>
  /** Copies whole KV blocks of all layers, pair after pair (from, to), before the next step. */
  copyBlocks(pairs: Int32Array): void
  /** Keeps the weights in their place for the next start, where there is one; steps go on. Rejects with the system's error; after close() it does nothing. */
  keepWeights(): Promise<void>
  close(): Promise<void>
}

export interface Kernels {
  readonly name: 'native' | 'reference' | 'null'
  /** Loads the weights and allocates everything. Throws InferdError for unsupported ops, types or memory, with the op's index. */
  bind(options: BindOptions): Promise<Executor>
}
