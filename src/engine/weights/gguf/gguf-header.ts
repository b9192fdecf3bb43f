/**
 * Parses the header of one GGUF file: magic, version, metadata and tensor table. The file is a stranger: counts, lengths,
 * types, dimensions and extents are all checked here, and what leaves is safe to use. Format: ggml docs/gguf.md.
 */
import { DTYPES, rowBytes, type DType } from '#engine/tensor/dtype'
import type { GgufValue } from '#engine/models/architecture'
import type { ByteSource } from '../byte-source.ts'
import { addChecked, alignUpChecked, productChecked } from '../checked-arithmetic.ts'
import { DEFAULT_ALIGNMENT, dtypeOfTensorType, GGUF_MAGIC, MAX_ALIGNMENT, otherTensorTypeName, type ValueTypeName } from './gguf-types.ts'
import { HeaderCursor } from './header-cursor.ts'
import { readValue } from './metadata-value.ts'

const MAX_METADATA_ENTRIES = 65_536
const MAX_TENSORS = 1_000_000
const MAX_KEY_BYTES = 65_535
const MAX_TENSOR_NAME_BYTES = 256
const MAX_DIMENSIONS = 4
/** Key length, type and one byte of value. */
const MIN_ENTRY_BYTES = 8 + 4 + 1
/** Name length, dimension count, one dimension, type and offset. */
const MIN_TENSOR_BYTES = 8 + 4 + 8 + 4 + 8

interface GgufTensor {
  readonly name: string
  readonly dtype: DType
  /** Outermost first. */
  readonly shape: readonly number[]
  /** From the start of the file. */
  readonly byteOffset: number
  readonly byteLength: number
}

export interface GgufHeader {
  readonly version: number
  readonly values: ReadonlyMap<string, GgufValue>
  /** The type with which the file stores each value: writers that copy metadata keep it. */
  readonly valueTypes: ReadonlyMap<string, ValueTypeName>
  /** In file order, no two overlapping. */
  readonly tensors: readonly GgufTensor[]
  readonly alignment: number
  /** Bytes of header, padding before the tensor data not counted. */
  readonly headerBytes: number
}

/** A tensor as its table entry gives it: relative to a data section whose start is known only after the table. */
interface TensorEntry {
  readonly name: string
  readonly dtype: DType
  readonly shape: readonly number[]
  readonly relativeOffset: number
  readonly byteLength: number
  /** Where the entry's offset field stands, for messages. */
  readonly entryOffset: number
}

/** Throws InferdError: `invalid_model_file` for damage, `unsupported_model` for versions and types that we do not run. */
export function parseGgufHeader(source: ByteSource): GgufHeader {
  const cursor = new HeaderCursor(source)
  const version = readVersion(cursor)
  cursor.field = 'tensor count'
  const numTensors = cursor.readCount('tensor count', { minBytesEach: MIN_TENSOR_BYTES, maxCount: MAX_TENSORS })
  cursor.field = 'metadata count'
  const numEntries = cursor.readCount('metadata count', { minBytesEach: MIN_ENTRY_BYTES, maxCount: MAX_METADATA_ENTRIES })
  const values = new Map<string, GgufValue>()
  const valueTypes = new Map<string, ValueTypeName>()
  let alignment = DEFAULT_ALIGNMENT
  for (let index = 0; index < numEntries; index++) {
    const key = readKey(cursor, index, values)
    const valueOffset = cursor.offset
    const { type, value } = readValue(cursor)
    if (key === 'general.alignment') alignment = checkAlignment(cursor, value, valueOffset)
    values.set(key, value)
    valueTypes.set(key, type)
  }
  const entries: TensorEntry[] = []
  const names = new Set<string>()
  for (let index = 0; index < numTensors; index++) entries.push(readTensorEntry(cursor, index, { names, alignment }))
  const headerBytes = cursor.offset
  return { version, values, valueTypes, tensors: placeTensors({ cursor, entries, alignment, fileBytes: source.byteLength }), alignment, headerBytes }
}

function readVersion(cursor: HeaderCursor): number {
  cursor.field = 'magic'
  if (cursor.bytesLeft < 8) throw cursor.invalid('the file is too short for a GGUF header')
  const magic = cursor.readUint32()
  if (magic !== GGUF_MAGIC) throw cursor.invalid('not a GGUF file', 0)
  cursor.field = 'version'
  const version = cursor.readUint32()
  if (version === 2 || version === 3) return version
  if (version === 1) throw cursor.unsupported('GGUF version 1; versions 2 and 3 are read', 4)
  if (version > 0 && (version & 0xffff) === 0) throw cursor.unsupported('big-endian GGUF; only little-endian is read', 4)
  throw cursor.invalid(`GGUF version ${version}; versions 2 and 3 are read`, 4)
}

function readKey(cursor: HeaderCursor, index: number, seen: ReadonlyMap<string, GgufValue>): string {
  cursor.field = `metadata key ${index}`
  const keyOffset = cursor.offset
  const key = cursor.readString(MAX_KEY_BYTES)
  checkName(cursor, key, keyOffset)
  cursor.field = `metadata "${key}"`
  if (seen.has(key)) throw cursor.invalid('the key appears twice', keyOffset)
  return key
}

