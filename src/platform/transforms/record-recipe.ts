/** What becomes of records on their way to the model, and of its answer on the way to the output: filter, join, filter. Pure. */
import { assert } from '#base/assert'
import { type JsonPath, parseJsonPath, selectPath } from '#base/json-path'
import { type RecordForm, recordFormOf, type TransformSpec } from '#contract/transform'
import { parseCsvRow, printCsvRow } from './csv-row.ts'
import type { Payload } from './cut-payloads.ts'
import { parseExactJson } from './exact-json.ts'
import { faulty } from './transform-fault.ts'

export interface RecordRecipe {
  readonly form: RecordForm
  /** null = all of it, byte for byte. */
  readonly inputPath: JsonPath | null
  readonly joinsInput: boolean
  readonly outputPath: JsonPath | null
  readonly endsLines: boolean
}

const NEWLINE = Buffer.from('\n')
const strictUtf8 = new TextDecoder('utf-8', { fatal: true })

/** The paths were checked at acceptance. */
export function recipeOf({ input, output, filters }: TransformSpec): RecordRecipe {
  return {
    form: recordFormOf(input.contentType),
    inputPath: pathOf(filters.input),
    joinsInput: filters.joinsInput,
    outputPath: pathOf(filters.output),
    endsLines: output.endsLines,
  }
}

/** What the model is sent. Throws invalid_parameter for records that the filter does not fit. */
export function bodyOf({ records }: Payload, { form, inputPath }: RecordRecipe): Uint8Array {
  if (inputPath === null) return joinLines(records)
  if (form === 'json') return jsonBytes(selected(parseRecord(records[0]), inputPath, 'InputFilter'))
  return bytesOfRows(rowsOf(records).map((row) => selectedRow(row, inputPath, 'InputFilter')))
}

/** What the output holds for them. Throws invalid_parameter for answers that cannot be joined or filtered. */
export function outputOf(payload: Payload, answer: Uint8Array, recipe: RecordRecipe): Uint8Array {
  const output = isAsAnswered(recipe)
    ? asAnswered(answer, recipe)
    : recipe.form === 'json'
      ? jsonOutput(payload, answer, recipe)
      : csvOutput(payload, answer, recipe)
  return recipe.endsLines && output.at(-1) !== NEWLINE[0] ? Buffer.concat([output, NEWLINE]) : output
}

function isAsAnswered({ joinsInput, outputPath }: RecordRecipe): boolean {
  return !joinsInput && outputPath === null
}

/** JSON that is to be one line is written as one. */
function asAnswered(answer: Uint8Array, { form, endsLines }: RecordRecipe): Uint8Array {
  if (form !== 'json' || !endsLines || answer.subarray(0, -1).indexOf(NEWLINE[0]!) === -1) return answer
  const value = parseJson(answer)
  return value === undefined ? answer : jsonBytes(value)
}

function jsonOutput({ records }: Payload, answer: Uint8Array, { joinsInput, outputPath }: RecordRecipe): Uint8Array {
  const value = parseJson(answer)
  if (value === undefined) throw faulty('the output of the model is not valid JSON: it cannot be joined or filtered')
  const joined = joinsInput ? joinJson(parseRecord(records[0]), value) : value
  return jsonBytes(outputPath === null ? joined : selected(joined, outputPath, 'OutputFilter'))
}

/** As SageMaker names its members. */
function joinJson(input: unknown, output: unknown): unknown {
  const isRecord = typeof input === 'object' && input !== null && Object.getPrototypeOf(input) === Object.prototype
  return isRecord ? { ...input, SageMakerOutput: output } : { SageMakerInput: input, SageMakerOutput: output }
}

function csvOutput({ records }: Payload, answer: Uint8Array, { joinsInput, outputPath }: RecordRecipe): Uint8Array {
  const answers = rowsOf([answer])
  const inputs = joinsInput ? rowsOf(records) : null
  if (inputs !== null && inputs.length !== answers.length)
    throw faulty(`${inputs.length} records were sent and ${answers.length} came back: they cannot be joined`)
  const joined = inputs === null ? answers : inputs.map((row, index) => [...row, ...(answers[index] ?? [])])
  return bytesOfRows(outputPath === null ? joined : joined.map((row) => selectedRow(row, outputPath, 'OutputFilter')))
}

function selected(value: unknown, path: JsonPath, filter: string): unknown {
  const found = selectPath(value, path)
  if (found === undefined) throw faulty(`${filter} names what a record does not have`)
  return found
}

function selectedRow(row: readonly string[], path: JsonPath, filter: string): readonly string[] {
  const found = selected(row, path, filter)
  return typeof found === 'string' ? [found] : (found as readonly string[])
}

function parseRecord(bytes: Uint8Array | undefined): unknown {
  const value = parseJson(bytes ?? NEWLINE)
  if (value === undefined) throw faulty('the record is not valid JSON: it cannot be filtered or joined')
  return value
}

/** undefined = it is not JSON. */
function parseJson(bytes: Uint8Array): unknown {
  try {
    return parseExactJson(strictUtf8.decode(bytes))
  } catch {
    return undefined
  }
}

function jsonBytes(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value), 'utf8')
}

/** A character is a byte here, whatever the encoding is: what means something is ASCII. */
function rowsOf(records: readonly Uint8Array[]): readonly (readonly string[])[] {
  const lines = records.flatMap((bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1').split(/\r?\n/))
  return lines
    .filter((line) => line !== '')
    .map((line) => {
      const row = parseCsvRow(line)
      if (row === null) throw faulty('a record is not valid CSV: a quote is not closed, or text stands behind one')
      return row
    })
}

function bytesOfRows(rows: readonly (readonly string[])[]): Uint8Array {
  return Buffer.from(rows.map(printCsvRow).join('\n'), 'latin1')
}

function joinLines(records: readonly Uint8Array[]): Uint8Array {
  const [first] = records
  assert(first !== undefined, 'a payload has a record')
  return records.length === 1 ? first : Buffer.concat(records.flatMap((bytes, index) => (index === 0 ? [bytes] : [NEWLINE, bytes])))
}

function pathOf(text: string): JsonPath | null {
  const path = parseJsonPath(text)
  assert(path !== null, 'a filter was checked when the job was accepted')
  return path.length === 0 ? null : path
}
