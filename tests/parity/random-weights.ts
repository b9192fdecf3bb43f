/**
 * Random weight bytes of every element format: all quant bits are random, the scales are drawn so that decoded weights are of
 * the order of 0.1 and none is NaN. Scale positions: ggml-common.h block structures.
 */
import type { Random } from '#base/random'
import { DTYPES, rowBytes, type DType } from '#engine/tensor/dtype'
import { floatToBfloat, floatToHalf } from '#engine/weights/half-float'

/** An f16 within a block: byte offset, and the magnitude that gives weights of about 0.1. */
interface HalfField {
  readonly byteOffset: number
  readonly magnitude: number
}

const HALF_FIELDS: Readonly<Partial<Record<DType, readonly HalfField[]>>> = {
  q8_0: [{ byteOffset: 0, magnitude: 0.0015 }],
  q4_0: [{ byteOffset: 0, magnitude: 0.02 }],
  q4_1: [
    { byteOffset: 0, magnitude: 0.02 },
    { byteOffset: 2, magnitude: -0.15 },
  ],
  q5_0: [{ byteOffset: 0, magnitude: 0.01 }],
  q5_1: [
    { byteOffset: 0, magnitude: 0.01 },
    { byteOffset: 2, magnitude: -0.15 },
  ],
  q2_k: [
    { byteOffset: 80, magnitude: 0.008 },
    { byteOffset: 82, magnitude: 0.012 },
  ],
  q3_k: [{ byteOffset: 108, magnitude: 0.002 }],
  q4_k: [
    { byteOffset: 0, magnitude: 0.0004 },
    { byteOffset: 2, magnitude: 0.003 },
  ],
  q5_k: [
    { byteOffset: 0, magnitude: 0.0002 },
    { byteOffset: 2, magnitude: 0.003 },
  ],
  q6_k: [{ byteOffset: 208, magnitude: 0.00005 }],
  iq4_nl: [{ byteOffset: 0, magnitude: 0.0012 }],
}

/** Bytes of a (numRows, numColumns) weight. */
export function randomWeight(random: Random, dtype: DType, numRows: number, numColumns: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(numRows * rowBytes(dtype, numColumns))
  const numElements = numRows * numColumns
  const { blockSize, blockBytes } = DTYPES[dtype]
  if (blockSize === 1) fillFloats(random, dtype, numElements, bytes)
  else for (let start = 0; start < bytes.length; start += blockBytes) fillBlock(random, dtype, bytes.subarray(start, start + blockBytes))
  return bytes
}

/** Roughly normal, mean 0, deviation 1. */
export function randomNormal(random: Random): number {
  let sum = -6
  for (let i = 0; i < 12; i++) sum += random.nextFloat()
  return sum
}

function fillFloats(random: Random, dtype: DType, numElements: number, bytes: Uint8Array<ArrayBuffer>): void {
  const view = new DataView(bytes.buffer)
  for (let i = 0; i < numElements; i++) {
    const value = randomNormal(random) * 0.1
    if (dtype === 'f32') view.setFloat32(i * 4, value, true)
    else view.setUint16(i * 2, dtype === 'f16' ? floatToHalf(value) : floatToBfloat(value), true)
  }
}

function fillBlock(random: Random, dtype: DType, block: Uint8Array): void {
  for (let i = 0; i < block.length; i++) block[i] = random.nextInt(256)
  // The exponent byte of mxfp4 is 2^(e - 127).
  if (dtype === 'mxfp4') block[0] = 121 + random.nextInt(3)
  for (const { byteOffset, magnitude } of HALF_FIELDS[dtype] ?? []) {
    const bits = floatToHalf(magnitude * (0.5 + random.nextFloat()))
    block[byteOffset] = bits & 0xff
    block[byteOffset + 1] = bits >> 8
  }
}
