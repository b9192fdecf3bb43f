import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { SeededRandom } from '#base/random'
import { InferdError } from '#contract/errors'
import { rowBytes, type DType } from '#engine/tensor/dtype'
import { BufferSource, type ByteSource } from '#engine/weights/byte-source'
import { parseGgufHeader } from '#engine/weights/gguf/gguf-header'
import { parseSafetensorsHeader } from '#engine/weights/safetensors/safetensors-header'
import { type Base, ggufBase, mutate, mutateJson, safetensorsBase } from './model-file-mutations.ts'

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

interface Extent {
  readonly name: string
  readonly dtype: DType
  readonly shape: readonly number[]
  readonly byteOffset: number
  readonly byteLength: number
}

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
