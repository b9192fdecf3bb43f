/**
 * Runs one sequence through an executor step by step, as the engine would: paged blocks, batch arrays, captured logits.
 * Blocks are handed out in a scattered order, so that a kernel that forgets the block table is found out.
 */
import type { Executor, SamplingBatch, StepBatch, StepLimits } from '#engine/kernels/kernels'

export const BLOCK_SIZE = 16
export const NUM_BLOCKS = 8
export const STEP_LIMITS: StepLimits = { maxTokens: 64, maxSequences: 1, maxOutputs: 64 }

export interface SequenceRun {
  readonly tokens: readonly number[]
  /** New tokens of each step; their sum is the length of `tokens`. */
  readonly chunkLengths: readonly number[]
}

/** f32 (tokens.length, vocabSize): the logits after every token. */
export async function runSequence(executor: Executor, vocabSize: number, { tokens, chunkLengths }: SequenceRun): Promise<Float32Array> {
  const logits = new Float32Array(tokens.length * vocabSize)
  let numComputed = 0
  for (const length of chunkLengths) {
    const batch = stepBatch(tokens, numComputed, length)
    const output = await executor.runStep(batch, greedySampling(length))
    logits.set(output.logits.subarray(0, length * vocabSize), numComputed * vocabSize)
    numComputed += length
  }
  return logits
}

function stepBatch(tokens: readonly number[], start: number, length: number): StepBatch {
  const contextLength = start + length
  const positions = Int32Array.from({ length }, (_, i) => start + i)
  const blockTables = Int32Array.from({ length: Math.ceil(contextLength / BLOCK_SIZE) }, (_, i) => (5 * i + 3) % NUM_BLOCKS)
  return {
    numTokens: length,
    numSequences: 1,
    tokenIds: Int32Array.from(tokens.slice(start, contextLength)),
    positions,
    slotMapping: positions.map((position) => blockTables[Math.floor(position / BLOCK_SIZE)]! * BLOCK_SIZE + (position % BLOCK_SIZE)),
    sequenceStarts: Int32Array.of(0, length),
    contextLengths: Int32Array.of(contextLength),
    blockTableStarts: Int32Array.of(0, blockTables.length),
    blockTables,
    outputRows: Int32Array.from({ length }, (_, i) => i),
    numOutputs: length,
    numLogitRows: length,
  }
}

function greedySampling(numLogitRows: number): SamplingBatch {
  const floats = (value: number) => new Float32Array(numLogitRows).fill(value)
  return {
    temperature: floats(0),
    topK: new Int32Array(numLogitRows),
    topP: floats(1),
    minP: floats(0),
    repetitionPenalty: floats(1),
    presencePenalty: floats(0),
    frequencyPenalty: floats(0),
    seed: new Uint32Array(numLogitRows),
    drawIndex: new Uint32Array(numLogitRows),
    numTopLogprobs: new Int32Array(numLogitRows).fill(-1),
    penaltyStarts: new Int32Array(numLogitRows + 1),
    penaltyTokenIds: new Int32Array(0),
    penaltyCounts: new Int32Array(0),
    biasStarts: new Int32Array(numLogitRows + 1),
    biasTokenIds: new Int32Array(0),
    biasValues: new Float32Array(0),
    maskIndex: new Int32Array(numLogitRows).fill(-1),
    masks: new Uint32Array(0),
    maskWords: 0,
    fillMasks: null,
    captureLogits: true,
  }
}
