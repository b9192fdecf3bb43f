/** A TensorFile whose bytes are in memory. */
import { assert } from '#base/assert'
import { rowBytes, type DType } from '#engine/tensor/dtype'
import type { TensorFile, TensorInfo } from '#engine/weights/tensor-file'

export class MemoryTensorFile implements TensorFile {
  readonly format = 'gguf'
  readonly paths = ['memory']
  readonly tensors = new Map<string, TensorInfo>()
  private readonly bytes = new Map<string, Uint8Array>()

  /** shape: [rows, columns] or [length]. */
  add(name: string, dtype: DType, shape: readonly number[], bytes: Uint8Array): void {
    const byteLength = (shape.length === 1 ? 1 : shape[0]!) * rowBytes(dtype, shape.at(-1)!)
    assert(bytes.byteLength === byteLength, `tensor ${name}: ${bytes.byteLength} bytes, ${byteLength} expected`)
    this.tensors.set(name, { name, dtype, shape, fileIndex: 0, byteOffset: 0, byteLength })
    this.bytes.set(name, bytes)
  }

  readTensor(info: TensorInfo, range = { byteStart: 0, byteLength: info.byteLength }): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = this.bytes.get(info.name)
    assert(bytes !== undefined, `no tensor ${info.name}`)
    return Promise.resolve(bytes.slice(range.byteStart, range.byteStart + range.byteLength))
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}
