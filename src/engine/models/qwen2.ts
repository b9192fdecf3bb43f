/**
 * Qwen 2 and 2.5 (dense): the Llama block with biases on query, key and value, half-split rotation in both file formats, and
 * optionally a sliding window in the upper layers.
 */
import type { Program } from '#engine/program/program'
import type { TensorFile } from '#engine/weights/tensor-file'
import type { Architecture, ModelConfig, ModelMetadata } from './architecture.ts'
import { checkActivation, configFields, readGgufDimensions, readHuggingFaceDimensions } from './decoder-config.ts'
import { buildPreNormDecoder } from './pre-norm-decoder.ts'
import { readGgufRope, readHuggingFaceRope, stretchedContextLength } from './rope-config.ts'
import { readQwenWindow } from './window-config.ts'

const DEFAULTS = { headDim: null, normEpsilon: 1e-6, tiedEmbeddings: false, contextLength: 32_768 } as const

export const qwen2: Architecture = {
  name: 'qwen2',
  ggufNames: ['qwen2'],
  huggingFaceNames: ['Qwen2ForCausalLM'],
  readConfig,
  build,
}

async function readConfig(metadata: ModelMetadata, tensors: TensorFile): Promise<ModelConfig> {
  const fields = configFields(metadata, 'qwen2')
  const isGguf = metadata.format === 'gguf'
  const dimensions = isGguf ? readGgufDimensions(fields, tensors) : readHuggingFaceDimensions(fields, tensors, DEFAULTS)
  const ropeDefaults = { theta: 10_000, ...dimensions }
  if (!isGguf) checkActivation(fields, 'hidden_act', ['silu'])
  const rope = isGguf ? await readGgufRope(fields, tensors, ropeDefaults) : readHuggingFaceRope(fields, ropeDefaults)
  return {
    architecture: 'qwen2',
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
  return buildPreNormDecoder({ config, tensors, servedContextLength, pairing: 'half-split', headNormNames: null })
}
