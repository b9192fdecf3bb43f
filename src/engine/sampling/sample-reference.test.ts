import { expect, test } from 'vitest'
import { SeededRandom } from '#base/random'
import type { SamplingBatch } from '#engine/kernels/kernels'
import { uniformDraw } from './draw.ts'
import { sampleRow } from './sample-reference.ts'
import { ALL_FORBIDDEN, MAX_TOP_LOGPROBS, NON_FINITE, SAMPLED } from './sampling-columns.ts'

interface RowOptions {
  readonly temperature?: number
  readonly topK?: number
  readonly topP?: number
  readonly minP?: number
  readonly repetition?: number
  readonly presence?: number
  readonly frequency?: number
  readonly seed?: number
  readonly drawIndex?: number
  readonly numTop?: number
  readonly penalties?: readonly (readonly [id: number, count: number])[]
  readonly bias?: readonly (readonly [id: number, value: number])[]
  /** Words of the mask; null = every token is allowed. */
  readonly mask?: readonly number[]
}

function oneRow(options: RowOptions): SamplingBatch {
  const { penalties = [], bias = [], mask = [] } = options
  return {
    temperature: Float32Array.of(options.temperature ?? 0),
    topK: Int32Array.of(options.topK ?? 0),
    topP: Float32Array.of(options.topP ?? 1),
    minP: Float32Array.of(options.minP ?? 0),
    repetitionPenalty: Float32Array.of(options.repetition ?? 1),
    presencePenalty: Float32Array.of(options.presence ?? 0),
    frequencyPenalty: Float32Array.of(options.frequency ?? 0),
    seed: Uint32Array.of(options.seed ?? 0),
    drawIndex: Uint32Array.of(options.drawIndex ?? 0),
    numTopLogprobs: Int32Array.of(options.numTop ?? -1),
    penaltyStarts: Int32Array.of(0, penalties.length),
    penaltyTokenIds: Int32Array.from(penalties, ([id]) => id),
    penaltyCounts: Int32Array.from(penalties, ([, count]) => count),
    biasStarts: Int32Array.of(0, bias.length),
    biasTokenIds: Int32Array.from(bias, ([id]) => id),
    biasValues: Float32Array.from(bias, ([, value]) => value),
    maskIndex: Int32Array.of(mask.length === 0 ? -1 : 0),
    masks: Uint32Array.from(mask),
    maskWords: mask.length,
    fillMasks: null,
    captureLogits: false,
  }
}

function sample(logits: readonly number[], options: RowOptions = {}) {
  const out = {
    tokenIds: new Int32Array(1),
    nonFinite: new Uint8Array(1),
    logprobs: new Float32Array(1),
    topTokenIds: new Int32Array(MAX_TOP_LOGPROBS),
    topLogprobs: new Float32Array(MAX_TOP_LOGPROBS),
  }
  sampleRow(Float32Array.from(logits), oneRow(options), 0, new Float32Array(logits.length), out)
  return {
    token: out.tokenIds[0]!,
    status: out.nonFinite[0],
    logprob: out.logprobs[0]!,
    topIds: [...out.topTokenIds],
    topLogprobs: out.topLogprobs,
  }
}

const NUM_DRAWS = 20_000

/** How often each token comes out over NUM_DRAWS draws of one seed. */
function histogram(logits: readonly number[], options: RowOptions): number[] {
  const counts = logits.map(() => 0)
  for (let drawIndex = 0; drawIndex < NUM_DRAWS; drawIndex++) counts[sample(logits, { seed: 9, ...options, drawIndex }).token]!++
  return counts
}

/** Chi-square of the draws against weights; tokens of weight 0 must never come out. */
function chiSquare(counts: readonly number[], weights: readonly number[]): number {
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  return counts.reduce((sum, count, id) => {
    const expected = (NUM_DRAWS * weights[id]!) / total
    if (expected === 0) return count === 0 ? sum : Infinity
    return sum + (count - expected) ** 2 / expected
  }, 0)
}

