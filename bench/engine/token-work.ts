/** What one token of a dense transformer costs at least, from the tensors of its file: the denominators of "share of the limit". */
import { openGguf } from '#engine/weights/gguf/gguf-file'
import type { TensorInfo } from '#engine/weights/tensor-file'

export interface TokenWork {
  /** Of the matrices, as the file has them: read once for each token of one stream. */
  readonly weightBytes: number
  /** Keys and values of one token of context in an F16 cache: read once for each later token. */
  readonly kvBytesPerContextToken: number
  /** Multiply-adds in the matrices of the layers. Logits are for the last token of a prompt only; attention is not counted. */
  readonly layerMacs: number
}

/** What a machine was measured to do. */
export interface MachineLimits {
  readonly readBytesPerS: number
  readonly macsPerS: number
}

const HALF_BYTES = 2

export function tokenWork(tensors: Iterable<Pick<TensorInfo, 'name' | 'shape' | 'byteLength'>>): TokenWork {
  const matrices = [...tensors].filter(({ shape }) => shape.length > 1)
  const hasOwnOutput = matrices.some(({ name }) => name === 'output.weight')
  // Of a table of embeddings that is not the output too, one row a token is read.
  const read = matrices.filter(({ name }) => name !== 'token_embd.weight' || !hasOwnOutput)
  const inLayers = matrices.filter(({ name }) => name.startsWith('blk.'))
  const cached = inLayers.filter(({ name }) => /\.attn_[kv]\.weight$/.test(name))
  return {
    weightBytes: read.reduce((sum, { byteLength }) => sum + byteLength, 0),
    kvBytesPerContextToken: cached.reduce((sum, { shape }) => sum + shape[0]! * HALF_BYTES, 0),
    layerMacs: inLayers.reduce((sum, { shape }) => sum + shape.reduce((product, length) => product * length, 1), 0),
  }
}

export async function readTokenWork(modelPath: string): Promise<TokenWork> {
  const { tensors } = await openGguf(modelPath)
  await tensors.close()
  return tokenWork(tensors.tensors.values())
}

/** Tokens a second that reading allows after `depth` tokens of context. */
export function decodeLimit({ weightBytes, kvBytesPerContextToken }: TokenWork, { readBytesPerS }: MachineLimits, depth: number): number {
  return readBytesPerS / (weightBytes + depth * kvBytesPerContextToken)
}

/** Tokens a second that the dot products allow. */
export function prefillLimit({ layerMacs }: TokenWork, { macsPerS }: MachineLimits): number {
  return macsPerS / layerMacs
}
