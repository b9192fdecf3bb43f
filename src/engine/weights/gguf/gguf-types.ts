/** The type numbers of a GGUF file. Source: ggml docs/gguf.md and ggml.h (enum ggml_type, enum gguf_type). */
import type { DType } from '#engine/tensor/dtype'

export const GGUF_MAGIC = 0x46554747
export const DEFAULT_ALIGNMENT = 32
/** Largest `general.alignment` that is believed: beyond it only padding grows. */
export const MAX_ALIGNMENT = 65536

export const VALUE_TYPES = {
  uint8: 0,
  int8: 1,
  uint16: 2,
  int16: 3,
  uint32: 4,
  int32: 5,
  float32: 6,
  bool: 7,
  string: 8,
  array: 9,
  uint64: 10,
  int64: 11,
  float64: 12,
} as const

export type ValueTypeName = keyof typeof VALUE_TYPES

/** Bytes of a value, or of the least that one takes (a string or an array begins with its u64 length). */
export const VALUE_MIN_BYTES: Readonly<Record<ValueTypeName, number>> = {
  uint8: 1,
  int8: 1,
  uint16: 2,
  int16: 2,
  uint32: 4,
  int32: 4,
  float32: 4,
  bool: 1,
  string: 8,
  array: 12,
  uint64: 8,
  int64: 8,
  float64: 8,
}

const VALUE_TYPE_NAMES = new Map<number, ValueTypeName>(Object.entries(VALUE_TYPES).map(([name, type]) => [type, name as ValueTypeName]))

export function valueTypeName(type: number): ValueTypeName | null {
  return VALUE_TYPE_NAMES.get(type) ?? null
}

/** Type number of each element format that we read. */
export const TENSOR_TYPES: Readonly<Record<DType, number>> = {
  f32: 0,
  f16: 1,
  q4_0: 2,
  q4_1: 3,
  q5_0: 6,
  q5_1: 7,
  q8_0: 8,
  q2_k: 10,
  q3_k: 11,
  q4_k: 12,
  q5_k: 13,
  q6_k: 14,
  iq4_nl: 20,
  bf16: 30,
  mxfp4: 39,
}

const DTYPE_OF_TENSOR_TYPE = new Map<number, DType>(Object.entries(TENSOR_TYPES).map(([dtype, type]) => [type, dtype as DType]))

export function dtypeOfTensorType(type: number): DType | null {
  return DTYPE_OF_TENSOR_TYPE.get(type) ?? null
}

/** Known types that we do not run, so that the message can name them. */
const OTHER_TENSOR_TYPES: Readonly<Record<number, string>> = {
  9: 'Q8_1',
  15: 'Q8_K',
  16: 'IQ2_XXS',
  17: 'IQ2_XS',
  18: 'IQ3_XXS',
  19: 'IQ1_S',
  21: 'IQ3_S',
  22: 'IQ2_S',
  23: 'IQ4_XS',
  24: 'I8',
  25: 'I16',
  26: 'I32',
  27: 'I64',
  28: 'F64',
  29: 'IQ1_M',
  34: 'TQ1_0',
  35: 'TQ2_0',
  40: 'NVFP4',
}

/** Name of a type that ggml knows and we do not run; null for numbers that mean nothing. */
export function otherTensorTypeName(type: number): string | null {
  return OTHER_TENSOR_TYPES[type] ?? null
}
