/**
 * Lays out activations in one arena. Lifetimes are counted in phases, not ops: chunks of one phase run at the same time, so
 * memory that one op of a phase has done with is not free before the phase ends.
 */
import { assert } from '#base/assert'
import type { StepLimits } from '#engine/kernels/kernels'
import { baseOf, outputOf, readsOf } from '#engine/program/operands'
import type { Program, RowKind, ValueId } from '#engine/program/program'
import type { PhaseDraft, QuantizedActivation } from './group-phases.ts'

const ALIGNMENT_BYTES = 64
/** Mirrors ActGroup in native/include/packed_format.h: 32 columns of eight rows. */
const ACT_GROUP = { rows: 8, columns: 32, bytes: 512 } as const

export interface ArenaPlan {
  readonly arenaBytes: number
  /** By base value id: bytes from the arena's start; undefined for views. */
  readonly valueOffsets: ReadonlyMap<ValueId, number>
  /** By quantized activation id. */
  readonly quantizedOffsets: ReadonlyMap<number, number>
  /** By table id: cosines and sines, f32 (maxTokens, 2, pairs). */
  readonly tableOffsets: readonly number[]
}

/** A stretch of memory in use from phase `first` to phase `last`. */
interface Region {
  readonly numBytes: number
  first: number
  last: number
  offset: number
}

/** Floats from row to row of a value. */
export function rowStride(width: number): number {
  return Math.ceil(width / 16) * 16
}

function maxRowsOf(rows: RowKind, limits: StepLimits): number {
  return rows === 'tokens' ? limits.maxTokens : limits.maxOutputs
}

export function planArena(program: Program, phases: readonly PhaseDraft[], limits: StepLimits): ArenaPlan {
  const values = new Map<ValueId, Region>()
  const quantized = new Map<number, Region>()
  phases.forEach((phase, index) => {
    for (const step of phase.steps) {
      if (step.kind === 'op') {
        const written = outputOf(step.op)
        for (const id of written === null ? readsOf(step.op) : [...readsOf(step.op), written]) touchValue(program, limits, values, baseOf(program, id), index)
        if (step.quantized !== null) touchQuantized(program, limits, quantized, step.quantized, index)
      } else if (step.kind === 'quantize') {
        touchValue(program, limits, values, baseOf(program, step.quantized.x), index)
        touchQuantized(program, limits, quantized, step.quantized, index)
      }
    }
  })
  // The results are read after the last phase.
  for (const id of [program.hidden, program.logits]) touchValue(program, limits, values, id, phases.length)
  const tables = program.tables.map((table) => ({ numBytes: limits.maxTokens * table.inverseFrequencies.length * 8, first: 0, last: phases.length, offset: 0 }))
  const arenaBytes = placeRegions([...tables, ...values.values(), ...quantized.values()])
  return {
    arenaBytes,
    valueOffsets: new Map([...values].map(([id, { offset }]) => [id, offset])),
    quantizedOffsets: new Map([...quantized].map(([id, { offset }]) => [id, offset])),
    tableOffsets: tables.map(({ offset }) => offset),
  }
}

function touchValue(program: Program, limits: StepLimits, values: Map<ValueId, Region>, id: ValueId, phase: number): void {
  const value = program.values[id]
  assert(value !== undefined && value.view === null, 'memory belongs to whole values')
  touch(values, id, maxRowsOf(value.rows, limits) * rowStride(value.width) * 4, phase)
}

function touchQuantized(program: Program, limits: StepLimits, quantized: Map<number, Region>, activation: QuantizedActivation, phase: number): void {
  const numTiles = Math.ceil(maxRowsOf(activation.rows, limits) / ACT_GROUP.rows)
  touch(quantized, activation.id, numTiles * (program.values[activation.x]!.width / ACT_GROUP.columns) * ACT_GROUP.bytes, phase)
}

function touch<Key>(regions: Map<Key, Region>, key: Key, numBytes: number, phase: number): void {
  const region = regions.get(key)
  if (region === undefined) regions.set(key, { numBytes, first: phase, last: phase, offset: 0 })
  else region.last = Math.max(region.last, phase)
}

/** Largest first, each at the lowest offset that is free for its whole life. Returns the arena's size. */
function placeRegions(regions: readonly Region[]): number {
  const placed: Region[] = []
  let arenaBytes = 0
  for (const region of regions.toSorted((a, b) => b.numBytes - a.numBytes)) {
    const neighbours = placed.filter((other) => other.first <= region.last && region.first <= other.last).sort((a, b) => a.offset - b.offset)
    let offset = 0
    for (const other of neighbours) {
      if (offset + region.numBytes <= other.offset) break
      offset = Math.max(offset, Math.ceil((other.offset + other.numBytes) / ALIGNMENT_BYTES) * ALIGNMENT_BYTES)
    }
    region.offset = offset
    placed.push(region)
    arenaBytes = Math.max(arenaBytes, offset + region.numBytes)
  }
  return arenaBytes
}
