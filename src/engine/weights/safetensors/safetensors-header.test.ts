import { expect, test } from 'vitest'
import { InferdError } from '#contract/errors'
import { BufferSource } from '../byte-source.ts'
import { parseSafetensorsHeader } from './safetensors-header.ts'

function file(json: string, dataBytes: number, lengthField?: bigint): BufferSource {
  const text = new TextEncoder().encode(json)
  const bytes = new Uint8Array(8 + text.length + dataBytes)
  new DataView(bytes.buffer).setBigUint64(0, lengthField ?? BigInt(text.length), true)
  bytes.set(text, 8)
  return new BufferSource('crafted.safetensors', bytes)
}

function table(entries: Record<string, unknown>, dataBytes: number): BufferSource {
  return file(JSON.stringify(entries), dataBytes)
}

function refusal(source: BufferSource): InferdError {
  try {
    parseSafetensorsHeader(source)
  } catch (error) {
    if (error instanceof InferdError) return error
    throw error
  }
  throw new TypeError('the header was accepted')
}

const F32_OF_4 = { dtype: 'F32', shape: [4], data_offsets: [0, 16] }

test('tensors come out in the order of their data, with offsets from the start of the file', () => {
  const source = table(
    {
      __metadata__: { format: 'pt' },
      b: { dtype: 'BF16', shape: [2, 3], data_offsets: [16, 28] },
      a: F32_OF_4,
      'c.scalar': { dtype: 'F16', shape: [], data_offsets: [28, 30] },
    },
    30,
  )
  const header = parseSafetensorsHeader(source)
  expect(header.tensors).toEqual([
    { name: 'a', dtype: 'f32', shape: [4], byteOffset: header.headerBytes, byteLength: 16 },
    { name: 'b', dtype: 'bf16', shape: [2, 3], byteOffset: header.headerBytes + 16, byteLength: 12 },
    { name: 'c.scalar', dtype: 'f16', shape: [1], byteOffset: header.headerBytes + 28, byteLength: 2 },
  ])
  expect(header.metadata).toEqual(new Map([['format', 'pt']]))
})

test('names of Object.prototype are plain names', () => {
  const json = '{"__proto__":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"constructor":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}'
  expect(parseSafetensorsHeader(file(json, 8)).tensors.map((one) => one.name)).toEqual(['__proto__', 'constructor'])
  expect(({} as Record<string, unknown>)['dtype']).toBeUndefined()
})

test('buffers that nothing reads are left out, whatever their type', () => {
  const source = table({ 'model.embeddings.position_ids': { dtype: 'I64', shape: [2], data_offsets: [16, 32] }, a: F32_OF_4 }, 32)
  expect(parseSafetensorsHeader(source).tensors.map((one) => one.name)).toEqual(['a'])
})

test.each([
  ['an empty file', new BufferSource('crafted.safetensors', new Uint8Array(0)), 'header length at byte 0: the file has only 0 bytes'],
  ['a header of length 0', file('{}', 0, 0n), 'header length at byte 0: 0 is not between'],
  ['a header of 2^63 bytes', file('{}', 0, 2n ** 63n), '9223372036854775808 is not between'],
  ['a header longer than the file', file('{}', 0, 3n), '3 is not between 2 and 2 bytes'],
  ['a header above 100 MB', file('{}', 0, 100_000_001n), '100000001 is not between'],
  ['JSON that is not an object', file('[]', 0), 'does not begin with {'],
  ['a number', file('12', 0), 'does not begin with {'],
  ['leading blanks', file(' {}', 0), 'does not begin with {'],
  ['broken JSON', file('{"a":', 0), 'not valid JSON'],
  ['bytes after the JSON', file('{}x', 0), 'not valid JSON'],
  ['nesting 1,000 deep', file(`{"a":${'['.repeat(1000)}`, 0), 'nested deeper than 4'],
  ['one name twice', file(`{"a":${JSON.stringify(F32_OF_4)},"a":${JSON.stringify(F32_OF_4)}}`, 16), 'key "a" appears twice'],
  ['one name twice, once escaped', file(`{"a":${JSON.stringify(F32_OF_4)},"\\u0061" :${JSON.stringify(F32_OF_4)}}`, 16), 'key "a" appears twice'],
  ['one field twice', file('{"a":{"dtype":"F32","shape":[4],"shape":[1],"data_offsets":[0,16]}}', 16), 'key "shape" appears twice'],
  [
    'a gap',
    table({ a: F32_OF_4, b: { ...F32_OF_4, data_offsets: [20, 36] } }, 36),
    'tensor "b" at byte 8: data begins at 20, with a gap after the data that ends at 16',
  ],
  ['a gap at the front', table({ a: { ...F32_OF_4, data_offsets: [4, 20] } }, 20), 'data begins at 4, with a gap'],
  ['an overlap', table({ a: F32_OF_4, b: { ...F32_OF_4, data_offsets: [8, 24] } }, 24), 'data begins at 8, on top of'],
  ['an end before its begin', table({ a: { ...F32_OF_4, data_offsets: [16, 0] } }, 16), 'begin at 16 after their end 0'],
  ['data beyond the file', table({ a: F32_OF_4 }, 12), 'data ends at 16, the file holds 12 bytes'],
  ['trailing bytes', table({ a: F32_OF_4 }, 17), '1 bytes belong to no tensor'],
  ['an unknown type', table({ a: { ...F32_OF_4, dtype: 'F31' } }, 16), 'dtype "F31" is unknown'],
  ['a type that is a number', table({ a: { ...F32_OF_4, dtype: 4 } }, 16), 'dtype is not a string'],
  ['a shape whose product overflows', table({ a: { ...F32_OF_4, shape: [2 ** 30, 2 ** 30] } }, 16), 'overflows'],
  ['a shape that is not its span', table({ a: { ...F32_OF_4, shape: [5] } }, 16), 'is 20 bytes, data_offsets span 16'],
  ['a dimension of 0', table({ a: { ...F32_OF_4, shape: [0], data_offsets: [0, 0] } }, 0), 'a dimension is 0'],
  ['a negative dimension', table({ a: { ...F32_OF_4, shape: [-4] } }, 16), 'shape is not a list'],
  ['a fractional offset', table({ a: { ...F32_OF_4, data_offsets: [0, 16.5] } }, 16), 'not two natural numbers'],
  ['three offsets', table({ a: { ...F32_OF_4, data_offsets: [0, 8, 16] } }, 16), 'not two natural numbers'],
  ['an entry that is a list', table({ a: [] }, 0), 'the entry is not an object'],
  ['metadata that is not text', table({ __metadata__: { a: 1 } }, 0), 'not an object of strings'],
  ['a name with a control character', table({ 'a\u0000b': F32_OF_4 }, 16), 'not plain text'],
] as const)('%s is refused by name (71)', (_, source, words) => {
  const error = refusal(source)
  expect(error.code).toBe('invalid_model_file')
  expect(error.message).toContain(words)
})

test('a known type that we do not run is called unsupported, not damaged (71)', () => {
  const error = refusal(table({ a: { dtype: 'F8_E4M3', shape: [16], data_offsets: [0, 16] } }, 16))
  expect(error.code).toBe('unsupported_model')
  expect(error.message).toContain('element type F8_E4M3 is not supported')
})
