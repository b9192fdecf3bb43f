/**
 * linear followed by the add of its result becomes one linear with a residual: one rounding and one walk over the row less.
 * Folded only when the sum is all that anybody does with the linear's result, and when the residual has its final value
 * already where the linear stands.
 */
import { outputOf, overlap, readsOf, valueOf } from '../operands.ts'
import type { Op, Program, ValueId } from '../program.ts'

type Linear = Op & { readonly kind: 'linear' }
type Add = Op & { readonly kind: 'add' }

export function foldResiduals(program: Program): Program {
  const ops = [...program.ops]
  for (let addIndex = 0; addIndex < ops.length; addIndex++) {
    const add = ops[addIndex]!
    if (add.kind !== 'add') continue
    const fold = findFold({ ...program, ops }, addIndex, add, add.a, add.b) ?? findFold({ ...program, ops }, addIndex, add, add.b, add.a)
    if (fold === null) continue
    ops[fold.linearIndex] = fold.linear
    ops.splice(addIndex, 1)
    addIndex--
  }
  return { ...program, ops }
}

interface Fold {
  readonly linearIndex: number
  readonly linear: Linear
}

/** The linear that may take `residual` over from the add, or null. */
function findFold(program: Program, addIndex: number, add: Add, product: ValueId, residual: ValueId): Fold | null {
  if (valueOf(program, product).view !== null || overlap(program, product, residual)) return null
  if (product !== add.out && (product === program.hidden || product === program.logits)) return null
  const linearIndex = program.ops.findIndex((op) => op.kind === 'linear' && op.out === product)
  const linear = program.ops[linearIndex]
  if (linear?.kind !== 'linear' || linear.residual !== null) return null
  const others = program.ops.filter((_, index) => index !== linearIndex && (index < addIndex || (index > addIndex && product !== add.out)))
  const isOnlyAdded = !others.some((op) => touches(program, op, product))
  if (!isOnlyAdded) return null
  // A residual that is first written in between would not exist yet.
  const between = program.ops.slice(linearIndex + 1, addIndex)
  if (between.some((op) => writes(program, op, residual))) return null
  if (add.out === residual && (overlap(program, linear.x, residual) || between.some((op) => touches(program, op, residual)))) return null
  return { linearIndex, linear: { ...linear, residual, out: add.out } }
}

function writes(program: Program, op: Op, id: ValueId): boolean {
  const out = outputOf(op)
  return out !== null && overlap(program, out, id)
}

function touches(program: Program, op: Op, id: ValueId): boolean {
  return writes(program, op, id) || readsOf(op).some((read) => overlap(program, read, id))
}
