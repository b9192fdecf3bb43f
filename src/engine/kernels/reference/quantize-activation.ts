/**
 * Activations that meet a quantized weight are themselves rounded to 8 bits, 32 columns at a time. All executors share
 * this rounding, so their tokens agree:
 *
 *   amax  = largest |x| of the group
 *   d     = f16(f32(amax / 127))
 *   q     = 0 where d is 0, else round-half-even(f32(x * f32(127 / amax))), within [-127, 127]
 *   x    ~= d * q
 *
 * A NaN or infinity in the group makes every x of it NaN, so that it reaches the logits and is reported.
 * The same group size and scale as ggml's Q8_0 activations (ggml-quants.c, quantize_row_q8_0).
 */
import { assert } from '#base/assert'

const ACTIVATION_GROUP = 32

/** Added to an f32 and taken away again, it leaves the nearest integer, ties to even (1.5 * 2^23). */
const ROUNDING = 12582912

/**
 * Quantizes x[xOffset .. xOffset + width). quants: i8 (width), scales: f32 (width / 32), both mutated from index 0.
 * width is a multiple of 32. A non-finite group gets scale NaN and zeros.
 */
export function quantizeActivation(x: Float32Array, xOffset: number, width: number, quants: Int8Array, scales: Float32Array): void {
  assert(width % ACTIVATION_GROUP === 0, 'a quantized row is made of whole groups')
  for (let start = 0; start < width; start += ACTIVATION_GROUP) {
    const { scale, inverse } = groupScale(x, xOffset + start)
    scales[start / ACTIVATION_GROUP] = scale
    for (let i = start; i < start + ACTIVATION_GROUP; i++) quants[i] = quantize(x[xOffset + i]!, inverse)
  }
}

/** Writes d * q, exact in f32, to out[0 .. width). */
export function roundActivation(x: Float32Array, xOffset: number, width: number, out: Float32Array): void {
  assert(width % ACTIVATION_GROUP === 0, 'a quantized row is made of whole groups')
  for (let start = 0; start < width; start += ACTIVATION_GROUP) {
    const { scale, inverse } = groupScale(x, xOffset + start)
    for (let i = start; i < start + ACTIVATION_GROUP; i++) out[i] = scale * quantize(x[xOffset + i]!, inverse)
  }
}

function groupScale(x: Float32Array, offset: number): { readonly scale: number; readonly inverse: number } {
  let amax = 0
  for (let i = offset; i < offset + ACTIVATION_GROUP; i++) amax = Math.max(amax, Math.abs(x[i]!))
  if (!Number.isFinite(amax)) return { scale: NaN, inverse: 0 }
  const scale = Math.f16round(Math.fround(amax / 127))
  return { scale, inverse: scale === 0 ? 0 : Math.fround(127 / amax) }
}

function quantize(x: number, inverse: number): number {
  const rounded = Math.fround(Math.fround(x * inverse) + ROUNDING) - ROUNDING
  return Math.max(-127, Math.min(127, rounded))
}
