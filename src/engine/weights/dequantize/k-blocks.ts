/**
 * Decoders of the K formats: super-blocks of 256 elements, cut into groups of 16 or 32 that have their own small integer
 * scale (and minimum) on top of the super-block's f16 ones. Layouts: ggml-common.h, block_q2_K to block_q6_K.
 */
import { HALF_TO_FLOAT } from '../half-float.ts'

const BLOCK_SIZE = 256

/** u4 scale | u4 minimum (16), u2 (256) as 2 x 32 bytes of four planes, f16 scale, f16 minimum. */
export function decodeQ2K(bytes: Uint8Array, numBlocks: number, out: Float32Array, outOffset: number): void {
  for (let block = 0; block < numBlocks; block++) {
    const at = block * 84
    const to = outOffset + block * BLOCK_SIZE
    const scale = readHalf(bytes, at + 80)
    const minimum = readHalf(bytes, at + 82)
    for (let group = 0; group < 16; group++) {
      const packed = bytes[at + group]!
      const groupScale = scale * (packed & 15)
      const groupMinimum = minimum * (packed >> 4)
      const from = at + 16 + (group >> 3) * 32 + (group & 1) * 16
      const shift = group & 6
      for (let j = 0; j < 16; j++) out[to + group * 16 + j] = groupScale * ((bytes[from + j]! >> shift) & 3) - groupMinimum
    }
  }
}

/** Third bits (32 bytes, bit plane = 32-element group), u2 (256) as in q2_k, 6-bit scales (16) in 12 bytes, f16 scale. */
export function decodeQ3K(bytes: Uint8Array, numBlocks: number, out: Float32Array, outOffset: number): void {
  for (let block = 0; block < numBlocks; block++) {
    const at = block * 110
    const to = outOffset + block * BLOCK_SIZE
    const scale = readHalf(bytes, at + 108)
    for (let group = 0; group < 16; group++) {
      const low = (bytes[at + 96 + (group & 7)]! >> ((group >> 3) * 4)) & 15
      const high = (bytes[at + 104 + (group & 3)]! >> ((group >> 2) * 2)) & 3
      const groupScale = scale * ((low | (high << 4)) - 32)
      const from = at + 32 + (group >> 3) * 32 + (group & 1) * 16
      const maskFrom = at + (group & 1) * 16
      const shift = group & 6
      const maskShift = group >> 1
      for (let j = 0; j < 16; j++) {
        const thirdBit = (bytes[maskFrom + j]! >> maskShift) & 1
        out[to + group * 16 + j] = groupScale * (((bytes[from + j]! >> shift) & 3) + (thirdBit << 2) - 4)
      }
    }
  }
}

/** f16 scale, f16 minimum, 6-bit scales and minimums (8 + 8) in 12 bytes, u4 (256): 32 bytes hold two groups, low nibbles first. */
export function decodeQ4K(bytes: Uint8Array, numBlocks: number, out: Float32Array, outOffset: number): void {
  for (let block = 0; block < numBlocks; block++) {
    const at = block * 144
    const to = outOffset + block * BLOCK_SIZE
    const scale = readHalf(bytes, at)
    const minimum = readHalf(bytes, at + 2)
    for (let group = 0; group < 8; group++) {
      const groupScale = scale * groupScaleBits(bytes, at + 4, group)
      const groupMinimum = minimum * groupMinimumBits(bytes, at + 4, group)
      const from = at + 16 + (group >> 1) * 32
      const shift = (group & 1) * 4
      for (let j = 0; j < 32; j++) out[to + group * 32 + j] = groupScale * ((bytes[from + j]! >> shift) & 15) - groupMinimum
    }
  }
}

/** As q4_k, with fifth bits (32 bytes, bit plane = group) before the nibbles. */
export function decodeQ5K(bytes: Uint8Array, numBlocks: number, out: Float32Array, outOffset: number): void {
  for (let block = 0; block < numBlocks; block++) {
    const at = block * 176
    const to = outOffset + block * BLOCK_SIZE
    const scale = readHalf(bytes, at)
    const minimum = readHalf(bytes, at + 2)
    for (let group = 0; group < 8; group++) {
      const groupScale = scale * groupScaleBits(bytes, at + 4, group)
      const groupMinimum = minimum * groupMinimumBits(bytes, at + 4, group)
      const from = at + 48 + (group >> 1) * 32
      const shift = (group & 1) * 4
      for (let j = 0; j < 32; j++) {
        const fifthBit = (bytes[at + 16 + j]! >> group) & 1
        out[to + group * 32 + j] = groupScale * (((bytes[from + j]! >> shift) & 15) | (fifthBit << 4)) - groupMinimum
      }
    }
  }
}

/**
 * Low nibbles (128 bytes), upper two bits (64 bytes), i8 scales (16), f16 scale. Each half of 128 elements is four runs of 32:
 * runs 0 and 1 are the low nibbles of 64 bytes, runs 2 and 3 their high nibbles; run r takes bits 2r of 32 upper-bit bytes.
 */
export function decodeQ6K(bytes: Uint8Array, numBlocks: number, out: Float32Array, outOffset: number): void {
  for (let block = 0; block < numBlocks; block++) {
    const at = block * 210
    const to = outOffset + block * BLOCK_SIZE
    const scale = readHalf(bytes, at + 208)
    for (let group = 0; group < 16; group++) {
      const half = group >> 3
      const run = (group >> 1) & 3
      const groupScale = scale * ((bytes[at + 192 + group]! << 24) >> 24)
      const from = at + half * 64 + (run & 1) * 32 + (group & 1) * 16
      const upperFrom = at + 128 + half * 32 + (group & 1) * 16
      const shift = (run >> 1) * 4
      const upperShift = run * 2
      for (let j = 0; j < 16; j++) {
        const upper = (bytes[upperFrom + j]! >> upperShift) & 3
        out[to + group * 16 + j] = groupScale * ((((bytes[from + j]! >> shift) & 15) | (upper << 4)) - 32)
      }
    }
  }
}

/** 6-bit scale of a 32-element group: groups 0-3 lie in the low bits of bytes 0-3; 4-7 are split over bytes 8-11 and the top bits of 0-3. */
function groupScaleBits(bytes: Uint8Array, at: number, group: number): number {
  if (group < 4) return bytes[at + group]! & 63
  return (bytes[at + group + 4]! & 15) | ((bytes[at + group - 4]! >> 6) << 4)
}

/** 6-bit minimum of a 32-element group, laid out as the scales are, from byte 4 and the high nibbles of bytes 8-11. */
function groupMinimumBits(bytes: Uint8Array, at: number, group: number): number {
  if (group < 4) return bytes[at + group + 4]! & 63
  return (bytes[at + group + 4]! >> 4) | ((bytes[at + group]! >> 6) << 4)
}

function readHalf(bytes: Uint8Array, at: number): number {
  return HALF_TO_FLOAT[bytes[at]! | (bytes[at + 1]! << 8)]!
}
