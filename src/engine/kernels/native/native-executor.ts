/**
 * Runs steps on the addon's own threads. Output arrays are made once and reused; captured logits and hidden states, which
 * few steps ask for, are made when first wanted.
 */
import { assert } from '#base/assert'
import { MAX_TOP_LOGPROBS } from '../kernels.ts'
import type { Executor, ExecutorMemory, SamplingBatch, StepBatch, StepLimits, StepOutput } from '../kernels.ts'
import type { NativeExecutorHandle } from './addon.ts'
import type { PackedWeights } from './packed-weights.ts'

const NO_FLOATS = new Float32Array(0)

interface NativeExecutorOptions {
  readonly handle: NativeExecutorHandle
  readonly limits: StepLimits
  readonly vocabSize: number
  readonly hiddenSize: number
  /** Where the weights are kept, or shall be; null = nowhere. */
  readonly packed: PackedWeights | null
}

export class NativeExecutor implements Executor {
  readonly memory: ExecutorMemory
  private readonly handle: NativeExecutorHandle
  private readonly vocabSize: number
  private readonly hiddenSize: number
  private readonly output: StepOutput
  private hiddenStates: Float32Array<ArrayBuffer> = NO_FLOATS
  /** The running step, or the last one. */
  private running: Promise<void> = Promise.resolve()
  private readonly packed: PackedWeights | null
  private readonly closing = new AbortController()
  private keeping: Promise<void> = Promise.resolve()

  constructor({ handle, limits, vocabSize, hiddenSize, packed }: NativeExecutorOptions) {
    this.handle = handle
    this.packed = packed
    this.vocabSize = vocabSize
    this.hiddenSize = hiddenSize
    const { weightsBytes, kvCacheBytes, activationBytes } = handle.memory()
    this.memory = { weightsBytes, kvCacheBytes, activationBytes }
    this.output = {
      tokenIds: new Int32Array(limits.maxOutputs),
      nonFinite: new Uint8Array(limits.maxOutputs),
      logprobs: new Float32Array(limits.maxOutputs),
      topTokenIds: new Int32Array(limits.maxOutputs * MAX_TOP_LOGPROBS),
      topLogprobs: new Float32Array(limits.maxOutputs * MAX_TOP_LOGPROBS),
      hidden: NO_FLOATS,
      logits: NO_FLOATS,
    }
  }

  async runStep(batch: StepBatch, sampling: SamplingBatch): Promise<StepOutput> {
    assert(!this.closing.signal.aborted, 'a step after close')
    const output = this.prepareOutput(batch, sampling)
    this.running = this.handle.runStep(batch, sampling, output)
    const failure = this.fillMasks(sampling)
    // Even then: the arrays stay borrowed until the step is done.
    await this.running
    if (failure !== null) throw failure
    return output
  }

  copyBlocks(pairs: Int32Array): void {
    this.handle.copyBlocks(pairs)
  }

  keepWeights(): Promise<void> {
    const { signal } = this.closing
    if (this.packed === null || signal.aborted) return Promise.resolve()
    const weights = this.handle.weights()
    const kept = weights === null ? this.packed.touch() : this.packed.save(weights, signal)
    this.keeping = kept.catch(() => {})
    return kept.catch((error: unknown) => {
      if (!signal.aborted) throw error
    })
  }

  async close(): Promise<void> {
    if (this.closing.signal.aborted) return
    this.closing.abort()
    await Promise.all([this.running, this.keeping])
    this.handle.close()
  }

  /** The threads compute meanwhile. Whatever happens, the gate opens: otherwise the step would never end. */
  private fillMasks({ fillMasks }: SamplingBatch): Error | null {
    if (fillMasks === null) return null
    try {
      fillMasks()
      return null
    } catch (error) {
      return error instanceof Error ? error : new Error('the masks could not be filled', { cause: error })
    } finally {
      this.handle.openGate()
    }
  }

  /** Views of the reused arrays, cut to the step's rows. */
  private prepareOutput({ numOutputs, numLogitRows }: StepBatch, { captureLogits }: SamplingBatch): StepOutput {
    const { tokenIds, nonFinite, logprobs, topTokenIds, topLogprobs } = this.output
    assert(numLogitRows <= tokenIds.length && numLogitRows <= numOutputs, 'more logit rows than the step may have')
    const numHidden = (numOutputs - numLogitRows) * this.hiddenSize
    if (this.hiddenStates.length < numHidden) this.hiddenStates = new Float32Array(numHidden)
    return {
      tokenIds: tokenIds.subarray(0, numLogitRows),
      nonFinite: nonFinite.subarray(0, numLogitRows),
      logprobs: logprobs.subarray(0, numLogitRows),
      topTokenIds: topTokenIds.subarray(0, numLogitRows * MAX_TOP_LOGPROBS),
      topLogprobs: topLogprobs.subarray(0, numLogitRows * MAX_TOP_LOGPROBS),
      hidden: this.hiddenStates.subarray(0, numHidden),
      logits: captureLogits ? new Float32Array(numLogitRows * this.vocabSize) : NO_FLOATS,
    }
  }
}
