/**
 * Decoders of the 32-element blocks: a scale (and a minimum for the _1 kinds), then the quants. Nibbles hold element j in
 * their low half and element j + 16 in their high half; fifth bits of q5 stand together in 32 bits before the nibbles.
 */
import { HALF_TO_FLOAT } from '../half-float.ts'

const BLOCK_SIZE = 32
const HALF_BLOCK = 16

/** f16 scale, i8 (32). x = scale * q. */
export function decodeQ8_0(bytes: Uint8Array, numBlocks: number, out: Float32Array, outOffset: number): void {
  for (let block = 0; block < numBlocks; block++) {
    const at = block * 34
    const to = outOffset + block * BLOCK_SIZE
    const scale = readHalf(bytes, at)
    for (let j = 0; j < BLOCK_SIZE; j++) out[to + j] = scale * ((bytes[at + 2 + j]! << 24) >> 24)
  }
}

/** f16 scale, u4 (32). x = scale * (q - 8). */
export function decodeQ4_0(bytes: Uint8Array, numBlocks: number, out: Float32Array, outOffset: number): void {
  for (let block = 0; block < numBlocks; block++) {
    const at = block * 18
    const to = outOffset + block * BLOCK_SIZE
    const scale = readHalf(bytes, at)
    for (let j = 0; j < HALF_BLOCK; j++) {
      const pair = bytes[at + 2 + j]!
      out[to + j] = scale * ((pair & 15) - 8)
      out[to + HALF_BLOCK + j] = scale * ((pair >> 4) - 8)
    }
  }
}

/** f16 scale, f16 minimum, u4 (32). x = scale * q + minimum. */
export function decodeQ4_1(bytes: Uint8Array, numBlocks: number, out: Float32Array, outOffset: number): void {
  for (let block = 0; block < numBlocks; block++) {
    const at = block * 20
    const to = outOffset + block * BLOCK_SIZE
    const scale = readHalf(bytes, at)
    const minimum = readHalf(bytes, at + 2)
    for (let j = 0; j < HALF_BLOCK; j++) {
      const pair = bytes[at + 4 + j]!
      out[to + j] = scale * (pair & 15) + minimum
      out[to + HALF_BLOCK + j] = scale * (pair >> 4) + minimum
    }
  }
}

/** f16 scale, u32 fifth bits, u4 (32). x = scale * (q - 16). */
export function decodeQ5_0(bytes: Uint8Array, numBlocks: number, out: Float32Array, outOffset: number): void {
  for (let block = 0; block < numBlocks; block++) {
    const at = block * 22
    const to = outOffset + block * BLOCK_SIZE
    const scale = readHalf(bytes, at)
    const fifthBits = readUint32(bytes, at + 2)
    for (let j = 0; j < HALF_BLOCK; j++) {
      const pair = bytes[at + 6 + j]!
      const low = (pair & 15) | (((fifthBits >>> j) & 1) << 4)
      const high = (pair >> 4) | (((fifthBits >>> (j + HALF_BLOCK)) & 1) << 4)
      out[to + j] = scale * (low - 16)
      out[to + HALF_BLOCK + j] = scale * (high - 16)
    }
  }
}

/** f16 scale, f16 minimum, u32 fifth bits, u4 (32). x = scale * q + minimum. */
export function decodeQ5_1(bytes: Uint8Array, numBlocks: number, out: Float32Array, outOffset: number): void {
  for (let block = 0; block < numBlocks; block++) {
    const at = block * 24
    const to = outOffset + block * BLOCK_SIZE
    const scale = readHalf(bytes, at)
    const minimum = readHalf(bytes, at + 2)
    const fifthBits = readUint32(bytes, at + 4)
    for (let j = 0; j < HALF_BLOCK; j++) {
      const pair = bytes[at + 8 + j]!
      const low = (pair & 15) | (((fifthBits >>> j) & 1) << 4)
      const high = (pair >> 4) | (((fifthBits >>> (j + HALF_BLOCK)) & 1) << 4)
      out[to + j] = scale * low + minimum
      out[to + HALF_BLOCK + j] = scale * high + minimum
    }
  }
}

function readHalf(bytes: Uint8Array, at: number): number {
  return HALF_TO_FLOAT[bytes[at]! | (bytes[at + 1]! << 8)]!
}

function readUint32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
}
