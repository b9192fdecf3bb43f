/** Runs program cases over random ragged batches, on any kernels. */
import { SeededRandom, type Random } from '#base/random'
import type { Executor, Kernels } from '#engine/kernels/kernels'
import type { KvDType } from '#engine/kernels/kv-dtype'
import type { Program } from '#engine/program/program'
import type { ProgramCase } from './case-builder.ts'
import { PagedSequences, type StepPart } from './paged-sequences.ts'
import { greedyColumns } from './sampling-columns.ts'

export const CASE_LIMITS = { maxTokens: 256, maxSequences: 8, maxOutputs: 256 }

export interface CaseCache {
  readonly dtype: KvDType
  readonly blockSize: number
}

export const F32_CACHE: CaseCache = { dtype: 'f32', blockSize: 4 }
const NUM_BLOCKS = 96

/** program: the case's own unless an optimized one is to be run. */
export function bindCase(
  kernels: Kernels,
  { program, tensors }: ProgramCase,
  cache: CaseCache = F32_CACHE,
  optimized: Program = program,
): Promise<Executor> {
  return kernels.bind({ program: optimized, tensors, kvCache: { numBlocks: NUM_BLOCKS, ...cache }, limits: CASE_LIMITS, numThreads: null })
}

export function randomTokens(random: Random, length: number, vocabSize: number): number[] {
  return Array.from({ length }, () => random.nextInt(vocabSize))
}

/** What one run of random ragged steps showed, row after row: compare two executors by it. */
export interface CaseTrace {
  /** Hidden state of every token, in step order. */
  readonly hidden: Float32Array[]
  /** Logits of the last token of every sequence of every step. */
  readonly logits: Float32Array[]
}

/** Three sequences of `lengths` tokens in random ragged steps; the same seed gives the same steps to every executor. */
export async function traceCase(
  executor: Executor,
  program: Program,
  seed: number,
  { blockSize } = F32_CACHE,
  lengths: readonly number[] = [1, 9, 23],
): Promise<CaseTrace> {
  const random = new SeededRandom(seed)
  const trace: CaseTrace = { hidden: [], logits: [] }
  for (const outputs of ['all', 'last'] as const) {
    const sequences = new PagedSequences({ numBlocks: NUM_BLOCKS, blockSize, random })
    const ids = lengths.map((length) => sequences.add(randomTokens(random, length, program.vocabSize)))
    for (let parts = randomParts(sequences, ids, outputs, random); parts.length > 0; parts = randomParts(sequences, ids, outputs, random)) {
      const batch = sequences.step(parts, outputs === 'all' ? 0 : undefined)
      const output = await executor.runStep(batch, greedyColumns(batch.numLogitRows, true))
      trace.hidden.push(output.hidden.slice())
      trace.logits.push(output.logits.slice())
    }
  }
  return trace
}

function randomParts(sequences: PagedSequences, ids: readonly number[], outputs: 'all' | 'last', random: Random): StepPart[] {
  const waiting = ids.filter((sequence) => sequences.numUncomputed(sequence) > 0)
  const chosen = waiting.filter(() => random.nextFloat() < 0.7)
  return (chosen.length === 0 ? waiting.slice(0, 1) : chosen).map((sequence) => ({
    sequence,
    numTokens: 1 + random.nextInt(sequences.numUncomputed(sequence)),
    outputs,
  }))
}

/** Logits of every position of one prompt, cut into the given chunk lengths: (length, vocabSize). */
export async function promptLogits(
  executor: Executor,
  program: Program,
  tokenIds: readonly number[],
  chunkLengths: readonly number[],
  seed = 1,
): Promise<Float32Array> {
  const sequences = new PagedSequences({ numBlocks: NUM_BLOCKS, blockSize: F32_CACHE.blockSize, random: new SeededRandom(seed) })
  const sequence = sequences.add(tokenIds)
  const logits = new Float32Array(tokenIds.length * program.vocabSize)
  let start = 0
  for (const numTokens of chunkLengths) {
    const batch = sequences.step([{ sequence, numTokens, outputs: 'all' }])
    logits.set((await executor.runStep(batch, greedyColumns(numTokens, true))).logits, start * program.vocabSize)
    start += numTokens
  }
  return logits
}

export function maxDifference(a: Float32Array, b: Float32Array): number {
  if (a.length !== b.length) return Infinity
  let max = 0
  for (let i = 0; i < a.length; i++) {
    const difference = Math.abs(a[i]! - b[i]!)
    if (!(difference <= max)) max = Number.isNaN(difference) ? Infinity : difference
  }
  return max
}
