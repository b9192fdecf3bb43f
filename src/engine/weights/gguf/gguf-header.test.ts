import { expect, test } from 'vitest'
import { InferdError } from '#contract/errors'
import { BufferSource } from '../byte-source.ts'
import { ByteSink } from './byte-sink.ts'
import { parseGgufHeader, type GgufHeader } from './gguf-header.ts'
import { GGUF_MAGIC, TENSOR_TYPES, VALUE_TYPES } from './gguf-types.ts'
import { encodeGgufHeader, tensorByteLength, type TensorToWrite, type TypedValue } from './gguf-writer.ts'

interface Crafted {
  readonly magic?: number
  readonly version?: number
  readonly numTensors?: number | bigint
  readonly numEntries?: number | bigint
  readonly body?: (sink: ByteSink) => void
  readonly numDataBytes?: number
}

function craft({ magic = GGUF_MAGIC, version = 3, numTensors = 0, numEntries = 0, body = () => {}, numDataBytes = 0 }: Crafted): BufferSource {
  const sink = new ByteSink()
  sink.uint32(magic)
  sink.uint32(version)
  sink.uint64(numTensors)
  sink.uint64(numEntries)
  body(sink)
  sink.padTo(32)
  sink.raw(new Uint8Array(numDataBytes))
  return new BufferSource('crafted.gguf', sink.bytes())
}

interface CraftedTensor {
  readonly name?: string
  readonly dimensions?: readonly (number | bigint)[]
  readonly numDimensions?: number
  readonly type?: number
  readonly offset?: number | bigint
}

function tensor(
  sink: ByteSink,
  { name = 't.weight', dimensions = [32], numDimensions = dimensions.length, type = TENSOR_TYPES.f32, offset = 0 }: CraftedTensor,
): void {
  sink.string(name)
  sink.uint32(numDimensions)
  for (const dimension of dimensions) sink.uint64(dimension)
  sink.uint32(type)
  sink.uint64(offset)
}

function withTensors(tensors: readonly CraftedTensor[], numDataBytes = 128): BufferSource {
  return craft({ numTensors: tensors.length, body: (sink) => tensors.forEach((one) => tensor(sink, one)), numDataBytes })
}

function withEntry(writeValue: (sink: ByteSink) => void, key = 'some.key'): BufferSource {
  return craft({
    numEntries: 1,
    body: (sink) => {
      sink.string(key)
      writeValue(sink)
    },
  })
}

function refusal(source: BufferSource): InferdError {
  try {
    parseGgufHeader(source)
  } catch (error) {
    if (error instanceof InferdError) return error
    throw error
  }
  throw new TypeError('the header was accepted')
}

const SAMPLE_METADATA = new Map<string, TypedValue>([
  ['general.architecture', { type: 'string', value: 'llama' }],
  ['a.u8', { type: 'uint8', value: 255 }],
  ['a.i8', { type: 'int8', value: -128 }],
  ['a.u16', { type: 'uint16', value: 65535 }],
  ['a.i16', { type: 'int16', value: -32768 }],
  ['a.u32', { type: 'uint32', value: 4294967295 }],
  ['a.i32', { type: 'int32', value: -2147483648 }],
  ['a.f32', { type: 'float32', value: 0.5 }],
  ['a.f64', { type: 'float64', value: 0.1 }],
  ['a.u64', { type: 'uint64', value: 2 ** 53 - 1 }],
  ['a.u64.large', { type: 'uint64', value: 2n ** 64n - 1n }],
  ['a.i64', { type: 'int64', value: -5 }],
  ['a.bool', { type: 'bool', value: true }],
  ['a.texts', { type: 'strings', value: ['', 'ü', '▁the', '🙂'] }],
  ['a.flags', { type: 'bools', value: [true, false] }],
  ['a.floats', { type: 'numbers', value: Float32Array.of(1.5, -2) }],
  ['a.longs', { type: 'numbers', value: BigUint64Array.of(2n ** 63n) }],
])

const SAMPLE_TENSORS: readonly TensorToWrite[] = [
  { name: 'first.weight', dtype: 'f32', shape: [3] },
  { name: 'second.weight', dtype: 'q4_0', shape: [2, 64] },
  { name: 'third.weight', dtype: 'q4_k', shape: [2, 3, 256] },
]

