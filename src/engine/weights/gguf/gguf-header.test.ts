/** Headers that are sound, in all their forms. */
import { expect, test } from 'vitest'
import { craft, SAMPLE_METADATA, SAMPLE_TENSORS, sampleFile, tensor, withTensors } from '../../../../tests/gguf/crafted-headers.ts'
import { BufferSource } from '../byte-source.ts'
import { parseGgufHeader, type GgufHeader } from './gguf-header.ts'
import { VALUE_TYPES } from './gguf-types.ts'
import { encodeGgufHeader, type TypedValue } from './gguf-writer.ts'

test('values of every type and tensors of every rank come back as they were written', () => {
  const header: GgufHeader = parseGgufHeader(new BufferSource('sample.gguf', sampleFile()))
  expect(header.version).toBe(3)
  const written = [...SAMPLE_METADATA].map(([key, { value }]) => [key, value])
  expect([...header.values]).toEqual(written)
  expect(header.valueTypes.get('a.u16')).toBe('uint16')
  expect(header.tensors.map(({ name, dtype, shape }) => ({ name, dtype, shape }))).toEqual(SAMPLE_TENSORS)
  expect(header.tensors.map((one) => one.byteLength)).toEqual([12, 72, 864])
  expect(header.tensors.every((one) => one.byteOffset % 32 === 0)).toBe(true)
})

test('a header that spans many windows is read as one that fits', () => {
  const tokens = Array.from({ length: 60_000 }, (_, i) => `token ${i} ü`)
  const long = 'x'.repeat(700_000)
  const metadata = new Map<string, TypedValue>([
    ['tokens', { type: 'strings', value: tokens }],
    ['long', { type: 'string', value: long }],
    ['floats', { type: 'numbers', value: new Float32Array(200_000).fill(0.25) }],
    ['last', { type: 'uint32', value: 7 }],
  ])
  const { values } = parseGgufHeader(new BufferSource('long.gguf', encodeGgufHeader({ metadata, tensors: [] })))
  expect(values.get('tokens')).toEqual(tokens)
  expect(values.get('long')).toBe(long)
  expect(values.get('floats')).toEqual(new Float32Array(200_000).fill(0.25))
  expect(values.get('last')).toBe(7)
})

test('an alignment of 64 moves the data', () => {
  const source = craft({
    numEntries: 1,
    numTensors: 1,
    body: (sink) => {
      sink.string('general.alignment')
      sink.uint32(VALUE_TYPES.uint32)
      sink.uint32(64)
      tensor(sink, { dimensions: [1] })
      sink.padTo(64)
    },
    numDataBytes: 4,
  })
  const header = parseGgufHeader(source)
  expect(header.tensors[0]!.byteOffset % 64).toBe(0)
})

test('version 2 is read as version 3 is', () => {
  expect(parseGgufHeader(craft({ version: 2 }))).toMatchObject({ version: 2, tensors: [], headerBytes: 24 })
})

test('gaps between tensors and any order of the table are fine', () => {
  const header = parseGgufHeader(
    withTensors([
      { name: 'late', dimensions: [8], offset: 96 },
      { name: 'early', dimensions: [8] },
    ]),
  )
  expect(header.tensors.map((one) => one.name)).toEqual(['late', 'early'])
})
