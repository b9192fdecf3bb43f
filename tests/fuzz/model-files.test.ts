import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { SeededRandom } from '#base/random'
import { InferdError } from '#contract/errors'
import { rowBytes, type DType } from '#engine/tensor/dtype'
import { BufferSource, type ByteSource } from '#engine/weights/byte-source'
import { ByteSink } from '#engine/weights/gguf/byte-sink'
import { parseGgufHeader } from '#engine/weights/gguf/gguf-header'
import { GGUF_MAGIC, TENSOR_TYPES, VALUE_TYPES } from '#engine/weights/gguf/gguf-types'
import { parseSafetensorsHeader } from '#engine/weights/safetensors/safetensors-header'

/**
 * Mutated model headers, a quarter of a million a run: whatever the bytes, a parser accepts them with every tensor inside the file, or
 * refuses them with an InferdError, and asks for no more memory than a constant times the input. A failure prints its seed and input.
 */
const SEED = 20261122
const NUM_GGUF = 150_000
const NUM_SAFETENSORS = 100_000

/** Bytes that a parse may ask for: its window, then a small multiple of the input. */
const ALLOCATION_FLOOR = 4096
const ALLOCATION_FACTOR = 4

interface Field {
  readonly at: number
  readonly width: 4 | 8
}

interface Base {
  readonly bytes: Uint8Array
  /** Counts, lengths, types, dimensions and offsets. */
  readonly fields: readonly Field[]
}

interface Extent {
  readonly name: string
  readonly dtype: DType
  readonly shape: readonly number[]
  readonly byteOffset: number
  readonly byteLength: number
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

let requestedBytes = 0

/** Counts what the parsers ask of the two constructors through which they get memory. */
function countingConstructor<T extends object>(constructor: T): T {
  return new Proxy(constructor, {
    construct(target, args: unknown[], newTarget) {
      if (typeof args[0] === 'number') requestedBytes += args[0]
      return Reflect.construct(target as never, args, newTarget as never) as object
    },
  })
}

beforeAll(() => {
  vi.stubGlobal('ArrayBuffer', countingConstructor(ArrayBuffer))
  vi.stubGlobal('Uint8Array', countingConstructor(Uint8Array))
})

afterAll(() => {
  vi.unstubAllGlobals()
})

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

function ggufBase(random: SeededRandom): Base {
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

function safetensorsBase(random: SeededRandom): Base {
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

function mutate(base: Base, other: Base, random: SeededRandom): Uint8Array {
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
function mutateJson(base: Base, random: SeededRandom): Uint8Array {
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

type Parse = (source: ByteSource) => { readonly tensors: readonly Extent[] }

/** True when the input was accepted. */
function runOne(parse: Parse, bytes: Uint8Array, label: string): boolean {
  requestedBytes = 0
  let tensors: readonly Extent[] | null = null
  try {
    tensors = parse(new BufferSource('fuzz', bytes)).tensors
  } catch (error) {
    if (!(error instanceof InferdError)) throw new TypeError(`${label}: ${String(error)} on ${base64(bytes)}`, { cause: error })
  }
  if (requestedBytes > ALLOCATION_FLOOR + ALLOCATION_FACTOR * bytes.length) {
    throw new RangeError(`${label}: ${requestedBytes} bytes requested for ${bytes.length} bytes of input ${base64(bytes)}`)
  }
  if (tensors !== null && !tensorsAreSound(tensors, bytes.length)) throw new RangeError(`${label}: unsound tensors from ${base64(bytes)}`)
  return tensors !== null
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64')
}

function tensorsAreSound(tensors: readonly Extent[], fileBytes: number): boolean {
  let previousEnd = 0
  for (const { dtype, shape, byteOffset, byteLength } of tensors.toSorted((a, b) => a.byteOffset - b.byteOffset)) {
    const expected = rowBytes(
      dtype,
      shape.reduce((product, one) => product * one, 1),
    )
    if (expected !== byteLength || byteLength <= 0 || byteOffset < previousEnd || byteOffset + byteLength > fileBytes) return false
    previousEnd = byteOffset + byteLength
  }
  return true
}

test('bases are accepted, and their truncations at every byte are answered', () => {
  const random = new SeededRandom(SEED)
  for (let round = 0; round < 8; round++) {
    const gguf = ggufBase(random)
    const safetensors = safetensorsBase(random)
    expect(runOne(parseGgufHeader, gguf.bytes, 'base')).toBe(true)
    expect(runOne(parseSafetensorsHeader, safetensors.bytes, 'base')).toBe(true)
    for (let length = 0; length < Math.min(1200, gguf.bytes.length); length++) {
      runOne(parseGgufHeader, gguf.bytes.subarray(0, length), `gguf cut at ${length}`)
    }
    for (let length = 0; length < safetensors.bytes.length; length++) {
      runOne(parseSafetensorsHeader, safetensors.bytes.subarray(0, length), `safetensors cut at ${length}`)
    }
  }
})

test(`${NUM_GGUF} mutated GGUF headers are accepted soundly or refused by name, within their own memory`, () => {
  let numAccepted = 0
  let bases: [Base, Base] | null = null
  for (let index = 0; index < NUM_GGUF; index++) {
    const random = new SeededRandom(SEED + index)
    if (bases === null || index % 50 === 0) bases = [ggufBase(random), ggufBase(random)]
    if (runOne(parseGgufHeader, mutate(bases[0], bases[1], random), `gguf ${index}`)) numAccepted++
  }
  // Both ways must be walked: mutations that all fail early would prove nothing.
  expect(numAccepted).toBeGreaterThan(NUM_GGUF / 100)
  expect(numAccepted).toBeLessThan(NUM_GGUF / 2)
})

test(`${NUM_SAFETENSORS} mutated safetensors headers are accepted soundly or refused by name, within their own memory`, () => {
  let numAccepted = 0
  let bases: [Base, Base] | null = null
  for (let index = 0; index < NUM_SAFETENSORS; index++) {
    const random = new SeededRandom(SEED + index)
    if (bases === null || index % 50 === 0) bases = [safetensorsBase(random), safetensorsBase(random)]
    const bytes = index % 2 === 0 ? mutate(bases[0], bases[1], random) : mutateJson(bases[0], random)
    if (runOne(parseSafetensorsHeader, bytes, `safetensors ${index}`)) numAccepted++
  }
  expect(numAccepted).toBeGreaterThan(NUM_SAFETENSORS / 200)
  expect(numAccepted).toBeLessThan(NUM_SAFETENSORS / 2)
})
