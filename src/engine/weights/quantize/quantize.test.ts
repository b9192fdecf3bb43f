import { expect, test } from 'vitest'
import { SeededRandom } from '#base/random'
import { dequantize } from '../dequantize.ts'
import { quantize, type EncodableDType } from './quantize.ts'
import { chooseDType, type SchemeOptions } from './tensor-scheme.ts'

const BLOCK_FORMATS = ['q8_0', 'q4_0', 'q4_1', 'q5_0', 'q5_1', 'q4_k', 'q5_k', 'q6_k'] as const satisfies readonly EncodableDType[]

function normalValues(length: number, seed: number): Float32Array {
  const random = new SeededRandom(seed)
  return Float32Array.from({ length }, () => 0.02 * Math.sqrt(-2 * Math.log(1 - random.nextFloat())) * Math.cos(2 * Math.PI * random.nextFloat()))
}

function restored(dtype: EncodableDType, values: Float32Array): Float32Array {
  const out = new Float32Array(values.length)
  dequantize(dtype, quantize(dtype, values), values.length, out)
  return out
}

function relativeRmse(values: Float32Array, stored: Float32Array): number {
  let errors = 0
  let squares = 0
  for (const [i, value] of values.entries()) {
    errors += (stored[i]! - value) ** 2
    squares += value ** 2
  }
  return Math.sqrt(errors / squares)
}

/** On normal weights. The plain rounding of the public gguf package gives q4_0 0.0860, q4_1 0.0783, q5_0 0.0427, q5_1 0.0378: the search must beat it. */
test.each([
  ['q8_0', 0.0055],
  ['q4_0', 0.083],
  ['q4_1', 0.072],
  ['q5_0', 0.0415],
  ['q5_1', 0.035],
  ['q4_k', 0.073],
  ['q5_k', 0.037],
  ['q6_k', 0.0177],
] as const)('%s stores normal weights with a relative error below %f', (dtype, bound) => {
  const values = normalValues(256 * 100, 7)
  const error = relativeRmse(values, restored(dtype, values))
  expect(error).toBeLessThan(bound)
  expect(error).toBeGreaterThan(bound / 1.15)
})

test.each(BLOCK_FORMATS)('%s gives zeros for zeros and keeps a block of one value', (dtype) => {
  expect(restored(dtype, new Float32Array(256))).toEqual(new Float32Array(256))
  for (const constant of [0.5, -0.5]) {
    const stored = restored(dtype, new Float32Array(256).fill(constant))
    for (const value of stored) expect(value).toBeCloseTo(constant, 2)
  }
})

test.each(BLOCK_FORMATS)('%s stays finite for tiny, mixed and one-sided values', (dtype) => {
  const tiny = new Float32Array(256).fill(1e-12)
  const mixed = Float32Array.from({ length: 256 }, (_, i) => (i % 32 === 0 ? 1000 : 1e-3 * i))
  const oneSided = normalValues(256, 3).map(Math.abs)
  for (const values of [tiny, mixed, oneSided, oneSided.map((x) => -x)]) {
    for (const value of restored(dtype, values)) expect(Number.isFinite(value)).toBe(true)
  }
  expect(relativeRmse(oneSided, restored(dtype, oneSided))).toBeLessThan(0.12)
})

test.each(BLOCK_FORMATS)('%s changes little when its own output is stored again', (dtype) => {
  const once = restored(dtype, normalValues(512, 11))
  expect(relativeRmse(once, restored(dtype, once))).toBeLessThan(0.03)
})

const OPTIONS: SchemeOptions = { scheme: 'q4_k_m', pure: false, hasOutputTensor: true, numLayers: 16 }

test('the mix gives six bits to the output and to the sensitive half of attn_v and ffn_down', () => {
  const sensitive = Array.from({ length: 16 }, (_, layer) => chooseDType(`blk.${layer}.attn_v.weight`, [512, 2048], OPTIONS) === 'q6_k')
  expect(sensitive.flatMap((is, layer) => (is ? [layer] : []))).toEqual([0, 1, 4, 7, 10, 13, 14, 15])
  expect(chooseDType('blk.4.ffn_down.weight', [2048, 5632], OPTIONS)).toBe('q6_k')
  expect(chooseDType('blk.4.ffn_up.weight', [5632, 2048], OPTIONS)).toBe('q4_k')
  expect(chooseDType('output.weight', [32000, 2048], OPTIONS)).toBe('q6_k')
  expect(chooseDType('token_embd.weight', [32000, 2048], OPTIONS)).toBe('q4_k')
  expect(chooseDType('token_embd.weight', [32000, 2048], { ...OPTIONS, hasOutputTensor: false })).toBe('q6_k')
  expect(chooseDType('output.weight', [32000, 2048], { ...OPTIONS, pure: true })).toBe('q4_k')
  expect(chooseDType('v.blk.0.attn_v.weight', [64, 256], OPTIONS)).toBe('q4_k')
})

test('vectors and norms stay f32, and rows that super-blocks do not divide fall back', () => {
  expect(chooseDType('blk.0.attn_norm.weight', [2048], OPTIONS)).toBe('f32')
  expect(chooseDType('blk.0.attn_q.bias', [2048], OPTIONS)).toBe('f32')
  expect(chooseDType('rope_freqs.weight', [64], OPTIONS)).toBe('f32')
  expect(chooseDType('blk.4.ffn_up.weight', [10, 896], OPTIONS)).toBe('q5_0')
  expect(chooseDType('blk.0.attn_v.weight', [10, 896], OPTIONS)).toBe('q8_0')
  expect(chooseDType('blk.4.ffn_up.weight', [10, 100], OPTIONS)).toBe('f16')
})
