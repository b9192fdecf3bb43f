/**
 * Proves that a program can run before anything is allocated for it: executors trust what passed here and check nothing
 * again. A fault names the op by its index: `op 17 (linear blk.3.ffn_up): weight has 512 columns, x has 256`.
 */
import { InferdError } from '#contract/errors'
import { DTYPES } from '#engine/tensor/dtype'
import type { TensorFile } from '#engine/weights/tensor-file'
import { describeOp, weightsOf } from './operands.ts'
import type { Program, RopeTable, Value, Weight, WeightPart } from './program.ts'
import { verifyOps } from './verify-ops.ts'

/** Kernels count rows and columns in 32 bits. */
const MAX_COUNT = 2 ** 31 - 1

/** Throws InferdError('unsupported_model') at the first fault. */
export function verifyProgram(program: Program): void {
  for (const field of ['vocabSize', 'numLayers', 'numKvHeads', 'headDim'] as const) {
    check(isCount(program[field]), `program ${program.name}: ${field} must be a positive integer of 31 bits, is ${program[field]}`)
  }
  program.values.forEach((value, index) => verifyValue(program, value, index))
  program.weights.forEach((weight, index) => verifyWeight(program, weight, index))
  program.tables.forEach(verifyTable)
  const fault = verifyOps(program)
  check(fault === null, fault === null ? '' : `${describeOp(program, fault.opIndex)}: ${fault.problem}`)
  verifyResults(program)
}

/** Checks every part of every weight against the file. Throws InferdError('invalid_model_file'). */
export function verifyWeights(program: Program, tensors: TensorFile): void {
  for (const weight of program.weights) {
    for (const part of weight.parts) {
      const problem = partProblem(weight, part, tensors)
      if (problem !== null) throw new InferdError('invalid_model_file', `weight ${weight.name}: tensor ${part.tensor} ${problem}`)
    }
  }
}

function partProblem(weight: Weight, part: WeightPart, tensors: TensorFile): string | null {
  const info = tensors.tensors.get(part.tensor)
  if (info === undefined) return 'is not in the file'
  if (info.dtype !== weight.dtype) return `has type ${info.dtype}, ${weight.dtype} expected`
  if (info.shape.length < 1 || info.shape.length > 2) return `has ${info.shape.length} dimensions, 1 or 2 expected`
  const [numRows, numColumns] = info.shape.length === 1 ? [1, info.shape[0]!] : [info.shape[0]!, info.shape[1]!]
  if (numColumns !== weight.numColumns) return `has ${numColumns} columns, ${weight.numColumns} expected`
  if (part.rowStart + part.numRows > numRows) return `has ${numRows} rows, rows ${part.rowStart} to ${part.rowStart + part.numRows} are wanted`
  return null
}

function verifyValue(program: Program, value: Value, index: number): void {
  const at = `value ${index} (${value.name})`
  check(value.id === index, `${at}: id is ${value.id}`)
  check(isCount(value.width), `${at}: width must be a positive integer of 31 bits, is ${value.width}`)
  if (value.view === null) return
  const base = program.values[value.view.of]
  check(base !== undefined, `${at}: views value ${value.view.of}, which does not exist`)
  check(base.view === null, `${at}: views ${base.name}, which is a view itself`)
  check(base.rows === value.rows, `${at}: has rows of ${value.rows}, ${base.name} of ${base.rows}`)
  const { columnOffset } = value.view
  check(
    Number.isSafeInteger(columnOffset) && columnOffset >= 0 && columnOffset + value.width <= base.width,
    `${at}: columns ${columnOffset} to ${columnOffset + value.width} do not lie within the ${base.width} of ${base.name}`,
  )
}

/** A fault names the first op that uses the weight. */
function verifyWeight(program: Program, weight: Weight, index: number): void {
  const problem = weightProblem(weight, index)
  if (problem === null) return
  const opIndex = program.ops.findIndex((op) => weightsOf(op).some((id) => id === index))
  check(false, `${opIndex < 0 ? '' : `${describeOp(program, opIndex)}: `}weight ${index} (${weight.name}): ${problem}`)
}

function weightProblem({ id, dtype, numRows, numColumns, parts, offset }: Weight, index: number): string | null {
  if (id !== index) return `id is ${id}`
  if (!isCount(numRows) || !isCount(numColumns)) return `shape ${numRows} x ${numColumns} is not made of positive integers of 31 bits`
  if (!(dtype in DTYPES)) return `unknown type ${dtype}`
  const { blockSize } = DTYPES[dtype]
  if (numColumns % blockSize !== 0) return `rows of ${numColumns} elements are no multiple of the ${blockSize} of a ${dtype} block`
  const badPart = parts.find((part) => !Number.isSafeInteger(part.rowStart) || part.rowStart < 0 || !isCount(part.numRows))
  if (badPart !== undefined) return `part ${badPart.tensor} has rows ${badPart.rowStart} + ${badPart.numRows}`
  const numPartRows = parts.reduce((sum, part) => sum + part.numRows, 0)
  if (numPartRows !== numRows) return `its parts have ${numPartRows} rows, ${numRows} expected`
  if (!Number.isFinite(offset)) return `offset ${offset} is not finite`
  return offset === 0 || (numRows === 1 && blockSize === 1) ? null : 'only an unquantized vector takes an offset'
}

function verifyTable(table: RopeTable, index: number): void {
  const at = `rope table ${index}`
  check(table.id === index, `${at}: id is ${table.id}`)
  check(
    table.inverseFrequencies.every((frequency) => Number.isFinite(frequency) && frequency >= 0),
    `${at}: an inverse frequency is negative or not finite`,
  )
  check(Number.isFinite(table.magnitude) && table.magnitude > 0, `${at}: magnitude ${table.magnitude} is not positive`)
}

function verifyResults(program: Program): void {
  const hidden = program.values[program.hidden]
  const logits = program.values[program.logits]
  check(hidden?.rows === 'outputs' && hidden.view === null, `program ${program.name}: hidden must be a whole value with rows of outputs`)
  check(logits?.rows === 'logits' && logits.view === null, `program ${program.name}: logits must be a whole value with rows of logits`)
  check(logits.width === program.vocabSize, `program ${program.name}: logits have ${logits.width} columns, the vocabulary ${program.vocabSize}`)
  const projection = program.ops.find((op) => op.kind === 'linear' && op.out === logits.id)
  check(projection?.kind === 'linear' && projection.x === hidden.id, `program ${program.name}: logits must come from a linear that reads hidden`)
}

function isCount(count: number): boolean {
  return Number.isSafeInteger(count) && count > 0 && count <= MAX_COUNT
}

function check(condition: boolean, message: string): asserts condition {
  if (!condition) throw new InferdError('unsupported_model', message)
}
