/**
 * The numbers that Gemma models scale by, and their soft caps; model files tell them only in part.
 */
import { floatToBfloat, roundToHalf } from '#engine/weights/half-float'
import type { TensorFile } from '#engine/weights/tensor-file'
import type { DecoderDimensions } from './decoder-config.ts'
import { RANGES, type ConfigFields } from './config-fields.ts'

/**
 * Factor of the embedding: sqrt(hiddenSize), in the precision of the reference. transformers rounds it to the type of the
 * embedding (sqrt(3072) = 55.43 becomes 55.5 in bf16); GGUF engines keep it in f32.
 */
export function gemmaEmbeddingScale(hiddenSize: number, tensors: TensorFile): number {
  const scale = Math.fround(Math.sqrt(hiddenSize))
  const dtype = tensors.format === 'gguf' ? 'f32' : tensors.tensors.get('model.embed_tokens.weight')?.dtype
  if (dtype === 'f16') return roundToHalf(scale)
  return dtype === 'bf16' ? new Float32Array(new Uint32Array([floatToBfloat(scale) << 16]).buffer)[0]! : scale
}

/**
 * Factor of attention scores: 1 / sqrt(query_pre_attn_scalar). GGUF files lack that number; it is the head size in all
 * published models but the 27 B ones, known by their layer count, which take the hidden size per head.
 */
export function gemmaAttentionScale(fields: ConfigFields, dimensions: DecoderDimensions, gguf: { readonly layersOf27B: number } | null): number {
  const { hiddenSize, numHeads, numLayers, headDim } = dimensions
  if (gguf === null) return 1 / Math.sqrt(fields.numberOr('query_pre_attn_scalar', RANGES.positive, 256))
  const stated = fields.numberOr('.attention.scale', RANGES.positive, null)
  return stated ?? 1 / Math.sqrt(numLayers === gguf.layersOf27B ? hiddenSize / numHeads : headDim)
}

/** A soft cap: the key's value, none when it is null, the default when it is absent. */
export function gemmaSoftcap(fields: ConfigFields, key: string, defaultCap: number | null): number | null {
  return fields.numberOr(key, RANGES.softcap, fields.has(key) ? null : defaultCap)
}
