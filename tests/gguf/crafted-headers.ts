/** Headers of GGUF files, byte by byte as a test wants them. */
import { InferdError } from '#contract/errors'
import { BufferSource } from '#engine/weights/byte-source'
import { ByteSink } from '#engine/weights/gguf/byte-sink'
import { parseGgufHeader } from '#engine/weights/gguf/gguf-header'
import { GGUF_MAGIC, TENSOR_TYPES } from '#engine/weights/gguf/gguf-types'
import { encodeGgufHeader, tensorByteLength, type TensorToWrite, type TypedValue } from '#engine/weights/gguf/gguf-writer'

interface Crafted {
  readonly magic?: number
  readonly version?: number
  readonly numTensors?: number | bigint
  readonly numEntries?: number | bigint
  readonly body?: (sink: ByteSink) => void
  readonly numDataBytes?: number
}

export function craft({ magic = GGUF_MAGIC, version = 3, numTensors = 0, numEntries = 0, body = () => {}, numDataBytes = 0 }: Crafted): BufferSource {
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

export function tensor(
  sink: ByteSink,
  { name = 't.weight', dimensions = [32], numDimensions = dimensions.length, type = TENSOR_TYPES.f32, offset = 0 }: CraftedTensor,
): void {
  sink.string(name)
  sink.uint32(numDimensions)
  for (const dimension of dimensions) sink.uint64(dimension)
  sink.uint32(type)
  sink.uint64(offset)
}

export function withTensors(tensors: readonly CraftedTensor[], numDataBytes = 128): BufferSource {
  return craft({ numTensors: tensors.length, body: (sink) => tensors.forEach((one) => tensor(sink, one)), numDataBytes })
}

export function withEntry(writeValue: (sink: ByteSink) => void, key = 'some.key'): BufferSource {
  return craft({
    numEntries: 1,
    body: (sink) => {
      sink.string(key)
      writeValue(sink)
    },
  })
}

export function refusal(source: BufferSource): InferdError {
  try {
    parseGgufHeader(source)
  } catch (error) {
    if (error instanceof InferdError) return error
    throw error
  }
  throw new TypeError('the header was accepted')
}

export const SAMPLE_METADATA = new Map<string, TypedValue>([
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

export const SAMPLE_TENSORS: readonly TensorToWrite[] = [
  { name: 'first.weight', dtype: 'f32', shape: [3] },
  { name: 'second.weight', dtype: 'q4_0', shape: [2, 64] },
  { name: 'third.weight', dtype: 'q4_k', shape: [2, 3, 256] },
]

export function sampleFile(): Uint8Array {
  const header = encodeGgufHeader({ metadata: SAMPLE_METADATA, tensors: SAMPLE_TENSORS })
  const data = SAMPLE_TENSORS.reduce((sum, one) => sum + Math.ceil(tensorByteLength(one) / 32) * 32, 0)
  return Uint8Array.from([...header, ...new Uint8Array(data)])
}
