/**
 * Kernels without math, for tests of scheduler and engine core: a token is a hash of everything before it, so each sequence
 * has exactly one right continuation, whoever shares its batch. `nextNullToken` computes it without any cache.
 */
import { assert } from '#base/assert'
import type { Program } from '#engine/program/program'
import { valueOf } from '#engine/program/operands'
import { verifyProgram } from '#engine/program/verify'
import { hash32, mix32 } from '#engine/sampling/draw'
import { ALL_FORBIDDEN, NON_FINITE, SAMPLED } from '#engine/sampling/sampling-columns'
import { MAX_TOP_LOGPROBS } from '../kernels.ts'
import type { BindOptions, Executor, ExecutorMemory, Kernels, SamplingBatch, StepBatch, StepLimits, StepOutput } from '../kernels.ts'
import { extendHash, NullKvCache, ROOT_HASH } from './null-kv-cache.ts'

export interface NullFaults {
  /** Rows that end in one of these tokens report non-finite logits. */
  readonly nonFiniteAfterTokens?: ReadonlySet<number>
  /** By step index of the executor, 0-based: the step fails with this error, before it touches the cache. */
  readonly failingSteps?: ReadonlyMap<number, Error>
}

export function createNullKernels(faults: NullFaults = {}): Kernels {
  return {
    name: 'null',
    bind(options: BindOptions): Promise<Executor> {
      verifyProgram(options.program)
      return Promise.resolve(new NullExecutor(options, faults))
    },
  }
}

interface NullContinuation {
  /** Prompt and output so far. */
  readonly tokenIds: Iterable<number>
  readonly vocabSize: number
  /** Temperature 0: neither seed nor draw index matters. */
  readonly temperature: number
  readonly seed: number
  readonly drawIndex: number
  readonly forbidden?: ReadonlySet<number>
  /** null = all of them. */
  readonly allowed?: ReadonlySet<number> | null
}

/** The token that null kernels sample behind `tokenIds`: what a test expects. */
export function nextNullToken(continuation: NullContinuation): number {
  const { tokenIds, vocabSize, temperature, seed, drawIndex, forbidden = new Set(), allowed = null } = continuation
  let hash = ROOT_HASH
  for (const tokenId of tokenIds) hash = extendHash(hash, tokenId)
  let token = drawNullToken(hash, temperature === 0 ? 0 : hash32(seed, drawIndex), vocabSize)
  while (forbidden.has(token) || allowed?.has(token) === false) token = (token + 1) % vocabSize
  return token
}

function drawNullToken(prefixHash: number, draw: number, vocabSize: number): number {
  return mix32((prefixHash + draw) >>> 0) % vocabSize
}

class NullExecutor implements Executor {
  readonly memory: ExecutorMemory
  private readonly program: Program
  private readonly hiddenSize: number
  private readonly limits: StepLimits
  private readonly faults: NullFaults
  private readonly cache: NullKvCache
  private numSteps = 0
  private isRunning = false
  private isClosed = false

  constructor({ program, kvCache, limits }: BindOptions, faults: NullFaults) {
    this.program = program
    this.hiddenSize = valueOf(program, program.hidden).width
    this.limits = limits
    this.faults = faults
    this.cache = new NullKvCache(kvCache)
    this.memory = { weightsBytes: 0, kvCacheBytes: this.cache.numBytes, activationBytes: 0 }
  }

  async runStep(batch: StepBatch, sampling: SamplingBatch): Promise<StepOutput> {
    assert(!this.isClosed, 'a step on a closed executor')
    assert(!this.isRunning, 'a second step before the first has resolved')
    this.isRunning = true
    // The batch is read a microtask later, so that a caller who changes it too early is found out.
    await Promise.resolve()
    this.isRunning = false
    const failure = this.faults.failingSteps?.get(this.numSteps++)
    if (failure !== undefined) throw failure
    this.checkShape(batch)
    this.checkMasks(batch, sampling)
    this.cache.runStep(batch)
    sampling.fillMasks?.()
    return this.sample(batch, sampling)
  }

  copyBlocks(pairs: Int32Array): void {
    assert(!this.isRunning, 'blocks are copied between steps')
    this.cache.copyBlocks(pairs)
  }

  keepWeights(): Promise<void> {
    return Promise.resolve()
  }

  close(): Promise<void> {
    this.isClosed = true
    return Promise.resolve()
  }

