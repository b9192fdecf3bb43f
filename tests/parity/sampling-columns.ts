/** Sampling columns for executor tests. */
import type { Random } from '#base/random'
import type { SamplingBatch } from '#engine/kernels/kernels'

/** One logit row, every field with its neutral default: greedy, no logprobs. */
export interface SamplingRowOptions {
  readonly temperature?: number
  readonly topK?: number
  readonly topP?: number
  readonly minP?: number
  readonly repetitionPenalty?: number
  readonly presencePenalty?: number
  readonly frequencyPenalty?: number
  readonly seed?: number
  readonly drawIndex?: number
  readonly numTopLogprobs?: number
  /** [token id, count in the output]. */
  readonly penalties?: readonly (readonly [number, number])[]
  /** [token id, bias]. */
  readonly bias?: readonly (readonly [number, number])[]
  /** u32 (maskWords); all masks of a step have one length. */
  readonly mask?: Uint32Array
}

export function samplingColumns(rows: readonly SamplingRowOptions[], captureLogits = false): SamplingBatch {
  const penalties = rows.flatMap((row) => row.penalties ?? [])
  const bias = rows.flatMap((row) => row.bias ?? [])
  const masks = rows.flatMap((row) => row.mask ?? [])
  return {
    temperature: Float32Array.from(rows, (row) => row.temperature ?? 0),
    topK: Int32Array.from(rows, (row) => row.topK ?? 0),
    topP: Float32Array.from(rows, (row) => row.topP ?? 1),
    minP: Float32Array.from(rows, (row) => row.minP ?? 0),
    repetitionPenalty: Float32Array.from(rows, (row) => row.repetitionPenalty ?? 1),
    presencePenalty: Float32Array.from(rows, (row) => row.presencePenalty ?? 0),
    frequencyPenalty: Float32Array.from(rows, (row) => row.frequencyPenalty ?? 0),
    seed: Uint32Array.from(rows, (row) => row.seed ?? 0),
    drawIndex: Uint32Array.from(rows, (row) => row.drawIndex ?? 0),
    numTopLogprobs: Int32Array.from(rows, (row) => row.numTopLogprobs ?? -1),
    penaltyStarts: startsOf(rows.map((row) => row.penalties?.length ?? 0)),
    penaltyTokenIds: Int32Array.from(penalties, ([id]) => id),
    penaltyCounts: Int32Array.from(penalties, ([, count]) => count),
    biasStarts: startsOf(rows.map((row) => row.bias?.length ?? 0)),
    biasTokenIds: Int32Array.from(bias, ([id]) => id),
    biasValues: Float32Array.from(bias, ([, value]) => value),
    maskIndex: Int32Array.from(rows, (row) => (row.mask === undefined ? -1 : masks.indexOf(row.mask))),
    masks: Uint32Array.from(masks.flatMap((mask) => [...mask])),
    maskWords: masks[0]?.length ?? 0,
    fillMasks: null,
    captureLogits,
  }
}

export function greedyColumns(numRows: number, captureLogits = false): SamplingBatch {
  return samplingColumns(
    Array.from({ length: numRows }, () => ({})),
    captureLogits,
  )
}

/** Rows that use every parameter in random combination, over a vocabulary of `vocabSize`. */
export function randomSamplingRows(random: Random, numRows: number, vocabSize: number): SamplingRowOptions[] {
  const sometimes = <T>(value: T, neutral: T): T => (random.nextFloat() < 0.5 ? value : neutral)
  return Array.from({ length: numRows }, () => ({
    temperature: sometimes(0.2 + random.nextFloat() * 2, 0),
    topK: sometimes(1 + random.nextInt(vocabSize), 0),
    topP: sometimes(random.nextFloat(), 1),
    minP: sometimes(random.nextFloat() * 0.3, 0),
    repetitionPenalty: sometimes(0.8 + random.nextFloat(), 1),
    presencePenalty: sometimes(random.nextFloat() * 2 - 1, 0),
    frequencyPenalty: sometimes(random.nextFloat() * 2 - 1, 0),
    seed: random.nextUint32(),
    drawIndex: random.nextInt(5000),
    numTopLogprobs: random.nextInt(22) - 1,
    penalties: distinctTokens(random, random.nextInt(vocabSize / 2), vocabSize).map((id) => [id, random.nextInt(4)] as const),
    bias: distinctTokens(random, random.nextInt(6), vocabSize).map((id) => [id, sometimes(random.nextFloat() * 8 - 4, -Infinity)] as const),
  }))
}

/** Full, empty, of the last word only, of a few tokens, or of one token in 1 to 32; bits beyond the vocabulary are set at times. */
export function randomMask(random: Random, vocabSize: number): Uint32Array {
  const mask = new Uint32Array(Math.ceil(vocabSize / 32))
  const allow = (id: number): void => void (mask[id >> 5]! |= 1 << (id & 31))
  const kind = random.nextInt(8)
  if (kind === 0) mask.fill(0xffffffff)
  if (kind === 2) mask[mask.length - 1] = random.nextUint32()
  if (kind === 3 || kind === 4) for (let count = 1 + random.nextInt(5); count > 0; count--) allow(random.nextInt(vocabSize))
  const oneIn = 2 ** random.nextInt(6)
  if (kind >= 5) for (let id = 0; id < vocabSize; id++) if (random.nextInt(oneIn) === 0) allow(id)
  if (random.nextInt(2) === 0 && vocabSize % 32 !== 0) allow(vocabSize | 31)
  return mask
}

function distinctTokens(random: Random, count: number, vocabSize: number): number[] {
  const tokens = new Set<number>()
  for (let i = 0; i < count; i++) tokens.add(random.nextInt(vocabSize))
  return [...tokens]
}

function startsOf(lengths: readonly number[]): Int32Array {
  const starts = new Int32Array(lengths.length + 1)
  lengths.forEach((length, index) => (starts[index + 1] = starts[index]! + length))
  return starts
}
