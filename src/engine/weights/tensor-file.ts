/**
 * What every weight reader (GGUF, safetensors) gives to the engine: named tensors whose shape, type and extent
 * have been checked against the file, readable one at a time. Nothing is mapped: a file that shrinks under us is a
 * read error with a name, not a SIGBUS.
 */
import type { DType } from '#engine/tensor/dtype'

export interface TensorInfo {
  readonly name: string
  readonly dtype: DType
  /** Outermost first: [rows, columns] or [length]; the last dimension is contiguous. */
  readonly shape: readonly number[]
  /** Index into `TensorFile.paths`. */
  readonly fileIndex: number
  readonly byteOffset: number
  readonly byteLength: number
}

export interface TensorRange {
  readonly byteStart: number
  readonly byteLength: number
}

export interface TensorFile {
  readonly format: 'gguf' | 'safetensors'
  readonly paths: readonly string[]
  readonly tensors: ReadonlyMap<string, TensorInfo>
  /**
   * Reads bytes [byteStart, byteStart + byteLength) of a tensor, by default all. The result is a buffer of its own, or the head of
   * `scratch` where that is given and long enough: reading through one buffer is three times faster, because no fresh pages are
   * touched. Throws InferdError('invalid_model_file') on a short read or a changed file.
   */
  readTensor(info: TensorInfo, range?: TensorRange, scratch?: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>>
  close(): Promise<void>
}
