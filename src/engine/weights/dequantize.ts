/**
 * Weight bytes to f32, one decoder per element format. The layouts are those of the ggml block structures
 * (ggml-common.h); every decoder gives the exact f32 that ggml's own arithmetic gives, because each product fits
 * 24 bits and at most one rounding is left.
 */
import { assert } from '#base/assert'
import { DTYPES, rowBytes, type DType } from '#engine/tensor/dtype'
import { decodeIq4Nl, decodeMxfp4 } from './dequantize/codebook-blocks.ts'
import { decodeBf16, decodeF16, decodeF32 } from './dequantize/floats.ts'
import { decodeQ2K, decodeQ3K, decodeQ4K, decodeQ5K, decodeQ6K } from './dequantize/k-blocks.ts'
import { decodeQ4_0, decodeQ4_1, decodeQ5_0, decodeQ5_1, decodeQ8_0 } from './dequantize/small-blocks.ts'

/** Reads `numBlocks` blocks from the head of `bytes` and writes their elements to out[outOffset...]. */
type BlockDecoder = (bytes: Uint8Array, numBlocks: number, out: Float32Array, outOffset: number) => void

const DECODERS: Readonly<Record<DType, BlockDecoder>> = {
  f32: decodeF32,
  f16: decodeF16,
  bf16: decodeBf16,
  q8_0: decodeQ8_0,
  q4_0: decodeQ4_0,
  q4_1: decodeQ4_1,
  q5_0: decodeQ5_0,
  q5_1: decodeQ5_1,
  q2_k: decodeQ2K,
  q3_k: decodeQ3K,
  q4_k: decodeQ4K,
  q5_k: decodeQ5K,
  q6_k: decodeQ6K,
  iq4_nl: decodeIq4Nl,
  mxfp4: decodeMxfp4,
}

/**
 * Decodes the first `numElements` elements of `bytes` into out[outOffset...], mutated. `bytes` may start at any alignment.
 * Asserts that blocks divide the elements and that both buffers are long enough.
 */
export function dequantize(dtype: DType, bytes: Uint8Array, numElements: number, out: Float32Array, outOffset = 0): void {
  const { blockSize } = DTYPES[dtype]
  assert(Number.isSafeInteger(numElements) && numElements >= 0, 'element count is not a natural number')
  assert(numElements % blockSize === 0, `${numElements} elements are not whole ${dtype} blocks of ${blockSize}`)
  assert(bytes.length >= rowBytes(dtype, numElements), `${bytes.length} bytes are too few for ${numElements} elements of ${dtype}`)
  assert(outOffset >= 0 && out.length >= outOffset + numElements, 'dequantize output is too short')
  DECODERS[dtype](bytes, numElements / blockSize, out, outOffset)
}
