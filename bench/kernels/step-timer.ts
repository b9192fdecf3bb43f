/** Runs steps of one shape again and again and reports their median. */
import { systemClock } from '#base/clock'
import type { Executor, SamplingBatch, StepBatch } from '#engine/kernels/kernels'

export const BLOCK_SIZE = 16

/** numSequences sequences with `numNew` new tokens each at the end of `contextLength`, one logit row each. */
export function steadyStep(numSequences: number, numNew: number, contextLength: number): StepBatch {
  const numTokens = numSequences * numNew
  const blocksEach = Math.ceil(contextLength / BLOCK_SIZE)
  const positionOf = (token: number): number => contextLength - numNew + (token % numNew)
  const blockOf = (token: number): number => Math.floor(token / numNew) * blocksEach + Math.floor(positionOf(token) / BLOCK_SIZE)
  return {
    numTokens,
    numSequences,
    tokenIds: Int32Array.from({ length: numTokens }, (_, token) => (token * 7919) % 61),
    positions: Int32Array.from({ length: numTokens }, (_, token) => positionOf(token)),
    slotMapping: Int32Array.from({ length: numTokens }, (_, token) => blockOf(token) * BLOCK_SIZE + (positionOf(token) % BLOCK_SIZE)),
    sequenceStarts: Int32Array.from({ length: numSequences + 1 }, (_, s) => s * numNew),
    contextLengths: new Int32Array(numSequences).fill(contextLength),
    blockTableStarts: Int32Array.from({ length: numSequences + 1 }, (_, s) => s * blocksEach),
    blockTables: Int32Array.from({ length: numSequences * blocksEach }, (_, block) => block),
    outputRows: Int32Array.from({ length: numSequences }, (_, s) => (s + 1) * numNew - 1),
    numOutputs: numSequences,
    numLogitRows: numSequences,
  }
}

export function greedySampling(numRows: number): SamplingBatch {
  const floats = (value: number): Float32Array => new Float32Array(numRows).fill(value)
  return {
    temperature: floats(0),
    topK: new Int32Array(numRows),
    topP: floats(1),
    minP: floats(0),
    repetitionPenalty: floats(1),
    presencePenalty: floats(0),
    frequencyPenalty: floats(0),
    seed: new Uint32Array(numRows),
    drawIndex: new Uint32Array(numRows),
    numTopLogprobs: new Int32Array(numRows).fill(-1),
    penaltyStarts: new Int32Array(numRows + 1),
    penaltyTokenIds: new Int32Array(0),
    penaltyCounts: new Int32Array(0),
    biasStarts: new Int32Array(numRows + 1),
    biasTokenIds: new Int32Array(0),
    biasValues: new Float32Array(0),
    maskIndex: new Int32Array(numRows).fill(-1),
    masks: new Uint32Array(0),
    maskWords: 0,
    fillMasks: null,
    captureLogits: false,
  }
}

export interface StepTiming {
  readonly medianMs: number
  readonly minMs: number
  /** All runs, in order of length. */
  readonly allMs: readonly number[]
  /** Processor time of all threads a step: on a busy machine the one honest figure, with one thread. */
  readonly cpuMs: number
}

/** At least three runs, within about `budgetMs`. */
export async function timeStep(executor: Executor, batch: StepBatch, budgetMs: number): Promise<StepTiming> {
  const sampling = greedySampling(batch.numLogitRows)
  await executor.runStep(batch, sampling)
  const times: number[] = []
  const start = systemClock.nowMs()
  const cpuStart = process.cpuUsage()
  while (times.length < 3 || (systemClock.nowMs() - start < budgetMs && times.length < 200)) {
    const before = systemClock.nowMs()
    await executor.runStep(batch, sampling)
    times.push(systemClock.nowMs() - before)
  }
  const { user, system } = process.cpuUsage(cpuStart)
  const cpuMs = (user + system) / 1000 / times.length
  times.sort((a, b) => a - b)
  return { medianMs: times[times.length >> 1]!, minMs: times[0]!, allMs: times, cpuMs }
}
