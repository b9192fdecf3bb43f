/**
 * Parses the header of one safetensors file: u64 length, JSON table, then the data that the table must cover exactly:
 * in order, without gap, overlap or rest. Format: the safetensors README and its 2023 audit; duplicate keys refused besides.
 */
import { InferdError } from '#contract/errors'
import type { DType } from '#engine/tensor/dtype'
import { invalidFile, unsupportedFile, type ByteSource } from '../byte-source.ts'
import { productChecked } from '../checked-arithmetic.ts'
import { isJsonObject, parseBoundedJson } from './bounded-json.ts'

const LENGTH_BYTES = 8
const MAX_HEADER_BYTES = 100_000_000
const MAX_HEADER_DEPTH = 4
const MAX_DIMENSIONS = 8
const MAX_NAME_LENGTH = 1024
const METADATA_KEY = '__metadata__'

const DTYPE_BY_NAME = new Map<string, DType>([
  ['F32', 'f32'],
  ['F16', 'f16'],
  ['BF16', 'bf16'],
])

/** Element bytes of every type of the format. */
const ELEMENT_BYTES = new Map<string, number>([
  ['BOOL', 1],
  ['U8', 1],
  ['I8', 1],
  ['F8_E5M2', 1],
  ['F8_E4M3', 1],
  ['F8_E8M0', 1],
  ['I16', 2],
  ['U16', 2],
  ['F16', 2],
  ['BF16', 2],
  ['I32', 4],
  ['U32', 4],
  ['F32', 4],
  ['F64', 8],
  ['I64', 8],
  ['U64', 8],
])

/** Buffers that old checkpoints keep beside their weights and no program reads. */
const UNREAD_BUFFERS = /(?:^|\.)(?:position_ids|attn\.bias|attn\.masked_bias|rotary_emb\.inv_freq|num_batches_tracked)$/

interface SafetensorsTensor {
  readonly name: string
  readonly dtype: DType
  /** Outermost first; a scalar has shape [1]. */
  readonly shape: readonly number[]
  readonly byteOffset: number
  readonly byteLength: number
}

interface SafetensorsHeader {
  readonly tensors: readonly SafetensorsTensor[]
  readonly metadata: ReadonlyMap<string, string>
  /** Length field and JSON. */
  readonly headerBytes: number
}

interface TableEntry {
  readonly name: string
  readonly typeName: string
  readonly shape: readonly number[]
  readonly begin: number
  readonly end: number
}

/** Throws InferdError: `invalid_model_file` for damage, `unsupported_model` for element types that we do not run. */
export function parseSafetensorsHeader(source: ByteSource): SafetensorsHeader {
  const jsonBytes = readJsonBytes(source)
  const table = parseBoundedJson(jsonBytes, { what: `${source.name} header`, maxDepth: MAX_HEADER_DEPTH, refuseDuplicateKeys: true })
  if (!isJsonObject(table)) throw invalidFile(source, 'header', LENGTH_BYTES, 'not a JSON object')
  const dataStart = LENGTH_BYTES + jsonBytes.length
  const metadata = readMetadata(source, table[METADATA_KEY])
  const entries = Object.keys(table)
    .filter((name) => name !== METADATA_KEY)
    .map((name) => readEntry(source, name, table[name]))
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end)
  checkCoverage(source, entries, source.byteLength - dataStart)
  const tensors = entries.filter((entry) => !isUnreadBuffer(entry.name)).map((entry) => toTensor(source, entry, dataStart))
  return { tensors, metadata, headerBytes: dataStart }
}

/** True for buffers that are checked but left out of the tensor table. */
export function isUnreadBuffer(tensorName: string): boolean {
  return UNREAD_BUFFERS.test(tensorName)
}

