/**
 * Writes a GGUF v3 file front to back: header and tensor table first, for which all shapes must be known, then each
 * tensor's bytes as a callback produces them, so that files larger than memory can be made. It appears under its name only when
 * it is complete.
 */
import { open, rename, rm, type FileHandle } from 'node:fs/promises'
import { assert } from '#base/assert'
import { DTYPES, rowBytes, type DType } from '#engine/tensor/dtype'
import type { GgufNumberArray } from '#engine/models/architecture'
import { ByteSink, type NumberType } from './byte-sink.ts'
import { DEFAULT_ALIGNMENT, GGUF_MAGIC, TENSOR_TYPES, VALUE_TYPES } from './gguf-types.ts'

/** A value with the type that the file shall give it: readers of other projects are strict about integer widths. */
export type TypedValue =
  | { readonly type: NumberType; readonly value: number | bigint }
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'numbers'; readonly value: GgufNumberArray }
  | { readonly type: 'strings'; readonly value: readonly string[] }
  | { readonly type: 'bools'; readonly value: readonly boolean[] }

export interface TensorToWrite {
  readonly name: string
  readonly dtype: DType
  /** Outermost first. */
  readonly shape: readonly number[]
}

interface GgufToWrite<T extends TensorToWrite> {
  /** In file order; `general.alignment` is not to be among them. */
  readonly metadata: ReadonlyMap<string, TypedValue>
  readonly tensors: readonly T[]
  /** Passes the tensor's bytes to `write`, in order and in pieces of any size; all of them, no more. */
  readonly writeData: (tensor: T, write: (bytes: Uint8Array) => Promise<void>) => Promise<void>
}

const VERSION = 3

/** Creates or replaces `path`. Asserts that shapes fill whole blocks and that writeData keeps its promise. */
export async function writeGguf<T extends TensorToWrite>(path: string, contents: GgufToWrite<T>): Promise<void> {
  const partialPath = `${path}.partial`
  const handle = await open(partialPath, 'w')
  try {
    await writeContents(handle, contents)
    await handle.close()
    await rename(partialPath, path)
  } catch (error) {
    await handle.close()
    await rm(partialPath, { force: true })
    throw error
  }
}

export function tensorByteLength({ name, dtype, shape }: TensorToWrite): number {
  assert(shape.length >= 1 && shape.at(-1)! % DTYPES[dtype].blockSize === 0, `tensor ${name}: rows are not whole ${dtype} blocks`)
  return rowBytes(
    dtype,
    shape.reduce((product, dimension) => product * dimension, 1),
  )
}

/** Everything before the tensor data, padding included. */
export function encodeGgufHeader({ metadata, tensors }: Pick<GgufToWrite<TensorToWrite>, 'metadata' | 'tensors'>): Uint8Array {
  const sink = new ByteSink()
  sink.uint32(GGUF_MAGIC)
  sink.uint32(VERSION)
  sink.uint64(tensors.length)
  sink.uint64(metadata.size)
  for (const [key, value] of metadata) {
    sink.string(key)
    writeValue(sink, value)
  }
  let relativeOffset = 0
  for (const tensor of tensors) {
    sink.string(tensor.name)
    sink.uint32(tensor.shape.length)
    for (const dimension of tensor.shape.toReversed()) sink.uint64(dimension)
    sink.uint32(TENSOR_TYPES[tensor.dtype])
    sink.uint64(relativeOffset)
    relativeOffset = alignUp(relativeOffset + tensorByteLength(tensor))
  }
  sink.padTo(DEFAULT_ALIGNMENT)
  return sink.bytes()
}

async function writeContents<T extends TensorToWrite>(handle: FileHandle, { metadata, tensors, writeData }: GgufToWrite<T>): Promise<void> {
  const write = async (bytes: Uint8Array): Promise<void> => {
    let done = 0
    while (done < bytes.length) done += (await handle.write(bytes, done, Math.min(bytes.length - done, 2 ** 30))).bytesWritten
  }
  await write(encodeGgufHeader({ metadata, tensors }))
  for (const tensor of tensors) {
    const byteLength = tensorByteLength(tensor)
    let written = 0
    await writeData(tensor, async (bytes) => {
      written += bytes.length
      assert(written <= byteLength, `tensor ${tensor.name}: more than its ${byteLength} bytes`)
      await write(bytes)
    })
    assert(written === byteLength, `tensor ${tensor.name}: ${written} of ${byteLength} bytes`)
    await write(new Uint8Array(alignUp(byteLength) - byteLength))
  }
}

function alignUp(value: number): number {
  return Math.ceil(value / DEFAULT_ALIGNMENT) * DEFAULT_ALIGNMENT
}

function writeValue(sink: ByteSink, typed: TypedValue): void {
  switch (typed.type) {
    case 'bool':
      sink.uint32(VALUE_TYPES.bool)
      return sink.uint8(typed.value ? 1 : 0)
    case 'string':
      sink.uint32(VALUE_TYPES.string)
      return sink.string(typed.value)
    case 'strings':
      sink.arrayHead(VALUE_TYPES.string, typed.value.length)
      for (const text of typed.value) sink.string(text)
      return
    case 'bools':
      sink.arrayHead(VALUE_TYPES.bool, typed.value.length)
      for (const one of typed.value) sink.uint8(one ? 1 : 0)
      return
    case 'numbers':
      sink.arrayHead(VALUE_TYPES[elementType(typed.value)], typed.value.length)
      return sink.raw(new Uint8Array(typed.value.buffer, typed.value.byteOffset, typed.value.byteLength))
    default:
      sink.uint32(VALUE_TYPES[typed.type])
      return sink.number(typed.type, typed.value)
  }
}

/** The file type of a typed array's elements. */
export function elementType(values: GgufNumberArray): NumberType {
  if (values instanceof Uint8Array) return 'uint8'
  if (values instanceof Int8Array) return 'int8'
  if (values instanceof Uint16Array) return 'uint16'
  if (values instanceof Int16Array) return 'int16'
  if (values instanceof Uint32Array) return 'uint32'
  if (values instanceof Int32Array) return 'int32'
  if (values instanceof Float32Array) return 'float32'
  if (values instanceof Float64Array) return 'float64'
  return values instanceof BigUint64Array ? 'uint64' : 'int64'
}
