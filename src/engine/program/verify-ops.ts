/**
 * The rules of every op. Values are single assignment but for the declared in-place forms: an op's output is either a whole
 * value that nothing has written yet, or one of its own operands (rope, softcap; rms_norm on x; linear on its residual; add on
 * a or b), which may be a view.
 */
import { unreachable } from '#base/assert'
import { DTYPES } from '#engine/tensor/dtype'
import { baseOf, outputOf, overlap, readsOf, weightsOf } from './operands.ts'
import type { Op, Program, Value, ValueId, Weight } from './program.ts'

interface OpFault {
  readonly opIndex: number
  readonly problem: string
}

/** The first fault in execution order, or null. Values, weights and tables have been checked already. */
export function verifyOps(program: Program): OpFault | null {
  const defined = new Set<ValueId>()
  const writtenLayers = new Set<number>()
  for (const [opIndex, op] of program.ops.entries()) {
    const problem = referenceProblem(program, op, defined) ?? layerProblem(program, op, writtenLayers) ?? operandProblem(program, op)
    if (problem !== null) return { opIndex, problem }
    const out = outputOf(op)
    if (out !== null) defined.add(baseOf(program, out))
    if (op.kind === 'kv_write') writtenLayers.add(op.layer)
  }
  return null
}

function referenceProblem(program: Program, op: Op, defined: ReadonlySet<ValueId>): string | null {
  for (const id of readsOf(op)) {
    if (program.values[id] === undefined) return `value ${id} does not exist`
    if (!defined.has(baseOf(program, id))) return `${program.values[id].name} is read before it is written`
  }
  for (const id of weightsOf(op)) {
    if (program.weights[id] === undefined) return `weight ${id} does not exist`
  }
  const out = outputOf(op)
  if (out === null) return null
  if (program.values[out] === undefined) return `value ${out} does not exist`
  return inPlaceOperands(op).includes(out) ? aliasProblem(program, op, out) : freshProblem(program, out, defined)
}

function freshProblem(program: Program, out: ValueId, defined: ReadonlySet<ValueId>): string | null {
  const { name, view } = program.values[out]!
  if (view !== null) return `writes ${name}, a view, which only in-place ops may`
  return defined.has(out) ? `writes ${name} a second time` : null
}

/** In place, every other operand must be the same columns (add a + a) or keep clear of them; linear's x always keeps clear. */
function aliasProblem(program: Program, op: Op, out: ValueId): string | null {
  for (const id of readsOf(op)) {
    const isSame = id === out && !(op.kind === 'linear' && id === op.x)
    if (!isSame && overlap(program, id, out)) return `overwrites columns of ${program.values[id]!.name} while it reads them`
  }
  return null
}

function inPlaceOperands(op: Op): readonly (ValueId | null)[] {
  switch (op.kind) {
    case 'rope':
    case 'softcap':
    case 'rms_norm':
      return [op.x]
    case 'linear':
      return [op.residual]
    case 'add':
      return [op.a, op.b]
    default:
      return []
  }
}

function layerProblem(program: Program, op: Op, writtenLayers: ReadonlySet<number>): string | null {
  if (op.kind !== 'kv_write' && op.kind !== 'attention') return null
  const { layer } = op
  const isLayer = Number.isSafeInteger(layer) && layer >= 0 && layer < program.numLayers
  if (!isLayer) return `layer ${layer} is not within the ${program.numLayers} of the program`
  if (op.kind === 'kv_write') return writtenLayers.has(layer) ? `layer ${layer} is written a second time` : null
  return writtenLayers.has(layer) ? null : `layer ${layer} is attended before its kv_write`
}

function operandProblem(program: Program, op: Op): string | null {
  const value = (id: ValueId): Value => program.values[id]!
  switch (op.kind) {
    case 'embed':
      return embedProblem(program, op)
    case 'rms_norm':
      return rmsNormProblem(program, op)
    case 'linear':
      return linearProblem(program, op)
    case 'rope':
      return ropeProblem(program, op)
    case 'kv_write':
      return kvWriteProblem(program, op)
    case 'attention':
      return attentionProblem(program, op)
    case 'gated_activation':
      return first(sameShape(value(op.gate), value(op.up)), sameShape(value(op.gate), value(op.out)))
    case 'add':
      return first(sameShape(value(op.a), value(op.b)), sameShape(value(op.a), value(op.out)))
    case 'select_rows':
      return first(hasRows(value(op.x), 'tokens'), hasRows(value(op.out), 'outputs'), sameWidth(value(op.x), value(op.out)))
    case 'softcap':
      return positive('cap', op.cap)
    default:
      return unreachable(op)
  }
}

function embedProblem(program: Program, op: Op & { kind: 'embed' }): string | null {
  const out = program.values[op.out]!
  const table = program.weights[op.table]!
  if (table.numRows !== program.vocabSize) return `table has ${table.numRows} rows, the vocabulary ${program.vocabSize}`
  if (table.numColumns !== out.width) return `table has ${table.numColumns} columns, out ${out.width}`
  return first(hasRows(out, 'tokens'), positive('scale', op.scale))
}

