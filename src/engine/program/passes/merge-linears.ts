/**
 * Linears that read the same value through weights of one type become one linear (q, k, v; gate, up): the activation row is
 * read and quantized once, and the matrix is tall enough to share between threads. The old results become views of the new
 * one. Linears with a bias stay: a vector cannot be put together from parts.
 */
import { outputOf, overlap, valueOf, weightOf } from '../operands.ts'
import type { Op, Program, Value, ValueId, Weight, WeightId } from '../program.ts'

type Linear = Op & { readonly kind: 'linear' }

export function mergeLinears(program: Program): Program {
  let merged = program
  for (let opIndex = 0; opIndex < merged.ops.length; opIndex++) {
    const group = mergeableFrom(merged, opIndex)
    if (group.length > 1) merged = mergeGroup(merged, opIndex, group)
  }
  return merged
}

/** The linear at opIndex and all later ones that can run in its place. */
function mergeableFrom(program: Program, opIndex: number): readonly Linear[] {
  const head = program.ops[opIndex]!
  if (head.kind !== 'linear' || !isPlain(program, head)) return []
  const group = [head]
  for (const op of program.ops.slice(opIndex + 1)) {
    if (op.kind === 'linear' && isPlain(program, op) && isAlike(program, head, op)) group.push(op)
    const out = outputOf(op)
    if (out !== null && overlap(program, out, head.x)) break
  }
  return group
}

function isPlain(program: Program, op: Linear): boolean {
  const isResult = op.out === program.hidden || op.out === program.logits
  return op.bias === null && op.residual === null && !isResult && weightOf(program, op.weight).offset === 0
}

function isAlike(program: Program, head: Linear, op: Linear): boolean {
  const isSameType = weightOf(program, op.weight).dtype === weightOf(program, head.weight).dtype
  return op.x === head.x && isSameType && valueOf(program, op.out).rows === valueOf(program, head.out).rows
}

function mergeGroup(program: Program, opIndex: number, group: readonly Linear[]): Program {
  const weights = group.map((op) => weightOf(program, op.weight))
  const outs = group.map((op) => valueOf(program, op.out))
  const weight: Weight = {
    ...weights[0]!,
    id: program.weights.length as WeightId,
    name: weights.map(({ name }) => name).join(' + '),
    numRows: weights.reduce((sum, { numRows }) => sum + numRows, 0),
    parts: weights.flatMap(({ parts }) => parts),
  }
  const out: Value = { ...outs[0]!, id: program.values.length as ValueId, name: outs.map(({ name }) => name).join(' + '), width: weight.numRows }
  const linear: Linear = { ...group[0]!, weight: weight.id, out: out.id }
  const ops = program.ops.flatMap((op, index) => (index === opIndex ? [linear] : group.includes(op as Linear) ? [] : [op]))
  return { ...program, ops, weights: [...program.weights, weight], values: [...viewsOf(program, outs, out), out] }
}

/** Every old result becomes a view of `merged`; what viewed an old result now views `merged` too. */
function viewsOf(program: Program, outs: readonly Value[], merged: Value): Value[] {
  const columnOffsets = new Map<ValueId, number>()
  let columnOffset = 0
  for (const { id, width } of outs) {
    columnOffsets.set(id, columnOffset)
    columnOffset += width
  }
  return program.values.map((value) => {
    const start = columnOffsets.get(value.view?.of ?? value.id)
    return start === undefined ? value : { ...value, view: { of: merged.id, columnOffset: start + (value.view?.columnOffset ?? 0) } }
  })
}
