/** Headers of strangers, and by which words each is refused. */
import { expect, test } from 'vitest'
import { craft, refusal, sampleFile, withEntry, withTensors } from '../../../../tests/gguf/crafted-headers.ts'
import { BufferSource } from '../byte-source.ts'
import type { ByteSink } from './byte-sink.ts'
import { parseGgufHeader } from './gguf-header.ts'
import { TENSOR_TYPES, VALUE_TYPES } from './gguf-types.ts'

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