function rmsNormProblem(program: Program, op: Op & { kind: 'rms_norm' }): string | null {
  const x = program.values[op.x]!
  const weight = program.weights[op.weight]!
  if (!divides(op.groupWidth, x.width)) return `groups of ${op.groupWidth} do not divide the width ${x.width}`
  return first(vectorOf(weight, op.groupWidth), positive('epsilon', op.epsilon), sameShape(x, program.values[op.out]!))
}

function linearProblem(program: Program, op: Op & { kind: 'linear' }): string | null {
  const x = program.values[op.x]!
  const out = program.values[op.out]!
  const weight = program.weights[op.weight]!
  if (weight.numColumns !== x.width) return `weight has ${weight.numColumns} columns, ${x.name} ${x.width}`
  if (weight.numRows !== out.width) return `weight has ${weight.numRows} rows, out ${out.width}`
  const isPrefix = x.rows === 'outputs' && out.rows === 'logits'
  if (x.rows !== out.rows && !isPrefix) return `makes rows of ${out.rows} from rows of ${x.rows}`
  const biasProblem = op.bias === null ? null : vectorOf(program.weights[op.bias]!, out.width)
  return biasProblem ?? (op.residual === null ? null : sameShape(program.values[op.residual]!, out))
}

function ropeProblem(program: Program, op: Op & { kind: 'rope' }): string | null {
  const x = program.values[op.x]!
  const table = program.tables[op.table]
  if (table === undefined) return `rope table ${op.table} does not exist`
  if (!divides(op.headDim, x.width)) return `heads of ${op.headDim} do not divide the width ${x.width}`
  if (!Number.isSafeInteger(op.rotaryDim) || op.rotaryDim < 2 || op.rotaryDim % 2 !== 0) return `rotary dimension ${op.rotaryDim} is not even`
  if (op.rotaryDim > op.headDim) return `rotary dimension ${op.rotaryDim} is larger than the head's ${op.headDim}`
  if (table.inverseFrequencies.length * 2 !== op.rotaryDim)
    return `table has ${table.inverseFrequencies.length} frequencies, ${op.rotaryDim / 2} expected`
  return hasRows(x, 'tokens')
}

function kvWriteProblem(program: Program, op: Op & { kind: 'kv_write' }): string | null {
  const kvWidth = program.numKvHeads * program.headDim
  for (const value of [program.values[op.k]!, program.values[op.v]!]) {
    if (value.width !== kvWidth) return `${value.name} has ${value.width} columns, the cache ${kvWidth}`
  }
  return first(hasRows(program.values[op.k]!, 'tokens'), hasRows(program.values[op.v]!, 'tokens'))
}

function attentionProblem(program: Program, op: Op & { kind: 'attention' }): string | null {
  const q = program.values[op.q]!
  const isShared = Number.isSafeInteger(op.numHeads) && op.numHeads > 0 && op.numHeads % program.numKvHeads === 0
  if (!isShared) return `${op.numHeads} heads do not share ${program.numKvHeads} KV heads evenly`
  if (q.width !== op.numHeads * program.headDim) return `${q.name} has ${q.width} columns, ${op.numHeads} heads of ${program.headDim} expected`
  if (op.window !== null && (!Number.isSafeInteger(op.window) || op.window < 1)) return `window ${op.window} is not a positive integer`
  const softcapProblem = op.softcap === null ? null : positive('softcap', op.softcap)
  return first(hasRows(q, 'tokens'), sameShape(q, program.values[op.out]!), positive('scale', op.scale), softcapProblem)
}

function divides(part: number, whole: number): boolean {
  return Number.isSafeInteger(part) && part > 0 && whole % part === 0
}

function first(...problems: readonly (string | null)[]): string | null {
  return problems.find((problem) => problem !== null) ?? null
}

function sameShape(a: Value, b: Value): string | null {
  return a.rows === b.rows ? sameWidth(a, b) : `${a.name} has rows of ${a.rows}, ${b.name} of ${b.rows}`
}

function sameWidth(a: Value, b: Value): string | null {
  return a.width === b.width ? null : `${a.name} has ${a.width} columns, ${b.name} ${b.width}`
}

function hasRows(value: Value, rows: Value['rows']): string | null {
  return value.rows === rows ? null : `${value.name} has rows of ${value.rows}, ${rows} expected`
}

function vectorOf(weight: Weight, length: number): string | null {
  if (DTYPES[weight.dtype].blockSize !== 1) return `${weight.name} is a vector of type ${weight.dtype}, which must be f32, f16 or bf16`
  return weight.numRows === 1 && weight.numColumns === length
    ? null
    : `${weight.name} has shape ${weight.numRows} x ${weight.numColumns}, 1 x ${length} expected`
}

function positive(name: string, number: number): string | null {
  return Number.isFinite(number) && number > 0 ? null : `${name} must be positive, is ${number}`
}
