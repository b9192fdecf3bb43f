import { expect, test } from 'vitest'
import { SeededRandom } from '#base/random'
import { quantizeActivation, roundActivation } from './quantize-activation.ts'

function quantized(x: readonly number[]) {
  const quants = new Int8Array(x.length)
  const scales = new Float32Array(x.length / 32)
  quantizeActivation(Float32Array.from(x), 0, x.length, quants, scales)
  return { quants: [...quants], scales: [...scales] }
}

function group(...head: readonly number[]): number[] {
  return [...head, ...new Array<number>(32 - head.length).fill(0)]
}

test('the largest magnitude becomes 127 and halves round to even', () => {
  const { quants, scales } = quantized(group(127, -127, 0.5, 1.5, 2.5, -0.5, -1.5, 0.49))
  expect(quants.slice(0, 8)).toEqual([127, -127, 0, 2, 2, 0, -2, 0])
  expect(scales).toEqual([1])
})

test('the scale is an f16 while the quants use the exact one', () => {
  const { quants, scales } = quantized(group(1000, 3.95))
  expect(scales[0]).toBe(Math.f16round(Math.fround(1000 / 127)))
  // 3.95 * 127 / 1000 = 0.50165
  expect(quants[1]).toBe(1)
})

test('a group of zeros, or too small for an f16 scale, is zero', () => {
  expect(quantized(group())).toEqual({ quants: group(), scales: [0] })
  expect(quantized(group(1e-6, 1e-7))).toEqual({ quants: group(), scales: [0] })
  expect(quantized(group(1e-42)).quants).toEqual(group())
})

test.each([NaN, Infinity, -Infinity])('a group with %s comes out as NaN, its neighbour does not', (bad) => {
  const out = new Float32Array(64)
  roundActivation(Float32Array.from([...group(1, bad), ...group(2)]), 0, 64, out)
  expect(out.subarray(0, 32).every(Number.isNaN)).toBe(true)
  expect(out.subarray(32).every(Number.isFinite)).toBe(true)
})

test('the rounded row is scale times quants, exactly, and within half a step of x', () => {
  const random = new SeededRandom(2)
  const x = Float32Array.from({ length: 320 }, () => (random.nextFloat() - 0.5) * 10 ** (random.nextInt(7) - 3))
  const out = new Float32Array(320)
  const { quants, scales } = quantized([...x])
  roundActivation(x, 0, 320, out)
  for (const [index, value] of out.entries()) {
    const scale = scales[Math.floor(index / 32)]!
    expect(value).toBe(scale * quants[index]!)
    // The f16 scale adds up to 2^-11 of the value.
    expect(Math.abs(value - x[index]!)).toBeLessThanOrEqual(scale * 0.5001 + Math.abs(x[index]!) * 2 ** -10)
  }
})