function sampleFile(): Uint8Array {
  const header = encodeGgufHeader({ metadata: SAMPLE_METADATA, tensors: SAMPLE_TENSORS })
  const data = SAMPLE_TENSORS.reduce((sum, one) => sum + Math.ceil(tensorByteLength(one) / 32) * 32, 0)
  return Uint8Array.from([...header, ...new Uint8Array(data)])
}

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

test('a file cut at any byte is refused (66)', () => {
  const bytes = sampleFile()
  // Behind the last tensor only padding follows: cutting there loses nothing.
  const lastDataByte = parseGgufHeader(new BufferSource('sample.gguf', bytes)).tensors.reduce(
    (end, one) => Math.max(end, one.byteOffset + one.byteLength),
    0,
  )
  for (let length = 0; length < lastDataByte; length++) {
    expect(refusal(new BufferSource('cut.gguf', bytes.subarray(0, length))).code).toBe('invalid_model_file')
  }
})

test.each([
  ['wrong magic', { magic: 0x46554748 }, 'invalid_model_file', 'magic at byte 0'],
  ['version 0', { version: 0 }, 'invalid_model_file', 'version at byte 4'],
  ['version 1', { version: 1 }, 'unsupported_model', 'version 1'],
  ['version 4', { version: 4 }, 'invalid_model_file', 'version 4'],
  ['version 2^31', { version: 2 ** 31 }, 'unsupported_model', 'big-endian'],
  ['big-endian', { version: 0x03000000 }, 'unsupported_model', 'big-endian'],
] as const)('%s is refused by name (66)', (_, crafted, code, words) => {
  const error = refusal(craft(crafted))
  expect(error.code).toBe(code)
  expect(error.message).toContain(words)
})

test.each([
  ['2^63 metadata entries', craft({ numEntries: 2n ** 63n }), 'metadata count at byte 16: metadata count 9223372036854775808 is absurd'],
  ['2^63 tensors', craft({ numTensors: 2n ** 63n }), 'tensor count 9223372036854775808 is absurd'],
  ['more entries than bytes', craft({ numEntries: 60_000 }), 'metadata count 60000 does not fit'],
  ['more tensors than bytes', craft({ numTensors: 900_000 }), 'tensor count 900000 does not fit'],
  [
    'a key of 2^62 bytes',
    craft({ numEntries: 1, body: (sink) => sink.raw(new Uint8Array([0, 0, 0, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0])) }),
    'metadata key 0 at byte 24: string length 4611686018427387904',
  ],
  ['an empty key', withEntry((sink) => sink.uint32(0), ''), 'metadata key 0 at byte 24'],
  ['an unknown value type', withEntry((sink) => sink.uint32(13)), 'metadata "some.key" at byte 40: value type 13 is unknown'],
  [
    'a string longer than the file',
    withEntry((sink) => {
      sink.uint32(VALUE_TYPES.string)
      sink.uint64(5000)
    }),
    'string length 5000 does not fit',
  ],
  [
    'an array longer than the file',
    withEntry((sink) => {
      sink.arrayHead(VALUE_TYPES.float64, 5000)
    }),
    'array length 5000 does not fit',
  ],
  [
    'an array of arrays',
    withEntry((sink) => {
      for (let i = 0; i < 1000; i++) sink.arrayHead(VALUE_TYPES.array, 1)
    }),
    'arrays of arrays are not allowed',
  ],
  [
    'a boolean of 2',
    withEntry((sink) => {
      sink.uint32(VALUE_TYPES.bool)
      sink.uint8(2)
    }),
    'boolean 2',
  ],
] as const)('%s is refused with field and byte (67)', (_, source, words) => {
  const error = refusal(source)
  expect(error.code).toBe('invalid_model_file')
  expect(error.message).toContain(words)
})

test('an array of 2^61 elements is refused by its length (67)', () => {
  const source = withEntry((sink) => {
    sink.uint32(VALUE_TYPES.array)
    sink.uint32(VALUE_TYPES.uint16)
    sink.uint64(2n ** 61n)
  })
  expect(refusal(source).message).toContain('array length 2305843009213693952 is absurd')
})

