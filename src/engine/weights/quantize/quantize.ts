/** f32 weights to a stored format: the inverse of `dequantize`, as near as the format allows. */
import { assert } from '#base/assert'
import { DTYPES, rowBytes, type DType } from '#engine/tensor/dtype'
import { floatToBfloat } from '../half-float.ts'
import { encodeQ4K, encodeQ5K, encodeQ6K } from './k-block-encoders.ts'
import { encodeQ4_0, encodeQ4_1, encodeQ5_0, encodeQ5_1, encodeQ8_0 } from './small-block-encoders.ts'

/** Encodes `numBlocks` blocks from the head of `values` to the head of `out`. */
type BlockEncoder = (values: Float32Array, numBlocks: number, out: Uint8Array) => void

const ENCODERS = {
  f32: encodeF32,
  f16: encodeF16,
  bf16: encodeBf16,
  q8_0: encodeQ8_0,
  q4_0: encodeQ4_0,
  q4_1: encodeQ4_1,
  q5_0: encodeQ5_0,
  q5_1: encodeQ5_1,
  q4_k: encodeQ4K,
  q5_k: encodeQ5K,
  q6_k: encodeQ6K,
} satisfies Partial<Record<DType, BlockEncoder>>

/** The formats that we write; q2_k, q3_k, iq4_nl and mxfp4 are only read. */
export type EncodableDType = keyof typeof ENCODERS

export function isEncodable(dtype: DType): dtype is EncodableDType {
  return Object.hasOwn(ENCODERS, dtype)
}

/** Returns the bytes of all of `values`, finite numbers that fill whole blocks. */
export function quantize(dtype: EncodableDType, values: Float32Array): Uint8Array<ArrayBuffer> {
  const { blockSize } = DTYPES[dtype]
  assert(values.length % blockSize === 0, `${values.length} values are not whole ${dtype} blocks of ${blockSize}`)
  const out = new Uint8Array(rowBytes(dtype, values.length))
  ENCODERS[dtype](values, values.length / blockSize, out)
  return out
}

function encodeF32(values: Float32Array, _numBlocks: number, out: Uint8Array): void {
  out.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
}

function encodeF16(values: Float32Array, _numBlocks: number, out: Uint8Array): void {
  out.set(new Uint8Array(new Float16Array(values).buffer))
}

function encodeBf16(values: Float32Array, numBlocks: number, out: Uint8Array): void {
  const patterns = new Uint16Array(out.buffer, out.byteOffset, numBlocks)
  for (let i = 0; i < numBlocks; i++) patterns[i] = floatToBfloat(values[i]!)
}
