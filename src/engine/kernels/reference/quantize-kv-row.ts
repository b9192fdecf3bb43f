/**
 * What a q8_0 cache keeps of a row: every 32 columns become bytes times an f16 scale, which is the smallest that brings their largest magnitude
 * to 127, so that no value is cut off. A group with a column that is not finite becomes NaN. All steps are rounded to f32, as in native/src/kv_cache.
 */
import { KV_GROUP_COLUMNS } from '../kv-dtype.ts'

const halves = new Float16Array(1)
const halfBits = new Uint16Array(halves.buffer)
/** Adding and taking it away rounds an f32 below 2^22 to the nearest whole number, ties to even. */
const ROUNDER = 1.5 * 2 ** 23

/** In place. row: one head's columns [start, start + headDim). */
export function quantizeKvRow(row: Float32Array, start: number, headDim: number): void {
  for (let i = 0; i < headDim; i += KV_GROUP_COLUMNS) quantizeGroup(row.subarray(start + i, start + Math.min(i + KV_GROUP_COLUMNS, headDim)))
}

function quantizeGroup(group: Float32Array): void {
  const scale = groupScale(group.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0))
  const inverse = scale > 0 ? Math.fround(1 / scale) : 0
  for (const [i, value] of group.entries()) {
    const rounded = Math.fround(Math.fround(Math.fround(value * inverse) + ROUNDER) - ROUNDER)
    group[i] = rounded * scale
  }
}

function groupScale(largest: number): number {
  halves[0] = Math.fround(largest / 127)
  if (halves[0] * 127 < largest) halfBits[0]! += 1
  return halves[0] < Infinity ? halves[0] : Number.NaN
}