/** 99.9 % quantiles of chi-square by degrees of freedom. */
const CHI_SQUARE_LIMIT = [0, 10.8, 13.8, 16.3, 18.5, 20.5, 22.5, 24.3]

const LOGITS = [1, 0.5, 2, -1, 0, 1.5, -3, 0.25]

test.each<[string, RowOptions, readonly number[]]>([
  ['temperature 1', { temperature: 1 }, LOGITS.map((l) => Math.exp(l))],
  ['temperature 0.5', { temperature: 0.5 }, LOGITS.map((l) => Math.exp(l / 0.5))],
  ['temperature 2', { temperature: 2 }, LOGITS.map((l) => Math.exp(l / 2))],
  ['top-k 3', { temperature: 1, topK: 3 }, LOGITS.map((l) => (l >= 1 ? Math.exp(l) : 0))],
  ['top-k beyond the vocabulary', { temperature: 1, topK: 50 }, LOGITS.map((l) => Math.exp(l))],
  ['min-p 0.3', { temperature: 1, minP: 0.3 }, LOGITS.map((l) => (l >= 2 + Math.log(0.3) ? Math.exp(l) : 0))],
  ['min-p after temperature', { temperature: 2, minP: 0.6 }, LOGITS.map((l) => (l / 2 >= 1 + Math.log(0.6) ? Math.exp(l / 2) : 0))],
  // Sorted: 2, 1.5, 1, 0.5, ... = 0.398, 0.242, 0.146 of the mass.
  ['top-p 0.7', { temperature: 1, topP: 0.7 }, LOGITS.map((l) => (l >= 1 ? Math.exp(l) : 0))],
  ['top-p within top-k', { temperature: 1, topK: 3, topP: 0.7 }, LOGITS.map((l) => (l >= 1.5 ? Math.exp(l) : 0))],
  [
    'a bias',
    {
      temperature: 1,
      bias: [
        [3, 2],
        [2, -Infinity],
      ],
    },
    LOGITS.map((l, id) => (id === 2 ? 0 : Math.exp(id === 3 ? l + 2 : l))),
  ],
  [
    'penalties',
    {
      temperature: 1,
      repetition: 2,
      presence: 0.5,
      frequency: 0.25,
      penalties: [
        [2, 3],
        [3, 0],
      ],
    },
    LOGITS.map((l, id) => Math.exp(id === 2 ? l / 2 - 0.75 - 0.5 : id === 3 ? l * 2 : l)),
  ],
])('draws follow the distribution: %s', (_, options, weights) => {
  const numTokens = weights.filter((weight) => weight > 0).length
  expect(chiSquare(histogram(LOGITS, options), weights)).toBeLessThan(CHI_SQUARE_LIMIT[numTokens - 1]!)
})

test('temperature 0 takes the largest logit, the lowest id on ties', () => {
  expect(sample([0, 3, 1, 3]).token).toBe(1)
  expect(sample([0, 3, 1, 3], { bias: [[1, -0.5]] }).token).toBe(3)
  expect(sample([0, 3, 1, 3], { seed: 7, topK: 1, topP: 0.1 }).token).toBe(1)
})

test('the draw is the hash of seed and index, inverted over the running sums', () => {
  const logits = [0, Math.log(2), Math.log(3), Math.log(4)]
  for (let drawIndex = 0; drawIndex < 200; drawIndex++) {
    const u = uniformDraw(5, drawIndex)
    const idOrder = [0.1, 0.3, 0.6, 1].findIndex((sum) => sum > u)
    const descending = [3, 2, 1, 0][[0.4, 0.7, 0.9, 1].findIndex((sum) => sum > u)]
    expect(sample(logits, { temperature: 1, seed: 5, drawIndex }).token).toBe(idOrder)
    expect(sample(logits, { temperature: 1, seed: 5, drawIndex, minP: 1e-9 }).token).toBe(descending)
  }
})

