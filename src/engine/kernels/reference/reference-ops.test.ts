/** Each op against numbers that were worked out by hand or from its formula on another path. */
import { expect, test } from 'vitest'
import { SeededRandom } from '#base/random'
import { add } from './add.ts'
import { attention } from './attention.ts'
import { embed } from './embed.ts'
import { gatedActivation } from './gated-activation.ts'
import { KvCache } from './kv-cache.ts'
import { linear } from './linear.ts'
import type { Matrix } from './matrix.ts'
import { rmsNorm } from './rms-norm.ts'
import { fillRotations, rope } from './rope.ts'
import { selectRows } from './select-rows.ts'
import { softcap } from './softcap.ts'

function matrix(width: number, ...values: readonly number[]): Matrix {
  return { data: Float32Array.from(values), offset: 0, stride: width, width }
}

function empty(numRows: number, width: number): Matrix {
  return { data: new Float32Array(numRows * width), offset: 0, stride: width, width }
}

function expectClose(actual: Float32Array, expected: readonly number[]): void {
  expect(actual.length).toBe(expected.length)
  for (const [index, value] of actual.entries()) expect(value).toBeCloseTo(expected[index]!, 5)
}

test('embed gathers and scales rows', () => {
  const out = empty(2, 2)
  embed(Int32Array.of(2, 0), 2, { values: Float32Array.of(1, 2, 3, 4, 5, 6), numRows: 3, numColumns: 2, isQuantized: false }, 0.5, out)
  expect([...out.data]).toEqual([2.5, 3, 0.5, 1])
})

test('rms_norm normalizes each group on its own, inside a view', () => {
  const x: Matrix = { data: Float32Array.of(9, 3, 4, 0, 2, 9), offset: 1, stride: 6, width: 4 }
  rmsNorm(x, Float32Array.of(1, 2), 0, 1, x)
  expectClose(x.data, [9, 3 / Math.sqrt(12.5), 8 / Math.sqrt(12.5), 0, 4 / Math.sqrt(2), 9])
})

test('linear multiplies by the transposed weight and adds bias and residual', () => {
  const weight = { values: Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10), numRows: 5, numColumns: 2, isQuantized: false }
  const out = empty(2, 5)
  linear(
    { x: matrix(2, 1, 1, 0, 10), weight, bias: Float32Array.of(0, 0, 0, 0, 100), residual: matrix(5, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2), out },
    2,
    new Float32Array(4),
  )
  expect([...out.data]).toEqual([4, 8, 12, 16, 120, 22, 42, 62, 82, 202])
})

test('linear on a quantized weight sees 8-bit activations', () => {
  const values = new Float32Array(32).fill(0)
  values[1] = 1
  const x = matrix(32, 127, 3.4, ...new Array<number>(30).fill(0))
  const [rounded, exact] = [empty(1, 1), empty(1, 1)]
  for (const [isQuantized, out] of [
    [true, rounded],
    [false, exact],
  ] as const) {
    linear({ x, weight: { values, numRows: 1, numColumns: 32, isQuantized }, bias: null, residual: null, out }, 1, new Float32Array(32))
  }
  expect([rounded.data[0], exact.data[0]]).toEqual([3, Math.fround(3.4)])
})

test.each([
  ['interleaved', [0, 1, 2, 3, 4, 5, 6, 7]],
  ['half-split', [0, 2, 1, 3, 4, 6, 5, 7]],
] as const)('rope %s turns pairs by position times frequency and leaves the rest of the head', (pairing, order) => {
  // Two tokens of one head of 6, of which 4 rotate; `order` says where the interleaved pair lies.
  const pairs = [1, 0, 0, 2]
  const x = empty(2, 6)
  for (const [index, value] of pairs.entries()) x.data[order[index]!] = value
  for (const [index, value] of pairs.entries()) x.data[6 + order[index]!] = value
  x.data[5] = 77
  const table = { id: 0 as never, inverseFrequencies: Float32Array.of(1, 0.5), magnitude: 2 }
  const rotations = { cosines: new Float32Array(4), sines: new Float32Array(4) }
  fillRotations(table, Int32Array.of(0, 3), 2, rotations)
  rope(x, { headDim: 6, rotaryDim: 4, pairing }, rotations, 2)
  expectClose(
    Float32Array.from(pairs, (_, index) => x.data[order[index]!]!),
    [2, 0, 0, 4],
  )
  expectClose(
    Float32Array.from(pairs, (_, index) => x.data[6 + order[index]!]!),
    [2 * Math.cos(3), 2 * Math.sin(3), -4 * Math.sin(1.5), 4 * Math.cos(1.5)],
  )
  expect(x.data[5]).toBe(77)
})