test('one key twice is refused (67)', () => {
  const entry = (sink: ByteSink): void => {
    sink.string('twice')
    sink.uint32(VALUE_TYPES.uint8)
    sink.uint8(1)
  }
  const source = craft({
    numEntries: 2,
    body: (sink) => {
      entry(sink)
      entry(sink)
    },
  })
  expect(refusal(source).message).toContain('metadata "twice" at byte 42: the key appears twice')
})

test.each([
  ['dimensions that overflow', [{ dimensions: [2n ** 40n, 2n ** 40n] }], 'overflow'],
  ['a product that wraps to a small number', [{ dimensions: [2n ** 32n, 2n ** 32n + 1n] }], 'overflow'],
  ['a dimension above 2^53', [{ dimensions: [2n ** 60n] }], 'dimension 0 1152921504606846976 is absurd'],
  ['dimension 0', [{ dimensions: [32, 0] }], 'dimension 1 is 0'],
  ['no dimensions', [{ dimensions: [] }], '0 dimensions'],
  ['5 dimensions', [{ dimensions: [1, 1, 1, 1, 1] }], '5 dimensions'],
  ['2^32-1 dimensions', [{ numDimensions: 2 ** 32 - 1 }], '4294967295 dimensions'],
  ['data beyond the end', [{ dimensions: [64] }], 'end beyond the file'],
  ['an offset beyond the end', [{ offset: 2n ** 50n }], 'end beyond the file'],
  ['an offset above 2^53', [{ offset: 2n ** 63n }], 'offset 9223372036854775808 is absurd'],
  ['an offset off the alignment', [{ dimensions: [8], offset: 16 }], 'offset 16 is not a multiple of the alignment 32'],
  ['overlapping tensors', [{ name: 'a' }, { name: 'b', offset: 64, dimensions: [16] }], 'tensor "b" at byte'],
  [
    'one name twice',
    [
      { name: 'a', dimensions: [8] },
      { name: 'a', dimensions: [8], offset: 32 },
    ],
    'the name appears twice',
  ],
  ['a name with a control character', [{ name: 'a\u0007b' }], 'not plain text'],
] as const)('%s in the tensor table is refused (68)', (_, tensors, words) => {
  const error = refusal(withTensors(tensors))
  expect(error.code).toBe('invalid_model_file')
  expect(error.message).toContain(words)
  expect(error.message).toMatch(/crafted\.gguf: .* at byte \d+: /)
})

test.each([0, 3, 4, 48, 2 ** 31])('alignment %i is refused (68)', (alignment) => {
  const source = withEntry((sink) => {
    sink.uint32(VALUE_TYPES.uint32)
    sink.uint32(alignment)
  }, 'general.alignment')
  expect(refusal(source).message).toContain(`alignment ${alignment} is not a power of two`)
})

test('an alignment of another type is refused (69)', () => {
  const source = withEntry((sink) => {
    sink.uint32(VALUE_TYPES.string)
    sink.string('32')
  }, 'general.alignment')
  expect(refusal(source).message).toContain('alignment 32 is not a power of two')
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

test.each([
  ['an unknown element type', { type: 99 }, 'invalid_model_file', 'element type 99 is unknown'],
  ['a removed element type', { type: 4 }, 'invalid_model_file', 'element type 4 is unknown'],
  ['a known type that we do not run', { type: 17 }, 'unsupported_model', 'element type IQ2_XS is not supported'],
  [
    'a row that is not whole blocks',
    { type: TENSOR_TYPES.q4_0, dimensions: [48] },
    'invalid_model_file',
    'a row of 48 elements is not whole q4_0 blocks of 32',
  ],
  ['a row that is not whole super-blocks', { type: TENSOR_TYPES.q4_k, dimensions: [128, 2] }, 'invalid_model_file', 'not whole q4_k blocks of 256'],
] as const)('%s is refused (69)', (_, crafted, code, words) => {
  const error = refusal(withTensors([crafted]))
  expect(error.code).toBe(code)
  expect(error.message).toContain(words)
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