  private checkShape(batch: StepBatch): void {
    const { limits } = this
    assert(batch.numTokens > 0 && batch.numTokens <= limits.maxTokens, `a step of ${batch.numTokens} tokens, the limit is ${limits.maxTokens}`)
    assert(
      batch.numSequences > 0 && batch.numSequences <= limits.maxSequences,
      `a step of ${batch.numSequences} sequences, the limit is ${limits.maxSequences}`,
    )
    assert(batch.numOutputs <= limits.maxOutputs, `${batch.numOutputs} outputs, the limit is ${limits.maxOutputs}`)
    assert(batch.numLogitRows <= batch.numOutputs, `${batch.numLogitRows} logit rows of ${batch.numOutputs} outputs`)
    assert(batch.sequenceStarts[0] === 0 && batch.sequenceStarts[batch.numSequences] === batch.numTokens, 'sequences do not cover the tokens')
    for (let row = 0; row < batch.numTokens; row++) {
      const tokenId = batch.tokenIds[row]!
      assert(tokenId >= 0 && tokenId < this.program.vocabSize, `token ${tokenId} is not in the vocabulary of ${this.program.vocabSize}`)
    }
    for (let output = 0; output < batch.numOutputs; output++) {
      const row = batch.outputRows[output]!
      assert(row >= 0 && row < batch.numTokens, `output row ${row} of ${batch.numTokens} tokens`)
    }
  }

  private checkMasks(batch: StepBatch, { maskIndex, masks, maskWords, fillMasks }: SamplingBatch): void {
    assert(maskIndex.length >= batch.numLogitRows, `${maskIndex.length} mask indices for ${batch.numLogitRows} logit rows`)
    assert(maskWords === Math.ceil(this.program.vocabSize / 32), `masks of ${maskWords} words for ${this.program.vocabSize} tokens`)
    const numMasks = masks.length / maskWords
    assert(Number.isInteger(numMasks) && numMasks <= this.limits.maxOutputs, `${numMasks} masks`)
    assert(fillMasks === null || numMasks > 0, 'there is nothing to fill')
    for (const index of maskIndex) assert(index >= -1 && index < numMasks, `mask ${index} of ${numMasks}`)
  }

  private sample(batch: StepBatch, sampling: SamplingBatch): StepOutput {
    const { numLogitRows, numOutputs } = batch
    const output = {
      tokenIds: new Int32Array(numLogitRows),
      nonFinite: new Uint8Array(numLogitRows),
      logprobs: new Float32Array(numLogitRows),
      topTokenIds: new Int32Array(numLogitRows * MAX_TOP_LOGPROBS),
      topLogprobs: new Float32Array(numLogitRows * MAX_TOP_LOGPROBS),
      hidden: new Float32Array((numOutputs - numLogitRows) * this.hiddenSize),
      logits: new Float32Array(sampling.captureLogits ? numLogitRows * this.program.vocabSize : 0),
    }
    for (let row = 0; row < numLogitRows; row++) this.sampleRow(batch, sampling, row, output)
    for (let row = numLogitRows; row < numOutputs; row++) {
      const start = (row - numLogitRows) * this.hiddenSize
      for (let i = 0; i < this.hiddenSize; i++) output.hidden[start + i] = mix32(this.hashOfRow(batch, row) ^ i) / 2 ** 31 - 1
    }
    return output
  }

  /** The best logprob is -0.25, each further alternative one less: ids in a circle from the chosen one. */
  private sampleRow(batch: StepBatch, sampling: SamplingBatch, row: number, output: StepOutput): void {
    const { vocabSize } = this.program
    const lastToken = batch.tokenIds[batch.outputRows[row]!]!
    const forbidden = forbiddenTokens(sampling, row, vocabSize)
    if (this.faults.nonFiniteAfterTokens?.has(lastToken) === true) output.nonFinite[row] = NON_FINITE
    else if (forbidden.size >= vocabSize) output.nonFinite[row] = ALL_FORBIDDEN
    if (output.nonFinite[row] !== SAMPLED) return
    const draw = sampling.temperature[row] === 0 ? 0 : hash32(sampling.seed[row]!, sampling.drawIndex[row]!)
    let token = drawNullToken(this.hashOfRow(batch, row), draw, vocabSize)
    while (forbidden.has(token)) token = (token + 1) % vocabSize
    output.tokenIds[row] = token
    if (sampling.captureLogits) output.logits[row * vocabSize + token] = 1
    const numTop = sampling.numTopLogprobs[row]!
    if (numTop >= 0) output.logprobs[row] = -0.25
    for (let rank = 0; rank < Math.min(numTop, vocabSize); rank++) {
      output.topTokenIds[row * MAX_TOP_LOGPROBS + rank] = (token + rank) % vocabSize
      output.topLogprobs[row * MAX_TOP_LOGPROBS + rank] = -0.25 - rank
    }
  }

  private hashOfRow(batch: StepBatch, output: number): number {
    return this.cache.hashAt(batch.slotMapping[batch.outputRows[output]!]!)
  }
}

function forbiddenTokens(sampling: SamplingBatch, row: number, vocabSize: number): Set<number> {
  const forbidden = new Set<number>()
  for (let entry = sampling.biasStarts[row]!; entry < sampling.biasStarts[row + 1]!; entry++) {
    if (sampling.biasValues[entry] === -Infinity) forbidden.add(sampling.biasTokenIds[entry]!)
  }
  const mask = sampling.maskIndex[row]!
  if (mask < 0) return forbidden
  const start = mask * sampling.maskWords
  for (let id = 0; id < vocabSize; id++) if (((sampling.masks[start + (id >> 5)]! >>> (id & 31)) & 1) === 0) forbidden.add(id)
  return forbidden
}