function readJsonBytes(source: ByteSource): Uint8Array {
  if (source.byteLength < LENGTH_BYTES) throw invalidFile(source, 'header length', 0, `the file has only ${source.byteLength} bytes`)
  const prefix = new Uint8Array(LENGTH_BYTES)
  source.readInto(prefix, 0)
  const length = new DataView(prefix.buffer).getBigUint64(0, true)
  const limit = Math.min(MAX_HEADER_BYTES, source.byteLength - LENGTH_BYTES)
  if (length < 2n || length > BigInt(limit)) throw invalidFile(source, 'header length', 0, `${length} is not between 2 and ${limit} bytes`)
  const json = new Uint8Array(Number(length))
  source.readInto(json, LENGTH_BYTES)
  if (json[0] !== 0x7b) throw invalidFile(source, 'header', LENGTH_BYTES, 'does not begin with {')
  return json
}

function readMetadata(source: ByteSource, value: unknown): ReadonlyMap<string, string> {
  if (value === undefined) return new Map()
  if (!isJsonObject(value) || !Object.values(value).every((one) => typeof one === 'string')) {
    throw invalidFile(source, METADATA_KEY, LENGTH_BYTES, 'not an object of strings')
  }
  return new Map(Object.entries(value as Record<string, string>))
}

function readEntry(source: ByteSource, name: string, value: unknown): TableEntry {
  const fail = (reason: string): InferdError => invalidFile(source, `tensor ${JSON.stringify(name.slice(0, 100))}`, LENGTH_BYTES, reason)
  // oxlint-disable-next-line no-control-regex
  const isPlain = name !== '' && name.length <= MAX_NAME_LENGTH && !/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/.test(name)
  if (!isPlain) throw fail('the name is empty, too long or not plain text')
  if (!isJsonObject(value)) throw fail('the entry is not an object')
  const { dtype, shape, data_offsets: offsets } = value
  if (typeof dtype !== 'string') throw fail('dtype is not a string')
  const elementBytes = ELEMENT_BYTES.get(dtype)
  if (elementBytes === undefined) throw fail(`dtype ${JSON.stringify(dtype.slice(0, 40))} is unknown`)
  if (!isNaturalList(shape) || shape.length > MAX_DIMENSIONS) throw fail(`shape is not a list of at most ${MAX_DIMENSIONS} natural numbers`)
  if (shape.includes(0)) throw fail('a dimension is 0')
  if (!isNaturalList(offsets) || offsets.length !== 2) throw fail('data_offsets are not two natural numbers')
  const [begin, end] = offsets as [number, number]
  if (begin > end) throw fail(`data_offsets begin at ${begin} after their end ${end}`)
  const byteLength = productChecked([...shape, elementBytes])
  if (byteLength === null) throw fail(`shape ${shape.join(' x ')} overflows`)
  if (byteLength !== end - begin) throw fail(`shape ${shape.join(' x ')} of ${dtype} is ${byteLength} bytes, data_offsets span ${end - begin}`)
  return { name, typeName: dtype, shape: shape.length === 0 ? [1] : shape, begin, end }
}

function isNaturalList(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((one) => Number.isSafeInteger(one) && (one as number) >= 0)
}

/** `entries` in order of their data. */
function checkCoverage(source: ByteSource, entries: readonly TableEntry[], dataBytes: number): void {
  let expected = 0
  for (const { name, begin, end } of entries) {
    const field = `tensor ${JSON.stringify(name)}`
    if (begin !== expected) {
      const place = begin < expected ? 'on top of' : 'with a gap after'
      throw invalidFile(source, field, LENGTH_BYTES, `data begins at ${begin}, ${place} the data that ends at ${expected}`)
    }
    if (end > dataBytes) throw invalidFile(source, field, LENGTH_BYTES, `data ends at ${end}, the file holds ${dataBytes} bytes of data`)
    expected = end
  }
  const numLeft = dataBytes - expected
  if (numLeft !== 0) throw invalidFile(source, 'data', source.byteLength - numLeft, `${numLeft} bytes belong to no tensor`)
}

function toTensor(source: ByteSource, entry: TableEntry, dataStart: number): SafetensorsTensor {
  const dtype = DTYPE_BY_NAME.get(entry.typeName)
  if (dtype === undefined) {
    throw unsupportedFile(source, `tensor ${JSON.stringify(entry.name)}`, LENGTH_BYTES, `element type ${entry.typeName} is not supported`)
  }
  return { name: entry.name, dtype, shape: entry.shape, byteOffset: dataStart + entry.begin, byteLength: entry.end - entry.begin }
}
