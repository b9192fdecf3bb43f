/**
 * Reads a program's weights from the file, part after part, and decodes them to f32 once.
 */
import { InferdError } from '#contract/errors'
import type { Program, Weight } from '#engine/program/program'
import { DTYPES, rowBytes } from '#engine/tensor/dtype'
import { dequantize } from '#engine/weights/dequantize'
import type { TensorFile } from '#engine/weights/tensor-file'

export interface LoadedWeight {
  /** f32 (numRows, numColumns). */
  readonly values: Float32Array
  readonly numRows: number
  readonly numColumns: number
  /** True when activations that meet it are rounded to 8 bits. */
  readonly isQuantized: boolean
}

interface LoadProgress {
  readonly onProgress?: ((loadedBytes: number, totalBytes: number) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

/** By weight id. The parts have been verified against the file. Throws InferdError('invalid_model_file') on a short read, or the signal's reason. */
export async function loadWeights(program: Program, tensors: TensorFile, { onProgress, signal }: LoadProgress): Promise<LoadedWeight[]> {
  const totalBytes = program.weights.reduce((sum, weight) => sum + weight.numRows * rowBytes(weight.dtype, weight.numColumns), 0)
  const loaded: LoadedWeight[] = []
  let loadedBytes = 0
  for (const weight of program.weights) {
    signal?.throwIfAborted()
    loaded.push(await loadWeight(weight, tensors))
    loadedBytes += weight.numRows * rowBytes(weight.dtype, weight.numColumns)
    onProgress?.(loadedBytes, totalBytes)
  }
  return loaded
}

async function loadWeight(weight: Weight, tensors: TensorFile): Promise<LoadedWeight> {
  const { numRows, numColumns, dtype, offset } = weight
  const values = new Float32Array(numRows * numColumns)
  const bytesPerRow = rowBytes(dtype, numColumns)
  let row = 0
  for (const part of weight.parts) {
    const info = tensors.tensors.get(part.tensor)
    if (info === undefined) throw new InferdError('invalid_model_file', `tensor ${part.tensor} is not in the file`)
    const range = { byteStart: part.rowStart * bytesPerRow, byteLength: part.numRows * bytesPerRow }
    dequantize(dtype, await tensors.readTensor(info, range), part.numRows * numColumns, values, row * numColumns)
    row += part.numRows
  }
  if (offset !== 0) values.forEach((value, index) => (values[index] = value + offset))
  return { values, numRows, numColumns, isQuantized: DTYPES[dtype].blockSize > 1 }
}
