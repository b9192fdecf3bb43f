/**
 * Drops ops whose result reaches neither hidden, logits nor the KV cache, then the values, weights and tables that nothing
 * names any more. Ids are dense again afterwards.
 */
import { baseOf, outputOf, readsOf, weightsOf, withValues } from '../operands.ts'
import type { Op, Program, TableId, ValueId, WeightId } from '../program.ts'

export function dropDeadValues(program: Program): Program {
  const ops = liveOps(program)
  const values = renumber(program.values, usedValues(program, ops))
  const weights = renumber(program.weights, new Set(ops.flatMap(weightsOf)))
  const tables = renumber(program.tables, new Set(ops.flatMap((op) => (op.kind === 'rope' ? [op.table] : []))))
  const rename = (id: ValueId): ValueId => values.ids.get(id)!
  return {
    ...program,
    values: values.items.map((value) => (value.view === null ? value : { ...value, view: { ...value.view, of: rename(value.view.of) } })),
    weights: weights.items,
    tables: tables.items,
    ops: ops.map((op) => withTables(withWeights(withValues(op, rename), weights.ids), tables.ids)),
    hidden: rename(program.hidden),
    logits: rename(program.logits),
  }
}

function liveOps(program: Program): readonly Op[] {
  const liveBases = new Set<ValueId>([program.hidden, program.logits])
  const ops = program.ops.toReversed().filter((op) => {
    const out = outputOf(op)
    if (out !== null && !liveBases.has(baseOf(program, out))) return false
    if (out !== null) liveBases.delete(out)
    for (const id of readsOf(op)) liveBases.add(baseOf(program, id))
    return true
  })
  return ops.toReversed()
}

function usedValues(program: Program, ops: readonly Op[]): Set<ValueId> {
  const used = new Set<ValueId>([program.hidden, program.logits])
  for (const op of ops) {
    const out = outputOf(op)
    for (const id of out === null ? readsOf(op) : [...readsOf(op), out]) used.add(id).add(baseOf(program, id))
  }
  return used
}

interface Renumbered<Id, Item> {
  readonly items: Item[]
  readonly ids: Map<Id, Id>
}

/** The items that are in use, with new dense ids in the old order, and the way from old to new. */
function renumber<Id extends number, Item extends { readonly id: Id }>(items: readonly Item[], used: ReadonlySet<Id>): Renumbered<Id, Item> {
  const ids = new Map<Id, Id>()
  const kept = items.filter(({ id }) => used.has(id))
  kept.forEach(({ id }, index) => ids.set(id, index as Id))
  return { items: kept.map((item, index) => ({ ...item, id: index as Id })), ids }
}

function withWeights(op: Op, ids: ReadonlyMap<WeightId, WeightId>): Op {
  switch (op.kind) {
    case 'embed':
      return { ...op, table: ids.get(op.table)! }
    case 'rms_norm':
      return { ...op, weight: ids.get(op.weight)! }
    case 'linear':
      return { ...op, weight: ids.get(op.weight)!, bias: op.bias === null ? null : ids.get(op.bias)! }
    default:
      return op
  }
}

function withTables(op: Op, ids: ReadonlyMap<TableId, TableId>): Op {
  return op.kind === 'rope' ? { ...op, table: ids.get(op.table)! } : op
}