test('top-k keeps lower ids on a tie at its edge', () => {
  const counts = histogram([1, 2, 1, 1], { temperature: 1, topK: 2 })
  expect(counts[2]! + counts[3]!).toBe(0)
  expect(counts[0]).toBeGreaterThan(0)
})

test('top-p keeps one token however small it is, and the token that crosses it', () => {
  expect(histogram(LOGITS, { temperature: 1, topP: 0 })[2]).toBe(NUM_DRAWS)
  expect(histogram([0, 0, 0, 0], { temperature: 1, topP: 0.5 }).map((count) => count > 0)).toEqual([true, true, false, false])
})

test('a very small temperature is greedy and stays finite', () => {
  for (let drawIndex = 0; drawIndex < 100; drawIndex++) expect(sample(LOGITS, { temperature: 1e-30, drawIndex }).token).toBe(2)
})

test('a forbidden token stays forbidden under penalties, and when all are forbidden the row is reported', () => {
  expect(sample([5, 1], { bias: [[0, -Infinity]], penalties: [[0, 4]], repetition: 2, frequency: -3 }).token).toBe(1)
  expect(
    sample([5, 1], {
      bias: [
        [0, -Infinity],
        [1, -Infinity],
      ],
    }),
  ).toMatchObject({ status: ALL_FORBIDDEN, token: 0 })
})

test('the repetition penalty divides what is positive and multiplies what is negative, in the prompt too', () => {
  expect(sample([3, 2], { repetition: 2, penalties: [[0, 0]] }).token).toBe(1)
  expect(sample([-1, -1.5], { repetition: 2, penalties: [[0, 0]] }).token).toBe(1)
  expect(sample([3, 2], { presence: 2, frequency: 2, penalties: [[0, 0]] }).token).toBe(0)
  expect(sample([3, 2], { presence: 1.5, penalties: [[0, 9]] }).token).toBe(1)
  expect(sample([3, 2], { frequency: 0.5, penalties: [[0, 3]] }).token).toBe(1)
})

test.each([NaN, Infinity, -Infinity])('a raw logit of %s is reported', (bad) => {
  expect(sample([1, bad, 2], { numTop: 2, temperature: 1 })).toMatchObject({ status: NON_FINITE, token: 0, logprob: 0 })
})

test.each<[string, RowOptions]>([
  ['a repetition penalty so small that it overflows', { repetition: 1e-38, penalties: [[2, 1]] }],
  ['a repetition penalty of 0', { repetition: 0, penalties: [[2, 1]] }],
  ['a frequency penalty of -Infinity', { frequency: -Infinity, penalties: [[2, 1]] }],
  ['a penalty that is NaN', { presence: NaN, penalties: [[0, 1]] }],
  ['a bias of +Infinity', { bias: [[1, Infinity]] }],
  ['a bias of NaN', { bias: [[1, NaN]] }],
])('%s is reported, greedy or drawn', (_, options) => {
  for (const draw of [{}, { temperature: 1 }, { temperature: 1, topK: 2, topP: 0.5 }]) {
    expect(sample([1, 0, 20], { ...draw, ...options, numTop: 2 })).toMatchObject({ status: NON_FINITE, token: 0, logprob: 0 })
  }
})

test.each<[string, RowOptions]>([
  ['min-p above 1', { minP: 1.5 }],
  ['min-p NaN', { minP: NaN }],
  ['temperature NaN', { temperature: NaN, topK: 2 }],
])('%s, which leaves no candidate, gives the most likely token', (_, options) => {
  for (const topP of [1, 0.5]) expect(sample([1, 7, 2], { temperature: 1, topP, ...options })).toMatchObject({ status: SAMPLED, token: 1 })
})

