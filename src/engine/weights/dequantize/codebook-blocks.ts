/** Decoders of the 32-element blocks whose nibbles index a fixed table of values. Nibble order as in the small blocks. */
import { HALF_TO_FLOAT } from '../half-float.ts'

const BLOCK_SIZE = 32
const HALF_BLOCK = 16

/** Non-linear 4-bit levels of iq4_nl (ggml-common.h, kvalues_iq4nl). */
const IQ4_NL_LEVELS = Int8Array.of(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)

/** Twice the FP4 E2M1 values (OCP MX 1.0, table 5): whole numbers; the shared exponent makes up for the factor. */
const E2M1_DOUBLED = Int8Array.of(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12)

/** f16 scale, u4 (32). x = scale * level[q]. */
export function decodeIq4Nl(bytes: Uint8Array, numBlocks: number, out: Float32Array, outOffset: number): void {
  for (let block = 0; block < numBlocks; block++) {
    const at = block * 18
    const scale = HALF_TO_FLOAT[bytes[at]! | (bytes[at + 1]! << 8)]!
    decodeNibbles({ bytes, at: at + 2, levels: IQ4_NL_LEVELS, scale, out, to: outOffset + block * BLOCK_SIZE })
  }
}

/** E8M0 shared exponent, e2m1 (32). x = 2^(exponent - 127) * e2m1[q]. */
export function decodeMxfp4(bytes: Uint8Array, numBlocks: number, out: Float32Array, outOffset: number): void {
  for (let block = 0; block < numBlocks; block++) {
    const at = block * 17
    const scale = 2 ** (bytes[at]! - 128)
    decodeNibbles({ bytes, at: at + 1, levels: E2M1_DOUBLED, scale, out, to: outOffset + block * BLOCK_SIZE })
  }
}

interface NibbleBlock {
  readonly bytes: Uint8Array
  readonly at: number
  readonly levels: Int8Array
  readonly scale: number
  readonly out: Float32Array
  readonly to: number
}

function decodeNibbles({ bytes, at, levels, scale, out, to }: NibbleBlock): void {
  for (let j = 0; j < HALF_BLOCK; j++) {
    const pair = bytes[at + j]!
    out[to + j] = scale * levels[pair & 15]!
    out[to + HALF_BLOCK + j] = scale * levels[pair >> 4]!
  }
}
