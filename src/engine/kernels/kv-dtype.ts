/** Element types of the KV cache. q8_0: signed bytes, with one f16 scale for every 32 columns of a head's key or value row. */

/** The addon's KvType follows this order. */
export const KV_DTYPES = ['f32', 'f16', 'q8_0'] as const

export type KvDType = (typeof KV_DTYPES)[number]

/** Columns that share a scale; the last group of a head may be shorter. */
export const KV_GROUP_COLUMNS = 32

/** Bytes of the key row, or of the value row, of one head of one token. */
export function kvRowBytes(dtype: KvDType, headDim: number): number {
  switch (dtype) {
    case 'f32':
      return 4 * headDim
    case 'f16':
      return 2 * headDim
    case 'q8_0':
      return headDim + 2 * Math.ceil(headDim / KV_GROUP_COLUMNS)
  }
}
