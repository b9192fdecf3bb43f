/** f32 to the 32-element block formats; layouts as in `dequantize/small-blocks.ts`. */
import { floatToHalf, roundToHalf } from '../half-float.ts'
import { clampRound, searchAffine, searchSymmetricScale, type Affine } from './scale-search.ts'

const BLOCK_SIZE = 32
const HALF_BLOCK = 16
const quants = new Uint8Array(BLOCK_SIZE)
const affine: Affine = { scale: 0, offset: 0 }

/** Plain rounding to 127 steps: a search gains nothing at 8 bits. */
export function encodeQ8_0(values: Float32Array, numBlocks: number, out: Uint8Array): void {
  for (let block = 0; block < numBlocks; block++) {
    const from = block * BLOCK_SIZE
    const at = block * 34
    let largest = 0
    for (let j = 0; j < BLOCK_SIZE; j++) largest = Math.max(largest, Math.abs(values[from + j]!))
    const scale = writeHalf(out, at, largest / 127)
    const inverse = scale === 0 ? 0 : 1 / scale
    for (let j = 0; j < BLOCK_SIZE; j++) out[at + 2 + j] = clampRound(values[from + j]! * inverse, -127, 127)
  }
}

export function encodeQ4_0(values: Float32Array, numBlocks: number, out: Uint8Array): void {
  for (let block = 0; block < numBlocks; block++) {
    const at = block * 18
    encodeSymmetric({ values, from: block * BLOCK_SIZE, levels: 8, out, scaleAt: at })
    writeNibbles(out, at + 2)
  }
}

export function encodeQ4_1(values: Float32Array, numBlocks: number, out: Uint8Array): void {
  for (let block = 0; block < numBlocks; block++) {
    const at = block * 20
    encodeAffine({ values, from: block * BLOCK_SIZE, levels: 15, out, scaleAt: at })
    writeNibbles(out, at + 4)
  }
}

export function encodeQ5_0(values: Float32Array, numBlocks: number, out: Uint8Array): void {
  for (let block = 0; block < numBlocks; block++) {
    const at = block * 22
    encodeSymmetric({ values, from: block * BLOCK_SIZE, levels: 16, out, scaleAt: at })
    writeFifthBits(out, at + 2)
    writeNibbles(out, at + 6)
  }
}

export function encodeQ5_1(values: Float32Array, numBlocks: number, out: Uint8Array): void {
  for (let block = 0; block < numBlocks; block++) {
    const at = block * 24
    encodeAffine({ values, from: block * BLOCK_SIZE, levels: 31, out, scaleAt: at })
    writeFifthBits(out, at + 4)
    writeNibbles(out, at + 8)
  }
}

interface BlockToEncode {
  readonly values: Float32Array
  readonly from: number
  readonly levels: number
  readonly out: Uint8Array
  readonly scaleAt: number
}

/** Writes the scale and leaves q + levels, unsigned, in `quants`. */
function encodeSymmetric({ values, from, levels, out, scaleAt }: BlockToEncode): void {
  const scale = writeHalf(out, scaleAt, searchSymmetricScale({ values, start: from, count: BLOCK_SIZE }, levels))
  const inverse = scale === 0 ? 0 : 1 / scale
  for (let j = 0; j < BLOCK_SIZE; j++) quants[j] = clampRound(values[from + j]! * inverse, -levels, levels - 1) + levels
}

/** Writes scale and minimum and leaves the quants, 0 to levels, in `quants`. */
function encodeAffine({ values, from, levels, out, scaleAt }: BlockToEncode): void {
  searchAffine({ values, start: from, count: BLOCK_SIZE }, { maxQuant: levels, offsetAtMostZero: false }, affine)
  const scale = writeHalf(out, scaleAt, affine.scale)
  const offset = writeHalf(out, scaleAt + 2, affine.offset)
  const inverse = scale === 0 ? 0 : 1 / scale
  for (let j = 0; j < BLOCK_SIZE; j++) quants[j] = clampRound((values[from + j]! - offset) * inverse, 0, levels)
}

function writeNibbles(out: Uint8Array, at: number): void {
  for (let j = 0; j < HALF_BLOCK; j++) out[at + j] = (quants[j]! & 15) | ((quants[j + HALF_BLOCK]! & 15) << 4)
}

function writeFifthBits(out: Uint8Array, at: number): void {
  let bits = 0
  for (let j = 0; j < BLOCK_SIZE; j++) bits |= (quants[j]! >> 4) << j
  for (let byte = 0; byte < 4; byte++) out[at + byte] = (bits >>> (byte * 8)) & 255
}

/** Stores `value` as f16 and returns what was stored, for the quants to be rounded by. */
function writeHalf(out: Uint8Array, at: number, value: number): number {
  const pattern = floatToHalf(value)
  out[at] = pattern & 255
  out[at + 1] = pattern >> 8
  return roundToHalf(value)
}