test('activations, add, softcap and row selection follow their formulas', () => {
  const gate = matrix(3, -2, 0, 3)
  const silu = empty(1, 3)
  gatedActivation(gate, matrix(3, 1, 5, 2), 'silu', 1, silu)
  expectClose(silu.data, [-0.238406, 0, 5.715445])
  const gelu = empty(1, 3)
  gatedActivation(gate, matrix(3, 1, 5, 2), 'gelu_tanh', 1, gelu)
  expectClose(gelu.data, [-0.0454023, 0, 5.992725])
  const sum = matrix(2, 1, 2, 3, 4)
  add(sum, matrix(2, 10, 20, 30, 40), 2, sum)
  expect([...sum.data]).toEqual([11, 22, 33, 44])
  const capped = matrix(2, 100, -1)
  softcap(capped, 2, 1)
  expectClose(capped.data, [2, -0.924234])
  const selected = empty(2, 2)
  selectRows({ ...selected, data: sum.data }, Int32Array.of(1, 1), 1, { ...selected, data: sum.data })
  expect([...sum.data]).toEqual([33, 44, 33, 44])
})

test('an f16 cache rounds what is written, and blocks are copied in all layers', () => {
  const cache = new KvCache({ numLayers: 2, numBlocks: 2, blockSize: 2, kvWidth: 1, headDim: 1, dtype: 'f16' })
  for (const layer of [0, 1]) cache.write(layer, matrix(1, 0.1, 70000), matrix(1, 1 + layer, 2), Int32Array.of(3, 2), 2)
  expect([...cache.keys[0]!]).toEqual([0, 0, Infinity, Math.f16round(0.1)])
  cache.copyBlocks(Int32Array.of(1, 0))
  expect([...cache.values[1]!]).toEqual([2, 2, 2, 2])
})

test('a q8_0 cache rounds each head on its own', () => {
  const cache = new KvCache({ numLayers: 1, numBlocks: 1, blockSize: 1, kvWidth: 4, headDim: 2, dtype: 'q8_0' })
  cache.write(0, matrix(4, 127, 0.4, 1.27, 0.4), matrix(4, 0, 0, -254, 3), Int32Array.of(0), 1)
  expect([...cache.keys[0]!].slice(0, 2)).toEqual([127, 0])
  expect(cache.keys[0]![3]).toBeCloseTo(0.4, 2)
  expect([...cache.values[0]!]).toEqual([0, 0, -254, 4])
})

/** Softmax attention of one query straight over lists, no cache. */
function plainAttention(
  q: readonly number[],
  keys: readonly (readonly number[])[],
  values: readonly (readonly number[])[],
  score: (dot: number) => number,
): number[] {
  const weights = keys.map((key) => Math.exp(score(key.reduce((sum, k, i) => sum + k * q[i]!, 0))))
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  return q.map((_, i) => values.reduce((sum, value, position) => sum + weights[position]! * value[i]!, 0) / total)
}

test.each([
  { window: null, softcap: null },
  { window: 3, softcap: null },
  { window: null, softcap: 1.5 },
])('attention over scattered blocks equals plain attention: %o', ({ window, softcap: cap }) => {
  const random = new SeededRandom(8)
  const [headDim, numHeads, length] = [3, 4, 7]
  const cache = new KvCache({ numLayers: 1, numBlocks: 6, blockSize: 2, kvWidth: 2 * headDim, headDim, dtype: 'f32' })
  const values = (count: number): number[] => Array.from({ length: count }, () => Math.fround(random.nextFloat() * 4 - 2))
  const [q, k, v] = [matrix(12, ...values(length * 12)), matrix(6, ...values(length * 6)), matrix(6, ...values(length * 6))]
  const blocks = [5, 0, 3, 1]
  const slots = Int32Array.from({ length }, (_, position) => blocks[Math.floor(position / 2)]! * 2 + (position % 2))
  cache.write(0, k, v, slots, length)
  const batch = {
    numTokens: length,
    numSequences: 1,
    tokenIds: new Int32Array(length),
    positions: Int32Array.from({ length }, (_, position) => position),
    slotMapping: slots,
    sequenceStarts: Int32Array.of(0, length),
    contextLengths: Int32Array.of(length),
    blockTableStarts: Int32Array.of(0, 4),
    blockTables: Int32Array.from(blocks),
    outputRows: new Int32Array(0),
    numOutputs: 0,
    numLogitRows: 0,
  }
  const out = empty(length, 12)
  attention(q, { layer: 0, numHeads, headDim, scale: 0.6, window, softcap: cap }, cache, batch, out)
  for (let token = 0; token < length; token++) {
    for (let head = 0; head < numHeads; head++) {
      const rowsOf = (from: Matrix): number[][] => {
        const kvStart = Math.floor(head / 2) * headDim
        const first = window === null ? 0 : Math.max(0, token + 1 - window)
        return Array.from({ length: token + 1 - first }, (_, index) => [
          ...from.data.subarray((first + index) * 6 + kvStart, (first + index) * 6 + kvStart + headDim),
        ])
      }
      const start = token * 12 + head * headDim
      const score = (dot: number): number => (cap === null ? dot * 0.6 : cap * Math.tanh((dot * 0.6) / cap))
      expectClose(
        out.data.subarray(start, start + headDim),
        plainAttention([...q.data.subarray(start, start + headDim)], rowsOf(k), rowsOf(v), score),
      )
    }
  }
})
