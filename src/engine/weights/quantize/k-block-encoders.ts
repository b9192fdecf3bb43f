/**
 * f32 to the K formats; layouts as in `dequantize/k-blocks.ts`. Each group's scale (and minimum) is searched, the groups' scales
 * are rounded to small integers under one f16, and the quants are rounded once more by what was really stored.
 */
import { floatToHalf, roundToHalf } from '../half-float.ts'
import { clampRound, searchAffine, searchSymmetricScale, type Affine } from './scale-search.ts'

const BLOCK_SIZE = 256
const NUM_AFFINE_GROUPS = 8
const AFFINE_GROUP = 32
const NUM_SIGNED_GROUPS = 16
const SIGNED_GROUP = 16
/** Largest 6-bit scale or minimum of q4_k and q5_k. */
const MAX_GROUP_STEPS = 63

const quants = new Uint8Array(BLOCK_SIZE)
const groupScales = new Float64Array(NUM_SIGNED_GROUPS)
const groupMinimums = new Float64Array(NUM_AFFINE_GROUPS)
const scaleSteps = new Uint8Array(NUM_AFFINE_GROUPS)
const minimumSteps = new Uint8Array(NUM_AFFINE_GROUPS)
const affine: Affine = { scale: 0, offset: 0 }

export function encodeQ4K(values: Float32Array, numBlocks: number, out: Uint8Array): void {
  for (let block = 0; block < numBlocks; block++) {
    const at = block * 144
    encodeAffineGroups({ values, from: block * BLOCK_SIZE, maxQuant: 15, out, at })
    writeNibbles(out, at + 16)
  }
}

export function encodeQ5K(values: Float32Array, numBlocks: number, out: Uint8Array): void {
  for (let block = 0; block < numBlocks; block++) {
    const at = block * 176
    encodeAffineGroups({ values, from: block * BLOCK_SIZE, maxQuant: 31, out, at })
    for (let j = 0; j < AFFINE_GROUP; j++) {
      let fifthBits = 0
      for (let group = 0; group < NUM_AFFINE_GROUPS; group++) fifthBits |= (quants[group * AFFINE_GROUP + j]! >> 4) << group
      out[at + 16 + j] = fifthBits
    }
    writeNibbles(out, at + 48)
  }
}

export function encodeQ6K(values: Float32Array, numBlocks: number, out: Uint8Array): void {
  for (let block = 0; block < numBlocks; block++) {
    const from = block * BLOCK_SIZE
    const at = block * 210
    encodeSignedGroups(values, from, out, at)
    for (let half = 0; half < 2; half++) {
      for (let j = 0; j < 32; j++) {
        const run = half * 128 + j
        out[at + half * 64 + j] = (quants[run]! & 15) | ((quants[run + 64]! & 15) << 4)
        out[at + half * 64 + 32 + j] = (quants[run + 32]! & 15) | ((quants[run + 96]! & 15) << 4)
        const lowUpper = (quants[run]! >> 4) | ((quants[run + 32]! >> 4) << 2)
        out[at + 128 + half * 32 + j] = lowUpper | ((quants[run + 64]! >> 4) << 4) | ((quants[run + 96]! >> 4) << 6)
      }
    }
  }
}

interface BlockToEncode {
  readonly values: Float32Array
  readonly from: number
  readonly maxQuant: number
  readonly out: Uint8Array
  readonly at: number
}

/** Writes the 16 bytes of scales and minimums and leaves the quants in `quants`. */
function encodeAffineGroups({ values, from, maxQuant, out, at }: BlockToEncode): void {
  let largestScale = 0
  let largestMinimum = 0
  for (let group = 0; group < NUM_AFFINE_GROUPS; group++) {
    searchAffine({ values, start: from + group * AFFINE_GROUP, count: AFFINE_GROUP }, { maxQuant, offsetAtMostZero: true }, affine)
    groupScales[group] = affine.scale
    groupMinimums[group] = -affine.offset
    largestScale = Math.max(largestScale, affine.scale)
    largestMinimum = Math.max(largestMinimum, -affine.offset)
  }
  const scale = writeHalf(out, at, largestScale / MAX_GROUP_STEPS)
  const minimum = writeHalf(out, at + 2, largestMinimum / MAX_GROUP_STEPS)
  for (let group = 0; group < NUM_AFFINE_GROUPS; group++) {
    scaleSteps[group] = scale === 0 ? 0 : clampRound(groupScales[group]! / scale, 0, MAX_GROUP_STEPS)
    minimumSteps[group] = minimum === 0 ? 0 : clampRound(groupMinimums[group]! / minimum, 0, MAX_GROUP_STEPS)
    const storedScale = scale * scaleSteps[group]!
    const storedMinimum = minimum * minimumSteps[group]!
    const inverse = storedScale === 0 ? 0 : 1 / storedScale
    for (let j = group * AFFINE_GROUP; j < (group + 1) * AFFINE_GROUP; j++) {
      quants[j] = clampRound((values[from + j]! + storedMinimum) * inverse, 0, maxQuant)
    }
  }
  writeSteps(out, at + 4)
}

/** Groups 0-3 take the low six bits of bytes 0-3 (scales) and 4-7 (minimums); groups 4-7 share bytes 8-11 and the bits that are left above. */
function writeSteps(out: Uint8Array, at: number): void {
  for (let group = 0; group < 4; group++) {
    out[at + group] = scaleSteps[group]! | ((scaleSteps[group + 4]! >> 4) << 6)
    out[at + 4 + group] = minimumSteps[group]! | ((minimumSteps[group + 4]! >> 4) << 6)
    out[at + 8 + group] = (scaleSteps[group + 4]! & 15) | ((minimumSteps[group + 4]! & 15) << 4)
  }
}

/** Low nibbles of two groups share 32 bytes. */
function writeNibbles(out: Uint8Array, at: number): void {
  for (let pair = 0; pair < NUM_AFFINE_GROUPS / 2; pair++) {
    const from = pair * 2 * AFFINE_GROUP
    for (let j = 0; j < AFFINE_GROUP; j++) {
      out[at + pair * AFFINE_GROUP + j] = (quants[from + j]! & 15) | ((quants[from + AFFINE_GROUP + j]! & 15) << 4)
    }
  }
}

/** Writes q6_k's i8 group scales and f16 scale and leaves q + 32 in `quants`. */
function encodeSignedGroups(values: Float32Array, from: number, out: Uint8Array, at: number): void {
  let extreme = 0
  for (let group = 0; group < NUM_SIGNED_GROUPS; group++) {
    const scale = searchSymmetricScale({ values, start: from + group * SIGNED_GROUP, count: SIGNED_GROUP }, 32)
    groupScales[group] = scale
    if (Math.abs(scale) > Math.abs(extreme)) extreme = scale
  }
  const scale = writeHalf(out, at + 208, extreme === 0 ? 0 : extreme / -128)
  for (let group = 0; group < NUM_SIGNED_GROUPS; group++) {
    const steps = scale === 0 ? 0 : clampRound(groupScales[group]! / scale, -128, 127)
    out[at + 192 + group] = steps
    const stored = scale * steps
    const inverse = stored === 0 ? 0 : 1 / stored
    for (let j = group * SIGNED_GROUP; j < (group + 1) * SIGNED_GROUP; j++) quants[j] = clampRound(values[from + j]! * inverse, -32, 31) + 32
  }
}

/** Stores `value` as f16 and returns what was stored. */
function writeHalf(out: Uint8Array, at: number, value: number): number {
  const pattern = floatToHalf(value)
  out[at] = pattern & 255
  out[at + 1] = pattern >> 8
  return roundToHalf(value)
}
