/** Decoders of the unquantized formats: one element per block. */
import { HALF_TO_FLOAT } from '../half-float.ts'

export function decodeF32(bytes: Uint8Array, numBlocks: number, out: Float32Array, outOffset: number): void {
  const aligned = alignedBytes(bytes, numBlocks * 4, 4)
  out.set(new Float32Array(aligned.buffer, aligned.byteOffset, numBlocks), outOffset)
}

export function decodeF16(bytes: Uint8Array, numBlocks: number, out: Float32Array, outOffset: number): void {
  const aligned = alignedBytes(bytes, numBlocks * 2, 2)
  const patterns = new Uint16Array(aligned.buffer, aligned.byteOffset, numBlocks)
  for (let i = 0; i < numBlocks; i++) out[outOffset + i] = HALF_TO_FLOAT[patterns[i]!]!
}

export function decodeBf16(bytes: Uint8Array, numBlocks: number, out: Float32Array, outOffset: number): void {
  const aligned = alignedBytes(bytes, numBlocks * 2, 2)
  const patterns = new Uint16Array(aligned.buffer, aligned.byteOffset, numBlocks)
  const outBits = new Uint32Array(out.buffer, out.byteOffset, out.length)
  for (let i = 0; i < numBlocks; i++) outBits[outOffset + i] = patterns[i]! << 16
}

/** The first `byteLength` bytes, copied only when they do not start at a multiple of `alignment`. */
function alignedBytes(bytes: Uint8Array, byteLength: number, alignment: number): Uint8Array {
  return bytes.byteOffset % alignment === 0 ? bytes.subarray(0, byteLength) : bytes.slice(0, byteLength)
}
