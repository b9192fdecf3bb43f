/** Small model files of both kinds, and what becomes of their headers when somebody spoils them. */
import type { SeededRandom } from '#base/random'
import { type DType, rowBytes } from '#engine/tensor/dtype'
import { ByteSink } from '#engine/weights/gguf/byte-sink'
import { GGUF_MAGIC, TENSOR_TYPES, VALUE_TYPES } from '#engine/weights/gguf/gguf-types'

interface Field {
  readonly at: number
  readonly width: 4 | 8
}

export interface Base {
  readonly bytes: Uint8Array
  /** Counts, lengths, types, dimensions and offsets. */
  readonly fields: readonly Field[]
}

const EXTREMES = [
  0n,
  1n,
  2n,
  3n,
  5n,
  7n,
  8n,
  9n,
  16n,
  31n,
  32n,
  33n,
  64n,
  255n,
  256n,
  1000n,
  65_535n,
  65_536n,
  2n ** 20n,
  2n ** 31n - 1n,
  2n ** 31n,
  2n ** 32n - 1n,
  2n ** 32n,
  2n ** 40n,
  2n ** 53n - 1n,
  2n ** 53n,
  2n ** 61n,
  2n ** 62n,
  2n ** 63n - 1n,
  2n ** 63n,
  2n ** 64n - 32n,
  2n ** 64n - 1n,
]

/** A sink that remembers where the numbers stand that a reader must not believe. */
class RecordingSink extends ByteSink {
  readonly fields: Field[] = []

  override uint32(value: number): void {
    this.fields.push({ at: this.byteLength, width: 4 })
    super.uint32(value)
  }

  override uint64(value: number | bigint): void {
    this.fields.push({ at: this.byteLength, width: 8 })
    super.uint64(value)
  }
}

export function ggufBase(random: SeededRandom): Base {
  const sink = new RecordingSink()
  const numEntries = 2 + random.nextInt(6)
  const numTensors = 1 + random.nextInt(5)
  sink.uint32(GGUF_MAGIC)
  sink.uint32(2 + random.nextInt(2))
  sink.uint64(numTensors)
  sink.uint64(numEntries)
  for (let entry = 0; entry < numEntries; entry++) writeRandomEntry(sink, entry, random)
  const dtypes = Object.keys(TENSOR_TYPES) as DType[]
  let offset = 0
  for (let index = 0; index < numTensors; index++) {
    const dtype = dtypes[random.nextInt(dtypes.length)]!
    const shape = [1 + random.nextInt(3), 256]
    sink.string(`blk.${index}.weight`)
    sink.uint32(shape.length)
    for (const dimension of shape.toReversed()) sink.uint64(dimension)
    sink.uint32(TENSOR_TYPES[dtype])
    sink.uint64(offset)
    offset = Math.ceil((offset + rowBytes(dtype, shape[0]! * 256)) / 32) * 32
  }
  sink.padTo(32)
  sink.raw(new Uint8Array(offset))
  return { bytes: sink.bytes(), fields: sink.fields }
}

function writeRandomEntry(sink: RecordingSink, entry: number, random: SeededRandom): void {
  const kind = entry === 0 ? 0 : random.nextInt(5)
  sink.string(kind === 0 && entry === 0 ? 'general.alignment' : `key.${entry}`)
  if (kind === 0) {
    sink.uint32(VALUE_TYPES.uint32)
    sink.uint32(32)
  } else if (kind === 1) {
    sink.uint32(VALUE_TYPES.string)
    sink.string('value ü')
  } else if (kind === 2) {
    sink.arrayHead(VALUE_TYPES.string, 3)
    for (const token of ['<s>', '▁the', '']) sink.string(token)
  } else if (kind === 3) {
    sink.arrayHead(VALUE_TYPES.float32, 4)
    sink.raw(new Uint8Array(16))
  } else {
    sink.uint32(VALUE_TYPES.bool)
    sink.uint8(1)
  }
}

export function safetensorsBase(random: SeededRandom): Base {
  const table: Record<string, unknown> = { __metadata__: { format: 'pt' } }
  const elementBytes = { F32: 4, F16: 2, BF16: 2, I64: 8 }
  let end = 0
  for (let index = 0; index < 1 + random.nextInt(5); index++) {
    const dtype = (['F32', 'F16', 'BF16', 'F16'] as const)[random.nextInt(4)]!
    const shape = Array.from({ length: random.nextInt(4) }, () => 1 + random.nextInt(5))
    const begin = end
    end += shape.reduce((product, one) => product * one, elementBytes[dtype])
    table[`model.layers.${index}.weight`] = { dtype, shape, data_offsets: [begin, end] }
  }
  return { bytes: encodeSafetensors(JSON.stringify(table), end), fields: [{ at: 0, width: 8 }] }
}

