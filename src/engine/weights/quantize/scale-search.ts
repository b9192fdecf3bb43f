/**
 * The scale of a small group of weights, searched: for a range of trial scales the quants are rounded, the best real scale (and
 * offset) for those quants follows from weighted least squares, and the trial with the least error wins. Large weights count
 * somewhat more (weight = RMS + |x|), because they move the outputs most.
 */
const MAX_GROUP = 32
/** Trials reach from two quants below the plain scale to two above it; finer or farther ones gain less than one part in a thousand. */
const NUM_TRIALS_EACH_SIDE = 8
const TRIAL_STEP = 0.25
/** 1.5 x 2^52: adding and subtracting it rounds a double to the nearest whole number, ties to even; four times faster than Math.round. */
const ROUNDER = 6755399441055744

/** A group of `count` (<= 32) values from `start` on. */
interface Group {
  readonly values: Float32Array
  readonly start: number
  readonly count: number
}

const weights = new Float64Array(MAX_GROUP)

/** The scale s for which s * q, q in [-levels, levels - 1], is nearest to the group; may be negative; 0 for a group of zeros. */
export function searchSymmetricScale({ values, start, count }: Group, levels: number): number {
  const extreme = extremeValue(values, start, count)
  if (extreme === 0) return 0
  fillWeights(values, start, count)
  let bestScale = extreme / -levels
  let bestGain = -1
  for (let trial = -NUM_TRIALS_EACH_SIDE; trial <= NUM_TRIALS_EACH_SIDE; trial++) {
    const inverse = -(levels + trial * TRIAL_STEP) / extreme
    let sumXQ = 0
    let sumQQ = 0
    for (let i = 0; i < count; i++) {
      const x = values[start + i]!
      const q = clampRound(x * inverse, -levels, levels - 1)
      const wq = weights[i]! * q
      sumXQ += wq * x
      sumQQ += wq * q
    }
    // The error at the best scale is sum(w x x) - sumXQ^2 / sumQQ: the larger the second term, the better.
    const gain = sumQQ > 0 ? (sumXQ * sumXQ) / sumQQ : 0
    if (gain > bestGain) {
      bestGain = gain
      bestScale = sumQQ > 0 ? sumXQ / sumQQ : 0
    }
  }
  return bestScale
}

/** x ~ scale * q + offset with q in [0, maxQuant] and scale >= 0. */
export interface Affine {
  scale: number
  offset: number
}

interface AffineOptions {
  readonly maxQuant: number
  /** For formats that store minus the offset as an unsigned number. */
  readonly offsetAtMostZero: boolean
}

/** The affine map nearest to the group, into `out`, mutated. */
export function searchAffine({ values, start, count }: Group, options: AffineOptions, out: Affine): void {
  let least = values[start]!
  let most = least
  for (let i = 1; i < count; i++) {
    least = Math.min(least, values[start + i]!)
    most = Math.max(most, values[start + i]!)
  }
  if (options.offsetAtMostZero) least = Math.min(least, 0)
  out.scale = Math.max(0, (most - least) / options.maxQuant)
  out.offset = least
  if (out.scale === 0) return
  const { sumW, sumX, sumXX } = fillWeights(values, start, count)
  let bestError = Infinity
  for (let trial = -NUM_TRIALS_EACH_SIDE; trial <= NUM_TRIALS_EACH_SIDE; trial++) {
    const inverse = (options.maxQuant + trial * TRIAL_STEP) / (most - least)
    let sumQ = 0
    let sumQQ = 0
    let sumXQ = 0
    for (let i = 0; i < count; i++) {
      const x = values[start + i]!
      const q = clampRound((x - least) * inverse, 0, options.maxQuant)
      const wq = weights[i]! * q
      sumQ += wq
      sumQQ += wq * q
      sumXQ += wq * x
    }
    const determinant = sumW * sumQQ - sumQ * sumQ
    if (determinant <= 0) continue
    let scale = (sumW * sumXQ - sumX * sumQ) / determinant
    let offset = (sumQQ * sumX - sumQ * sumXQ) / determinant
    if (options.offsetAtMostZero && offset > 0) {
      offset = 0
      scale = sumXQ / sumQQ
    }
    const error = sumXX + scale * (scale * sumQQ - 2 * sumXQ + 2 * offset * sumQ) + offset * (offset * sumW - 2 * sumX)
    if (error < bestError && scale > 0) {
      bestError = error
      out.scale = scale
      out.offset = offset
    }
  }
}

/** The whole number nearest to `value` (below 2^51) in [least, most]. Hot: per weight and trial. */
export function clampRound(value: number, least: number, most: number): number {
  const rounded = value + ROUNDER - ROUNDER
  return rounded < least ? least : rounded > most ? most : rounded
}

/** The value farthest from zero, with its sign. */
function extremeValue(values: Float32Array, start: number, count: number): number {
  let extreme = 0
  for (let i = 0; i < count; i++) {
    const x = values[start + i]!
    if (Math.abs(x) > Math.abs(extreme)) extreme = x
  }
  return extreme
}

function fillWeights(values: Float32Array, start: number, count: number): { readonly sumW: number; readonly sumX: number; readonly sumXX: number } {
  let sumSquares = 0
  for (let i = 0; i < count; i++) sumSquares += values[start + i]! ** 2
  const rms = Math.sqrt(sumSquares / count)
  let sumW = 0
  let sumX = 0
  let sumXX = 0
  for (let i = 0; i < count; i++) {
    const x = values[start + i]!
    const weight = rms + Math.abs(x)
    weights[i] = weight
    sumW += weight
    sumX += weight * x
    sumXX += weight * x * x
  }
  return { sumW, sumX, sumXX }
}
