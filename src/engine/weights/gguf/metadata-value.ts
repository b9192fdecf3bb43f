/** One metadata value of a GGUF header: a scalar, a string, or a flat array of either. */
import { unreachable } from '#base/assert'
import type { GgufNumberArray, GgufValue } from '#engine/models/architecture'
import { VALUE_MIN_BYTES, valueTypeName, type ValueTypeName } from './gguf-types.ts'
import type { HeaderCursor } from './header-cursor.ts'

/** Most elements of one array: far above any vocabulary or merge list. */
const MAX_ARRAY_LENGTH = 16 * 1024 * 1024

/** Reads type and value at the cursor. u64 and i64 become numbers where that is exact, else bigints. */
export function readValue(cursor: HeaderCursor): { readonly type: ValueTypeName; readonly value: GgufValue } {
  const type = readType(cursor, 'value type')
  return { type, value: type === 'array' ? readArray(cursor) : readScalar(cursor, type) }
}

function readType(cursor: HeaderCursor, what: string): ValueTypeName {
  const type = cursor.readUint32()
  const name = valueTypeName(type)
  if (name === null) throw cursor.invalid(`${what} ${type} is unknown`, cursor.offset - 4)
  return name
}

function readScalar(cursor: HeaderCursor, type: Exclude<ValueTypeName, 'array'>): string | number | bigint | boolean {
  switch (type) {
    case 'uint8':
      return cursor.readUint8()
    case 'int8':
      return cursor.readInt8()
    case 'uint16':
      return cursor.readUint16()
    case 'int16':
      return cursor.readInt16()
    case 'uint32':
      return cursor.readUint32()
    case 'int32':
      return cursor.readInt32()
    case 'float32':
      return cursor.readFloat32()
    case 'float64':
      return cursor.readFloat64()
    case 'bool':
      return readBoolean(cursor)
    case 'string':
      return cursor.readString()
    case 'uint64':
      return numberIfExact(cursor.readBigUint64())
    case 'int64':
      return numberIfExact(cursor.readBigInt64())
    default:
      return unreachable(type)
  }
}

function readArray(cursor: HeaderCursor): GgufValue {
  const type = readType(cursor, 'array element type')
  if (type === 'array') throw cursor.invalid('arrays of arrays are not allowed', cursor.offset - 4)
  const length = cursor.readCount('array length', { minBytesEach: VALUE_MIN_BYTES[type], maxCount: MAX_ARRAY_LENGTH })
  if (type === 'string') return readStrings(cursor, length)
  if (type === 'bool') return Array.from({ length }, () => readBoolean(cursor))
  const bytes = new Uint8Array(length * VALUE_MIN_BYTES[type])
  cursor.readBytes(bytes)
  return numberArray(type, bytes.buffer)
}

function readStrings(cursor: HeaderCursor, length: number): string[] {
  const strings: string[] = []
  for (let i = 0; i < length; i++) strings.push(cursor.readString())
  return strings
}

/** A typed array over the file's bytes; every machine that we run on is little-endian. */
function numberArray(type: Exclude<ValueTypeName, 'array' | 'string' | 'bool'>, buffer: ArrayBuffer): GgufNumberArray {
  switch (type) {
    case 'uint8':
      return new Uint8Array(buffer)
    case 'int8':
      return new Int8Array(buffer)
    case 'uint16':
      return new Uint16Array(buffer)
    case 'int16':
      return new Int16Array(buffer)
    case 'uint32':
      return new Uint32Array(buffer)
    case 'int32':
      return new Int32Array(buffer)
    case 'float32':
      return new Float32Array(buffer)
    case 'float64':
      return new Float64Array(buffer)
    case 'uint64':
      return new BigUint64Array(buffer)
    case 'int64':
      return new BigInt64Array(buffer)
    default:
      return unreachable(type)
  }
}

function readBoolean(cursor: HeaderCursor): boolean {
  const byte = cursor.readUint8()
  if (byte > 1) throw cursor.invalid(`boolean ${byte} is neither 0 nor 1`, cursor.offset - 1)
  return byte === 1
}

function numberIfExact(value: bigint): number | bigint {
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : value
}