function encodeSafetensors(json: string, dataBytes: number): Uint8Array {
  const text = new TextEncoder().encode(json)
  const bytes = new Uint8Array(8 + text.length + dataBytes)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true)
  bytes.set(text, 8)
  return bytes
}

export function mutate(base: Base, other: Base, random: SeededRandom): Uint8Array {
  let bytes: Uint8Array = base.bytes.slice()
  for (let round = Math.max(1, random.nextInt(5) - 1); round > 0; round--) {
    switch (random.nextInt(8)) {
      case 0:
        bytes = bytes.slice(0, random.nextInt(bytes.length + 1))
        break
      case 1:
        flipBits(bytes, random)
        break
      case 2:
      case 3:
      case 4:
        overwrite(bytes, base.fields[random.nextInt(base.fields.length)]!, random)
        break
      case 5:
        bytes = splice(bytes, other.bytes, random)
        break
      case 6:
        overwrite(bytes, { at: random.nextInt(bytes.length + 1), width: random.nextInt(2) === 0 ? 4 : 8 }, random)
        break
      default:
        bytes = duplicateRange(bytes, random)
    }
  }
  return bytes
}

function flipBits(bytes: Uint8Array, random: SeededRandom): void {
  for (let i = 0; i < 1 + random.nextInt(8) && bytes.length > 0; i++) bytes[random.nextInt(bytes.length)]! ^= 1 << random.nextInt(8)
}

function overwrite(bytes: Uint8Array, { at, width }: Field, random: SeededRandom): void {
  if (at + width > bytes.length) return
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  const value = random.nextInt(4) === 0 ? BigInt(random.nextInt(64)) : EXTREMES[random.nextInt(EXTREMES.length)]!
  if (width === 4) view.setUint32(at, Number(value & 0xffffffffn), true)
  else view.setBigUint64(at, value, true)
}

function splice(bytes: Uint8Array, donor: Uint8Array, random: SeededRandom): Uint8Array {
  const start = random.nextInt(donor.length)
  const head = bytes.subarray(0, random.nextInt(bytes.length + 1))
  const graft = donor.subarray(start, start + random.nextInt(200))
  return joined(head, graft, bytes.subarray(random.nextInt(bytes.length + 1)))
}

function duplicateRange(bytes: Uint8Array, random: SeededRandom): Uint8Array {
  const start = random.nextInt(bytes.length + 1)
  const end = Math.min(bytes.length, start + random.nextInt(64))
  return joined(bytes.subarray(0, end), bytes.subarray(start))
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

const JSON_NUMBERS = [
  '0',
  '-1',
  '1e400',
  '-0',
  '1.5',
  '9007199254740993',
  '18446744073709551615',
  '1e308',
  '4294967296',
  '2',
  '8',
  'null',
  '[]',
  '"4"',
  'true',
]
const JSON_PIECES = [
  '[[[[[[[[',
  '{"a":',
  '"__proto__":{"x":1},',
  '"constructor":',
  '\u0000',
  '"\\ud800"',
  '\\',
  '"',
  '}',
  ']',
  ',',
  ':',
  '"F64"',
  '"F32"',
  'I64',
  '  ',
  '"dtype":"F32",',
  '🙂',
  '\ufeff',
]

/** Mutates the JSON as text and keeps the length field true, so that the damage reaches the table's own checks. */
export function mutateJson(base: Base, random: SeededRandom): Uint8Array {
  const length = Number(new DataView(base.bytes.buffer, base.bytes.byteOffset).getBigUint64(0, true))
  let json = new TextDecoder().decode(base.bytes.subarray(8, 8 + length))
  for (let round = 1 + random.nextInt(3); round > 0; round--) {
    const numbers = [...json.matchAll(/\d+/g)]
    const number = numbers[random.nextInt(Math.max(1, numbers.length))]
    const at = random.nextInt(json.length + 1)
    const kind = random.nextInt(4)
    if (kind < 2 && number !== undefined) {
      const replacement = JSON_NUMBERS[random.nextInt(JSON_NUMBERS.length)]!
      json = json.slice(0, number.index) + replacement + json.slice(number.index + number[0].length)
    }
    if (kind === 2) json = json.slice(0, at) + JSON_PIECES[random.nextInt(JSON_PIECES.length)]! + json.slice(at)
    if (kind === 3) json = json.slice(0, at) + json.slice(Math.min(json.length, at + random.nextInt(20)))
  }
  return encodeSafetensors(json, base.bytes.length - 8 - length)
}
