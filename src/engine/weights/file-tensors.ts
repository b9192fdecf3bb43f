/** The TensorFile of both formats: a checked table of tensors over open files. */
import { assert } from '#base/assert'
import { InferdError } from '#contract/errors'
import { closeAll, type ModelFile } from './model-file.ts'
import type { TensorFile, TensorInfo, TensorRange } from './tensor-file.ts'

interface FileTensorsParts {
  readonly format: 'gguf' | 'safetensors'
  readonly files: readonly ModelFile[]
  readonly tensors: ReadonlyMap<string, TensorInfo>
}

export class FileTensors implements TensorFile {
  readonly format: 'gguf' | 'safetensors'
  readonly tensors: ReadonlyMap<string, TensorInfo>
  private readonly files: readonly ModelFile[]

  /** Takes ownership of `files`; TensorInfo.fileIndex points into them. */
  constructor({ format, files, tensors }: FileTensorsParts) {
    this.format = format
    this.files = files
    this.tensors = tensors
  }

  get paths(): readonly string[] {
    return this.files.map((file) => file.path)
  }

  async readTensor(info: TensorInfo, range?: TensorRange, scratch?: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
    const { byteStart, byteLength } = range ?? { byteStart: 0, byteLength: info.byteLength }
    assert(byteStart >= 0 && byteLength >= 0 && byteStart + byteLength <= info.byteLength, `range beyond tensor ${info.name}`)
    const file = this.files[info.fileIndex]
    assert(file !== undefined, `tensor ${info.name} names no file`)
    const bytes = scratch !== undefined && scratch.length >= byteLength ? scratch.subarray(0, byteLength) : allocate(info.name, byteLength)
    await file.read(bytes, info.byteOffset + byteStart)
    return bytes
  }

  close(): Promise<void> {
    return closeAll(this.files)
  }
}

function allocate(tensorName: string, byteLength: number): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(byteLength)
  } catch (error) {
    throw new InferdError('insufficient_memory', `tensor ${tensorName} needs ${byteLength} bytes, which could not be allocated`, { cause: error })
  }
}
