/**
 * Llama 2 and 3.x, and what shares its shape: TinyLlama, SmolLM, Mistral (with its sliding window).
 * Pre-norm decoder, grouped-query attention, SiLU-gated feed-forward block. GGUF files keep the rows of query and key in the
 * order of interleaved rotation, safetensors in that of half-split.
 */
import type { Program } from '#engine/program/program'
import type { TensorFile } from '#engine/weights/tensor-file'
import type { Architecture, ModelConfig, ModelMetadata } from './architecture.ts'
import { RANGES, type ConfigFields } from './config-fields.ts'
import { checkActivation, configFields, readGgufDimensions, readHuggingFaceDimensions } from './decoder-config.ts'
import { buildPreNormDecoder } from './pre-norm-decoder.ts'
import { readGgufRope, readHuggingFaceRope, stretchedContextLength } from './rope-config.ts'
import { localByPeriod, readGgufWindow, readHuggingFaceWindow } from './window-config.ts'

const DEFAULTS = { headDim: null, normEpsilon: 1e-6, tiedEmbeddings: false, contextLength: 2048 } as const
const MISTRAL = 'MistralForCausalLM'
const MISTRAL_DEFAULT_WINDOW = 4096

export const llama: Architecture = {
  name: 'llama',
  ggufNames: ['llama'],
  huggingFaceNames: ['LlamaForCausalLM', MISTRAL],
  readConfig,
  build,
}

async function readConfig(metadata: ModelMetadata, tensors: TensorFile): Promise<ModelConfig> {
  const fields = configFields(metadata, 'llama')
  const isGguf = metadata.format === 'gguf'
  const dimensions = isGguf ? readGgufDimensions(fields, tensors) : readHuggingFaceDimensions(fields, tensors, DEFAULTS)
  const ropeDefaults = { theta: 10_000, ...dimensions }
  if (!isGguf) checkActivation(fields, 'hidden_act', ['silu'])
  const rope = isGguf ? await readGgufRope(fields, tensors, ropeDefaults) : readHuggingFaceRope(fields, ropeDefaults)
  return {
    architecture: 'llama',
    ...dimensions,
    contextLength: stretchedContextLength(dimensions.contextLength, rope),
    rope,
    window: isGguf ? readGgufWindow(fields, dimensions.numLayers, 0) : mistralWindow(fields, dimensions.numLayers),
    attentionSoftcap: null,
    finalLogitSoftcap: null,
    attentionScale: (isGguf ? fields.numberOr('.attention.scale', RANGES.positive, null) : null) ?? 1 / Math.sqrt(dimensions.headDim),
  }
}

/** All layers, or none when the key is null. A plain Llama configuration has no window. */
function mistralWindow(fields: ConfigFields, numLayers: number): ModelConfig['window'] {
  if (fields.textsOr('architectures', null)?.[0] !== MISTRAL) return null
  const fallback = fields.has('sliding_window') ? null : MISTRAL_DEFAULT_WINDOW
  const size = fields.integerOr('sliding_window', RANGES.contextLength, fallback)
  return readHuggingFaceWindow(fields, { size, numLayers, defaultIsLocal: localByPeriod(numLayers, 0) })
}

function build(config: ModelConfig, tensors: TensorFile, servedContextLength: number): Program {
  const pairing = tensors.format === 'gguf' ? 'interleaved' : 'half-split'
  return buildPreNormDecoder({ config, tensors, servedContextLength, pairing, headNormNames: null })
}
