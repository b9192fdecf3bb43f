/**
 * Lays the activations of a program out in one arena of f32: a value's columns are its own only between the op that writes
 * it first and the op that touches it last, so values that never live together share memory. Greedy by size (largest first,
 * lowest free offset): Pisarchyk and Lee 2020, arXiv:2001.03288, section 5.2.
 */
import { assert } from '#base/assert'
import { baseOf, outputOf, readsOf, valueOf } from './operands.ts'
import type { Program, RowKind, ValueId } from './program.ts'

/** The most rows of one step; a StepLimits has these fields. */
interface RowLimits {
  readonly maxTokens: number
  readonly maxOutputs: number
}

export interface MemoryPlan {
  /** By value id: its first element in the arena. Element (row, column) lies at offsets[id] + row * strides[id] + column. -1 for a value that no op writes. */
  readonly offsets: Float64Array
  /** By value id: elements from row to row; a view has its base's. */
  readonly strides: Int32Array
  /** f32 elements. */
  readonly arenaLength: number
}

/** A value that owns memory. Ops [firstOp, lastOp] need it, both included. */
interface Block {
  readonly id: ValueId
  readonly firstOp: number
  readonly lastOp: number
  readonly length: number
}

/** Elements: every value starts on a 64-byte line. */
const ALIGNMENT = 16

/** The program has been verified. */
export function planMemory(program: Program, limits: RowLimits): MemoryPlan {
  const offsets = new Float64Array(program.values.length).fill(-1)
  const strides = new Int32Array(program.values.length)
  const placed: Block[] = []
  let arenaLength = 0
  for (const block of blocksOf(program, limits).toSorted((a, b) => b.length - a.length || a.firstOp - b.firstOp)) {
    const offset = lowestFreeOffset(block, placed, offsets)
    offsets[block.id] = offset
    placed.push(block)
    arenaLength = Math.max(arenaLength, offset + block.length)
  }
  for (const value of program.values) {
    const base = baseOf(program, value.id)
    strides[value.id] = valueOf(program, base).width
    if (value.view !== null && offsets[base]! >= 0) offsets[value.id] = offsets[base]! + value.view.columnOffset
  }
  assertNoOverlap(placed, offsets)
  return { offsets, strides, arenaLength }
}

/** Upper bound of a row kind within one step. */
export function maxRows(rows: RowKind, limits: RowLimits): number {
  return rows === 'tokens' ? limits.maxTokens : limits.maxOutputs
}

function blocksOf(program: Program, limits: RowLimits): Block[] {
  const blocks = new Map<ValueId, Block>()
  program.ops.forEach((op, opIndex) => {
    const out = outputOf(op)
    for (const id of out === null ? readsOf(op) : [...readsOf(op), out]) {
      const base = valueOf(program, baseOf(program, id))
      const length = Math.ceil((maxRows(base.rows, limits) * base.width) / ALIGNMENT) * ALIGNMENT
      const firstOp = blocks.get(base.id)?.firstOp ?? opIndex
      blocks.set(base.id, { id: base.id, firstOp, lastOp: opIndex, length })
    }
  })
  for (const id of [program.hidden, program.logits]) {
    const block = blocks.get(id)
    assert(block !== undefined, 'a result is never written')
    blocks.set(id, { ...block, lastOp: program.ops.length })
  }
  return [...blocks.values()]
}

function lowestFreeOffset(block: Block, placed: readonly Block[], offsets: Float64Array): number {
  const neighbours = placed.filter((other) => liveTogether(block, other)).toSorted((a, b) => offsets[a.id]! - offsets[b.id]!)
  let offset = 0
  for (const other of neighbours) {
    if (offset + block.length <= offsets[other.id]!) break
    offset = Math.max(offset, offsets[other.id]! + other.length)
  }
  return offset
}

function liveTogether(a: Block, b: Block): boolean {
  return a.firstOp <= b.lastOp && b.firstOp <= a.lastOp
}

function assertNoOverlap(blocks: readonly Block[], offsets: Float64Array): void {
  for (const [index, a] of blocks.entries()) {
    for (const b of blocks.slice(index + 1)) {
      const apart = offsets[a.id]! + a.length <= offsets[b.id]! || offsets[b.id]! + b.length <= offsets[a.id]!
      assert(apart || !liveTogether(a, b), `values ${a.id} and ${b.id} live together in the same memory`)
    }
  }
}
