/** A model file whose tensors are given out in F32: a program on them computes in F32 throughout, with the weights that the file means. */
import { DTYPES } from '#engine/tensor/dtype'
import { dequantize } from '#engine/weights/dequantize'
import type { TensorFile, TensorInfo, TensorRange } from '#engine/weights/tensor-file'

export class WidenedTensors implements TensorFile {
  readonly format: TensorFile['format']
  readonly paths: readonly string[]
  readonly tensors: ReadonlyMap<string, TensorInfo>
  private readonly source: TensorFile

  constructor(source: TensorFile) {
    this.source = source
    this.format = source.format
    this.paths = source.paths
    this.tensors = new Map([...source.tensors].map(([name, info]) => [name, widened(info)]))
  }

  /** Ranges begin and end at blocks of the file's format, as rows do. */
  async readTensor({ name, byteLength: wholeLength }: TensorInfo, range?: TensorRange): Promise<Uint8Array<ArrayBuffer>> {
    const info = this.source.tensors.get(name)!
    const { byteStart, byteLength } = range ?? { byteStart: 0, byteLength: wholeLength }
    const { blockSize, blockBytes } = DTYPES[info.dtype]
    const toSource = (bytes: number): number => (bytes / Float32Array.BYTES_PER_ELEMENT / blockSize) * blockBytes
    const bytes = await this.source.readTensor(info, { byteStart: toSource(byteStart), byteLength: toSource(byteLength) })
    const values = new Float32Array(byteLength / Float32Array.BYTES_PER_ELEMENT)
    dequantize(info.dtype, bytes, values.length, values)
    return new Uint8Array(values.buffer)
  }

  close(): Promise<void> {
    return this.source.close()
  }
}

function widened(info: TensorInfo): TensorInfo {
  const numElements = info.shape.reduce((product, length) => product * length, 1)
  return { ...info, dtype: 'f32', byteOffset: 0, byteLength: numElements * Float32Array.BYTES_PER_ELEMENT }
}
