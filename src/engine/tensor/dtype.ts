/**
 * Element formats of weight tensors. Quantized formats store a row as blocks of `blockSize` elements, `blockBytes`
 * bytes each; a row's length must be a multiple of the block. Sizes: ggml type table (ggml-common.h), OCP MX spec 1.0 for mxfp4.
 */
export const DTYPES = {
  f32: { blockSize: 1, blockBytes: 4 },
  f16: { blockSize: 1, blockBytes: 2 },
  bf16: { blockSize: 1, blockBytes: 2 },
  q8_0: { blockSize: 32, blockBytes: 34 },
  q4_0: { blockSize: 32, blockBytes: 18 },
  q4_1: { blockSize: 32, blockBytes: 20 },
  q5_0: { blockSize: 32, blockBytes: 22 },
  q5_1: { blockSize: 32, blockBytes: 24 },
  q2_k: { blockSize: 256, blockBytes: 84 },
  q3_k: { blockSize: 256, blockBytes: 110 },
  q4_k: { blockSize: 256, blockBytes: 144 },
  q5_k: { blockSize: 256, blockBytes: 176 },
  q6_k: { blockSize: 256, blockBytes: 210 },
  iq4_nl: { blockSize: 32, blockBytes: 18 },
  mxfp4: { blockSize: 32, blockBytes: 17 },
} as const

export type DType = keyof typeof DTYPES

/** Bytes of one row of `numColumns` elements. The caller has checked that blocks divide the row. */
export function rowBytes(dtype: DType, numColumns: number): number {
  const { blockSize, blockBytes } = DTYPES[dtype]
  return (numColumns / blockSize) * blockBytes
}
