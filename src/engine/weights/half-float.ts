/**
 * 16-bit floats to f32 and back, for weight files. Decoding is one table look-up: block formats keep unaligned f16
 * scales, for which a typed array cannot be laid over the bytes. IEEE 754-2019 binary16; bfloat16 is the upper half of an f32.
 */

/** f32 (65536): the value of every f16 bit pattern. */
export const HALF_TO_FLOAT: Float32Array = decodeEveryHalf()

function decodeEveryHalf(): Float32Array {
  const patterns = Uint16Array.from({ length: 65536 }, (_, pattern) => pattern)
  return new Float32Array(new Float16Array(patterns.buffer))
}

const scratchHalf = new Float16Array(1)
const scratchHalfBits = new Uint16Array(scratchHalf.buffer)
const scratchFloat = new Float32Array(1)
const scratchFloatBits = new Uint32Array(scratchFloat.buffer)

/** Bit pattern of the nearest f16, ties to even; overflow becomes infinity. */
export function floatToHalf(value: number): number {
  scratchHalf[0] = value
  return scratchHalfBits[0]!
}

/** The value that storing `value` as f16 keeps. */
export function roundToHalf(value: number): number {
  scratchHalf[0] = value
  return scratchHalf[0]
}

/** Bit pattern of the nearest bf16, ties to even; a NaN stays a (quiet) NaN. */
export function floatToBfloat(value: number): number {
  scratchFloat[0] = value
  const bits = scratchFloatBits[0]!
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x40
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff
}