test('logprobs are of the raw logits, best first, ties by lower id', () => {
  const logits = [1, 3, 2, 3, -4]
  const logTotal = Math.log(logits.reduce((sum, l) => sum + Math.exp(l), 0))
  const row = sample(logits, { temperature: 0, numTop: 4, bias: [[4, 100]] })
  expect(row.token).toBe(4)
  expect(row.logprob).toBeCloseTo(-4 - logTotal, 5)
  expect(row.topIds.slice(0, 4)).toEqual([1, 3, 2, 0])
  expect(row.topLogprobs[2]).toBeCloseTo(2 - logTotal, 5)
  expect(sample(logits, { numTop: 0 }).logprob).toBeCloseTo(3 - logTotal, 5)
  expect(sample(logits).logprob).toBe(0)
})

test('more alternatives than tokens leaves the rest empty', () => {
  expect(sample([1, 2], { numTop: 5 }).topIds.slice(0, 5)).toEqual([1, 0, 0, 0, 0])
})

test('alternatives of a long row equal a full sort', () => {
  const random = new SeededRandom(3)
  const logits = Array.from({ length: 500 }, () => Math.fround(random.nextInt(60) / 7))
  const sorted = logits.map((_, id) => id).sort((a, b) => logits[b]! - logits[a]! || a - b)
  expect(sample(logits, { numTop: 20 }).topIds).toEqual(sorted.slice(0, 20))
})

test('a mask forbids every token whose bit is 0, after bias and penalties', () => {
  expect(sample([5, 4, 3, 2], { mask: [0b1100] }).token).toBe(2)
  expect(sample([5, 4, 3, 2], { mask: [0b1100], bias: [[3, 2]] }).token).toBe(3)
  expect(sample([5, 4, 3, 2], { mask: [0b0011], penalties: [[0, 1]], presence: 3 }).token).toBe(1)
  expect(sample([5, 4, 3, 2], { mask: [0b1001], bias: [[1, 9]] }).token).toBe(0)
  const counts = histogram(LOGITS, { temperature: 1, mask: [0b10010110] })
  expect(
    chiSquare(
      counts,
      LOGITS.map((l, id) => ((0b10010110 >> id) & 1) * Math.exp(l)),
    ),
  ).toBeLessThan(CHI_SQUARE_LIMIT[3]!)
})

test('candidates are chosen among the tokens that the mask leaves', () => {
  for (let drawIndex = 0; drawIndex < 50; drawIndex++) {
    expect(sample(LOGITS, { temperature: 1, drawIndex, topK: 1, mask: [0b11001000] }).token).toBe(7)
    expect(sample(LOGITS, { temperature: 1, drawIndex, minP: 1, mask: [0b11001000] }).token).toBe(7)
  }
})

test('a mask longer than a word is read word by word, and bits beyond the vocabulary mean nothing', () => {
  const logits = Array.from({ length: 70 }, (_, id) => id / 10)
  expect(sample(logits, { mask: [0, 1 << 31, 0xffffffc0] }).token).toBe(63)
  expect(sample(logits, { mask: [0, 0, 0xffffffff] }).token).toBe(69)
})

test('logprobs and the test for non-finite values do not know the mask', () => {
  const row = sample([5, 1], { mask: [0b10], numTop: 1 })
  expect(row).toMatchObject({ token: 1, status: SAMPLED })
  expect([row.topIds[0], row.logprob]).toEqual([0, Math.fround(-4 - Math.log(1 + Math.exp(-4)))])
  expect(sample([5, NaN], { mask: [0b01] }).status).toBe(NON_FINITE)
  expect(sample([5, 1], { mask: [0b10], bias: [[0, Infinity]] }).status).toBe(NON_FINITE)
})

test('a mask that leaves nothing, or only what the bias forbids, is reported', () => {
  expect(sample([5, 1], { mask: [0] })).toMatchObject({ status: ALL_FORBIDDEN, token: 0 })
  expect(sample([5, 1], { mask: [0b100], temperature: 1, numTop: 1 })).toMatchObject({ status: ALL_FORBIDDEN, token: 0, logprob: 0 })
  expect(sample([5, 1], { mask: [0b01], bias: [[0, -Infinity]] }).status).toBe(ALL_FORBIDDEN)
})
