/**
 * A model file that exists only as a description: bytes are made when they are read. Speed does not depend on the values,
 * as long as the scales keep activations finite.
 */
import { SeededRandom } from '#base/random'
import { DTYPES, rowBytes, type DType } from '#engine/tensor/dtype'
import type { TensorFile, TensorInfo } from '#engine/weights/tensor-file'

/** Where a block keeps its 16-bit floats; they become about 0.001. */
const HALF_OFFSETS: Readonly<Partial<Record<DType, readonly number[]>>> = {
  q8_0: [0],
  q4_0: [0],
  q4_1: [0, 2],
  q5_0: [0],
  q5_1: [0, 2],
  q2_k: [80, 82],
  q3_k: [108],
  q4_k: [0, 2],
  q5_k: [0, 2],
  q6_k: [208],
  iq4_nl: [0],
}
const PATTERN_BLOCKS = 4096

export class RandomTensors implements TensorFile {
  readonly format = 'gguf'
  readonly paths = ['random']
  readonly tensors = new Map<string, TensorInfo>()
  private readonly patterns = new Map<DType, Uint8Array<ArrayBuffer>>()

  add(name: string, dtype: DType, shape: readonly number[]): void {
    const byteLength = (shape.length === 1 ? 1 : shape[0]!) * rowBytes(dtype, shape.at(-1)!)
    this.tensors.set(name, { name, dtype, shape, fileIndex: 0, byteOffset: 0, byteLength })
  }

  readTensor(info: TensorInfo, range = { byteStart: 0, byteLength: info.byteLength }): Promise<Uint8Array<ArrayBuffer>> {
    const pattern = this.patterns.get(info.dtype) ?? makePattern(info.dtype)
    this.patterns.set(info.dtype, pattern)
    const bytes = new Uint8Array(range.byteLength)
    for (let start = 0; start < bytes.length; start += pattern.length)
      bytes.set(pattern.subarray(0, Math.min(pattern.length, bytes.length - start)), start)
    return Promise.resolve(bytes)
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}

function makePattern(dtype: DType): Uint8Array<ArrayBuffer> {
  const random = new SeededRandom(1)
  const { blockBytes, blockSize } = DTYPES[dtype]
  if (blockSize === 1) return floatPattern(random, dtype)
  const bytes = new Uint8Array(PATTERN_BLOCKS * blockBytes)
  for (let i = 0; i < bytes.length; i++) bytes[i] = random.nextInt(256)
  for (let block = 0; block < bytes.length; block += blockBytes) {
    if (dtype === 'mxfp4') bytes[block] = 118
    // 0x1419 is 0.001 in f16.
    for (const offset of HALF_OFFSETS[dtype] ?? []) bytes.set([0x19, 0x14], block + offset)
  }
  return bytes
}

function floatPattern(random: SeededRandom, dtype: DType): Uint8Array<ArrayBuffer> {
  const values = Float32Array.from({ length: PATTERN_BLOCKS * 16 }, () => (random.nextFloat() - 0.5) * 0.05)
  if (dtype === 'f32') return new Uint8Array(values.buffer)
  if (dtype === 'f16') return new Uint8Array(new Float16Array(values).buffer)
  const words = new Uint32Array(values.buffer)
  return new Uint8Array(Uint16Array.from(words, (word) => word >>> 16).buffer)
}