function checkAlignment(cursor: HeaderCursor, value: GgufValue, byteOffset: number): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 8 || value > MAX_ALIGNMENT || (value & (value - 1)) !== 0) {
    throw cursor.invalid(`alignment ${String(value).slice(0, 40)} is not a power of two from 8 to ${MAX_ALIGNMENT}`, byteOffset)
  }
  return value
}

function readTensorEntry(cursor: HeaderCursor, index: number, context: { readonly names: Set<string>; readonly alignment: number }): TensorEntry {
  cursor.field = `tensor ${index} name`
  const nameOffset = cursor.offset
  const name = cursor.readString(MAX_TENSOR_NAME_BYTES)
  checkName(cursor, name, nameOffset)
  cursor.field = `tensor "${name}"`
  if (context.names.has(name)) throw cursor.invalid('the name appears twice', nameOffset)
  context.names.add(name)
  const shape = readShape(cursor)
  const typeOffset = cursor.offset
  const dtype = readTensorType(cursor)
  const byteLength = tensorBytes(cursor, { shape, dtype, byteOffset: typeOffset })
  const entryOffset = cursor.offset
  const relativeOffset = cursor.readSize('offset')
  if (relativeOffset % context.alignment !== 0) {
    throw cursor.invalid(`offset ${relativeOffset} is not a multiple of the alignment ${context.alignment}`, entryOffset)
  }
  return { name, dtype, shape, relativeOffset, byteLength, entryOffset }
}

function readShape(cursor: HeaderCursor): number[] {
  const numDimensions = cursor.readUint32()
  if (numDimensions < 1 || numDimensions > MAX_DIMENSIONS) {
    throw cursor.invalid(`${numDimensions} dimensions; 1 to ${MAX_DIMENSIONS} are allowed`, cursor.offset - 4)
  }
  const innermostFirst: number[] = []
  for (let i = 0; i < numDimensions; i++) {
    const dimension = cursor.readSize(`dimension ${i}`)
    if (dimension === 0) throw cursor.invalid(`dimension ${i} is 0`, cursor.offset - 8)
    innermostFirst.push(dimension)
  }
  return innermostFirst.toReversed()
}

function readTensorType(cursor: HeaderCursor): DType {
  const type = cursor.readUint32()
  const dtype = dtypeOfTensorType(type)
  if (dtype !== null) return dtype
  const otherName = otherTensorTypeName(type)
  if (otherName !== null) throw cursor.unsupported(`element type ${otherName} is not supported`, cursor.offset - 4)
  throw cursor.invalid(`element type ${type} is unknown`, cursor.offset - 4)
}

interface TensorExtent {
  readonly shape: readonly number[]
  readonly dtype: DType
  /** Of the type field, for messages. */
  readonly byteOffset: number
}

function tensorBytes(cursor: HeaderCursor, { shape, dtype, byteOffset }: TensorExtent): number {
  const { blockSize } = DTYPES[dtype]
  const rowLength = shape.at(-1)!
  if (rowLength % blockSize !== 0) throw cursor.invalid(`a row of ${rowLength} elements is not whole ${dtype} blocks of ${blockSize}`, byteOffset)
  const numElements = productChecked(shape)
  const byteLength = numElements === null ? null : rowBytes(dtype, numElements)
  if (byteLength === null || !Number.isSafeInteger(byteLength)) throw cursor.invalid(`dimensions ${shape.join(' x ')} overflow`, byteOffset)
  return byteLength
}

/** Turns relative offsets into file offsets; refuses what lies beyond the file's end or on top of another tensor. */
function placeTensors({
  cursor,
  entries,
  alignment,
  fileBytes,
}: {
  readonly cursor: HeaderCursor
  readonly entries: readonly TensorEntry[]
  readonly alignment: number
  readonly fileBytes: number
}): GgufTensor[] {
  const dataStart = alignUpChecked(cursor.offset, alignment) ?? Infinity
  let previous: { readonly name: string; readonly end: number } | null = null
  const tensors = new Map<TensorEntry, GgufTensor>()
  for (const entry of entries.toSorted((a, b) => a.relativeOffset - b.relativeOffset)) {
    cursor.field = `tensor "${entry.name}"`
    const byteOffset = addChecked(dataStart, entry.relativeOffset)
    const end = byteOffset === null ? null : addChecked(byteOffset, entry.byteLength)
    if (byteOffset === null || end === null || end > fileBytes) {
      const extent = `${entry.byteLength} bytes at data offset ${entry.relativeOffset}`
      throw cursor.invalid(`${extent} end beyond the file's ${fileBytes} bytes`, entry.entryOffset)
    }
    if (previous !== null && byteOffset < previous.end) throw cursor.invalid(`data overlaps tensor "${previous.name}"`, entry.entryOffset)
    previous = { name: entry.name, end }
    tensors.set(entry, { name: entry.name, dtype: entry.dtype, shape: entry.shape, byteOffset, byteLength: entry.byteLength })
  }
  return entries.map((entry) => tensors.get(entry)!)
}

/** Keys and names end up in messages and maps: no empty ones, no control characters, no broken UTF-8. */
function checkName(cursor: HeaderCursor, name: string, byteOffset: number): void {
  // oxlint-disable-next-line no-control-regex
  const isPlain = name !== '' && !/[\u0000-\u001f\u007f-\u009f\u2028\u2029\ufffd]/.test(name)
  if (!isPlain) throw cursor.invalid('the name is empty or not plain text', byteOffset)
}
