/**
 * After the last attention a token's row matters only if it is an output: select_rows moves there, so the last layer's output
 * projection and MLP run over a few rows instead of the whole prefill chunk. Everything that lives across that point is
 * gathered; what follows works on the gathered rows.
 */
import { baseOf, outputOf, readsOf, valueOf, withValues } from '../operands.ts'
import type { Op, Program, Value, ValueId } from '../program.ts'

/** Needs one select_rows behind the last op that must see every token; otherwise the program comes back unchanged. */
export function selectRowsEarly(program: Program): Program {
  const selections = program.ops.filter((op) => op.kind === 'select_rows')
  const selectIndex = program.ops.findIndex((op) => op.kind === 'select_rows')
  const cut = program.ops.findLastIndex(needsAllTokens) + 1
  const selection = program.ops[selectIndex]
  if (selection?.kind !== 'select_rows' || selections.length !== 1 || selectIndex <= cut) return program
  const isUsedAfter = program.ops.slice(selectIndex + 1).some((op) => touchedBases(program, op).includes(baseOf(program, selection.x)))
  return isUsedAfter || valueOf(program, selection.x).view !== null ? program : moveSelection(program, cut, selectIndex, selection)
}

function needsAllTokens(op: Op): boolean {
  return op.kind === 'embed' || op.kind === 'rope' || op.kind === 'kv_write' || op.kind === 'attention'
}

function moveSelection(program: Program, cut: number, selectIndex: number, selection: Op & { readonly kind: 'select_rows' }): Program {
  const before = program.ops.slice(0, cut)
  const moved = program.ops.slice(cut, selectIndex)
  const after = program.ops.slice(selectIndex + 1)
  const writtenBefore = new Set(before.flatMap((op) => touchedBases(program, op)))
  const values = [...program.values]
  const selected = new Map<ValueId, ValueId>([[selection.x, selection.out]])
  for (const id of new Set([...moved.flatMap((op) => touchedBases(program, op)), selection.x])) {
    if (!selected.has(id)) selected.set(id, append(values, { ...valueOf(program, id), rows: 'outputs' }))
  }
  const rename = (id: ValueId): ValueId => {
    const existing = selected.get(id)
    if (existing !== undefined) return existing
    const value = valueOf(program, id)
    const base = value.view === null ? undefined : selected.get(value.view.of)
    if (value.view === null || base === undefined) return id
    const view = append(values, { ...value, rows: 'outputs', view: { ...value.view, of: base } })
    selected.set(id, view)
    return view
  }
  const gathered = [...selected].filter(([from]) => writtenBefore.has(from))
  const gathers = gathered.map(([from, to]): Op => ({ kind: 'select_rows', x: from, out: to }))
  return { ...program, values, ops: [...before, ...gathers, ...moved.map((op) => withValues(op, rename)), ...after] } satisfies Program
}

/** Gives the value the next id. Mutates `values`. */
function append(values: Value[], value: Value): ValueId {
  const id = values.length as ValueId
  values.push({ ...value, id })
  return id
}

function touchedBases(program: Program, op: Op): ValueId[] {
  const out = outputOf(op)
  return [...readsOf(op), ...(out === null ? [] : [out])].map((id) => baseOf(program, id))
}
