/**
 * Reads a short f32 vector out of a model file: the factor tables that GGUF keeps as tensors.
 */
import { InferdError } from '#contract/errors'
import type { TensorFile } from '#engine/weights/tensor-file'
import type { FieldRange } from './config-fields.ts'

/** The tensor must exist. Throws InferdError('invalid_model_file') when its type, length or a value is not as stated. */
export async function readVector(tensors: TensorFile, name: string, expected: { readonly length: number; readonly range: FieldRange }): Promise<readonly number[]> {
  const info = tensors.tensors.get(name)
  const { length, range } = expected
  if (info === undefined || info.dtype !== 'f32' || info.shape.length !== 1 || info.shape[0] !== length) {
    const found = info === undefined ? 'missing' : `${info.dtype} [${info.shape.join(', ')}]`
    throw new InferdError('invalid_model_file', `tensor ${name} is ${found}, f32 [${length}] expected`)
  }
  const bytes = await tensors.readTensor(info)
  const values = Array.from(new Float32Array(bytes.buffer, bytes.byteOffset, length))
  const bad = values.find((value) => !(value >= range.min && value <= range.max))
  if (bad !== undefined) throw new InferdError('invalid_model_file', `tensor ${name} holds ${bad}, allowed are ${range.min} to ${range.max}`)
  return values
}
