import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { DTYPES, type DType } from '#engine/tensor/dtype'
import { dequantize } from './dequantize.ts'
import { floatToBfloat, floatToHalf, HALF_TO_FLOAT } from './half-float.ts'

interface Fixture {
  readonly cases: readonly { readonly dtype: DType; readonly numElements: number; readonly bytes: string; readonly values: string }[]
}

const fixtureUrl = new URL('../../../tests/fixtures/weights/dequantize.json', import.meta.url)
const { cases } = JSON.parse(readFileSync(fixtureUrl, 'utf8')) as Fixture

test('the fixtures cover every element format', () => {
  expect(cases.map((one) => one.dtype).toSorted()).toEqual(Object.keys(DTYPES).toSorted())
})

test.each(cases)('$dtype blocks decode to the bits that the public gguf package gives', ({ dtype, numElements, bytes, values }) => {
  const input = Uint8Array.from(Buffer.from(bytes, 'base64'))
  const expected = new Float32Array(Uint8Array.from(Buffer.from(values, 'base64')).buffer)
  const out = new Float32Array(numElements + 3)
  dequantize(dtype, input, numElements, out, 2)
  expect(out.subarray(2, 2 + numElements)).toEqual(expected)
  expect([out[0], out[1], out[numElements + 2]]).toEqual([0, 0, 0])
})

test.each(cases)('$dtype decodes the same from bytes at an odd address', ({ dtype, numElements, bytes }) => {
  const input = Uint8Array.from(Buffer.from(bytes, 'base64'))
  const shifted = new Uint8Array(input.length + 1)
  shifted.set(input, 1)
  const [straight, odd] = [new Float32Array(numElements), new Float32Array(numElements)]
  dequantize(dtype, input, numElements, straight)
  dequantize(dtype, shifted.subarray(1), numElements, odd)
  expect(odd).toEqual(straight)
})

test('half blocks and short buffers are refused before anything is written', () => {
  const out = new Float32Array(64)
  expect(() => dequantize('q4_0', new Uint8Array(18), 31, out)).toThrow('whole q4_0 blocks')
  expect(() => dequantize('q4_0', new Uint8Array(17), 32, out)).toThrow('too few')
  expect(() => dequantize('q4_0', new Uint8Array(18), 32, out, 33)).toThrow('too short')
})

test('every finite half survives the way to a float and back', () => {
  for (let pattern = 0; pattern < 65536; pattern++) {
    const value = HALF_TO_FLOAT[pattern]!
    if (!Number.isNaN(value)) expect(floatToHalf(value)).toBe(pattern)
  }
})

test('bfloat rounds to nearest even and keeps NaN', () => {
  expect(floatToBfloat(1)).toBe(0x3f80)
  expect(floatToBfloat(1 + 2 ** -8)).toBe(0x3f80)
  expect(floatToBfloat(1 + 3 * 2 ** -8)).toBe(0x3f82)
  expect(floatToBfloat(-Infinity)).toBe(0xff80)
  expect(floatToBfloat(Number.NaN) & 0x7fc0).toBe(0x7fc0)
})
