/**
 * Qwen 3 (dense): as Qwen 2, but every query and key head is normalized before its rotation, the biases are gone, and the
 * head size is its own number.
 */
import type { Program } from '#engine/program/program'
import type { TensorFile } from '#engine/weights/tensor-file'
import type { Architecture, ModelConfig, ModelMetadata } from './architecture.ts'
import { checkActivation, configFields, readGgufDimensions, readHuggingFaceDimensions } from './decoder-config.ts'
import { buildPreNormDecoder } from './pre-norm-decoder.ts'
import { readGgufRope, readHuggingFaceRope, stretchedContextLength } from './rope-config.ts'
import { readQwenWindow } from './window-config.ts'

const DEFAULTS = { headDim: 128, normEpsilon: 1e-6, tiedEmbeddings: false, contextLength: 32_768 } as const

const HEAD_NORMS = {
  query: { gguf: 'blk.{}.attn_q_norm', safetensors: 'model.layers.{}.self_attn.q_norm' },
  key: { gguf: 'blk.{}.attn_k_norm', safetensors: 'model.layers.{}.self_attn.k_norm' },
} as const

export const qwen3: Architecture = {
  name: 'qwen3',
  ggufNames: ['qwen3'],
  huggingFaceNames: ['Qwen3ForCausalLM'],
  readConfig,
  build,
}

async function readConfig(metadata: ModelMetadata, tensors: TensorFile): Promise<ModelConfig> {
  const fields = configFields(metadata, 'qwen3')
  const isGguf = metadata.format === 'gguf'
  const dimensions = isGguf ? readGgufDimensions(fields, tensors) : readHuggingFaceDimensions(fields, tensors, DEFAULTS)
  const ropeDefaults = { theta: 10_000, ...dimensions }
  if (!isGguf) checkActivation(fields, 'hidden_act', ['silu'])
  const rope = isGguf ? await readGgufRope(fields, tensors, ropeDefaults) : readHuggingFaceRope(fields, ropeDefaults)
  return {
    architecture: 'qwen3',
    ...dimensions,
    contextLength: stretchedContextLength(dimensions.contextLength, rope),
    rope,
    // GGUF files do not tell which layers would have one.
    window: isGguf ? null : readQwenWindow(fields, dimensions.numLayers),
    attentionSoftcap: null,
    finalLogitSoftcap: null,
    attentionScale: 1 / Math.sqrt(dimensions.headDim),
  }
}

function build(config: ModelConfig, tensors: TensorFile, servedContextLength: number): Program {
  return buildPreNormDecoder({ config, tensors, servedContextLength, pairing: 'half-split', headNormNames: HEAD_NORMS })
}
