/**
 * What an op touches: the one table of reads, writes and weights that the verifier, the passes and the memory plan share.
 */
import { assert, unreachable } from '#base/assert'
import type { Op, Program, Value, ValueId, Weight, WeightId } from './program.ts'

/** Values that the op reads, in-place operands included. */
export function readsOf(op: Op): readonly ValueId[] {
  switch (op.kind) {
    case 'embed':
      return []
    case 'linear':
      return op.residual === null ? [op.x] : [op.x, op.residual]
    case 'rms_norm':
    case 'rope':
    case 'select_rows':
    case 'softcap':
      return [op.x]
    case 'kv_write':
      return [op.k, op.v]
    case 'attention':
      return [op.q]
    case 'gated_activation':
      return [op.gate, op.up]
    case 'add':
      return [op.a, op.b]
    default:
      return unreachable(op)
  }
}

/** The value that the op writes; null for kv_write, whose effect is on the cache. */
export function outputOf(op: Op): ValueId | null {
  switch (op.kind) {
    case 'rope':
    case 'softcap':
      return op.x
    case 'kv_write':
      return null
    default:
      return op.out
  }
}

export function weightsOf(op: Op): readonly WeightId[] {
  switch (op.kind) {
    case 'embed':
      return [op.table]
    case 'rms_norm':
      return [op.weight]
    case 'linear':
      return op.bias === null ? [op.weight] : [op.weight, op.bias]
    default:
      return []
  }
}

/** The same op with every value id replaced. */
export function withValues(op: Op, rename: (id: ValueId) => ValueId): Op {
  switch (op.kind) {
    case 'embed':
      return { ...op, out: rename(op.out) }
    case 'linear':
      return { ...op, x: rename(op.x), residual: op.residual === null ? null : rename(op.residual), out: rename(op.out) }
    case 'rms_norm':
    case 'select_rows':
      return { ...op, x: rename(op.x), out: rename(op.out) }
    case 'rope':
    case 'softcap':
      return { ...op, x: rename(op.x) }
    case 'kv_write':
      return { ...op, k: rename(op.k), v: rename(op.v) }
    case 'attention':
      return { ...op, q: rename(op.q), out: rename(op.out) }
    case 'gated_activation':
      return { ...op, gate: rename(op.gate), up: rename(op.up), out: rename(op.out) }
    case 'add':
      return { ...op, a: rename(op.a), b: rename(op.b), out: rename(op.out) }
    default:
      return unreachable(op)
  }
}

export function valueOf(program: Program, id: ValueId): Value {
  const value = program.values[id]
  assert(value !== undefined, `no value ${id}`)
  return value
}

export function weightOf(program: Program, id: WeightId): Weight {
  const weight = program.weights[id]
  assert(weight !== undefined, `no weight ${id}`)
  return weight
}

/** The value that owns the memory: itself, or what it is a view of. */
export function baseOf(program: Program, id: ValueId): ValueId {
  return valueOf(program, id).view?.of ?? id
}

/** True when the two values have a column in common. */
export function overlap(program: Program, a: ValueId, b: ValueId): boolean {
  if (baseOf(program, a) !== baseOf(program, b)) return false
  const [first, second] = [valueOf(program, a), valueOf(program, b)]
  const [firstStart, secondStart] = [first.view?.columnOffset ?? 0, second.view?.columnOffset ?? 0]
  return firstStart < secondStart + second.width && secondStart < firstStart + first.width
}

/** How messages name an op: `op 17 (linear blk.3.ffn_up)`. Safe on unverified programs. */
export function describeOp(program: Program, opIndex: number): string {
  const op = program.ops[opIndex]
  if (op === undefined) return `op ${opIndex}`
  const out = outputOf(op)
  const name = out === null ? `layer ${op.kind === 'kv_write' ? op.layer : ''}` : (program.values[out]?.name ?? `value ${out}`)
  return `op ${opIndex} (${op.kind} ${name})`
}
