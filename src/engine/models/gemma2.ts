/**
 * Gemma 2: scaled embedding, norms before and after both blocks, GELU-gated feed-forward block, soft caps on attention scores
 * and logits, every other layer with a sliding window. safetensors keep norm weights less one, GGUF as they are.
 */
import type { Program } from '#engine/program/program'
import type { TensorFile } from '#engine/weights/tensor-file'
import type { Architecture, ModelConfig, ModelMetadata } from './architecture.ts'
import { RANGES, type ConfigFields } from './config-fields.ts'
import { finishWithHead, gatedMlp, ropeTables, selfAttention, startProgram } from './decoder-blocks.ts'
import { checkActivation, configFields, readGgufDimensions, readHuggingFaceDimensions } from './decoder-config.ts'
import { DECODER_WEIGHTS, DecoderWeights } from './decoder-weights.ts'
import { gemmaAttentionScale, gemmaEmbeddingScale, gemmaSoftcap } from './gemma-scales.ts'
import { readGgufRope, readHuggingFaceRope } from './rope-config.ts'
import { localByPeriod, readGgufWindow, readHuggingFaceWindow } from './window-config.ts'

const DEFAULTS = { headDim: 256, normEpsilon: 1e-6, tiedEmbeddings: true, contextLength: 8192 } as const
const DEFAULT_WINDOW = 4096
const WINDOW_PERIOD = 2
const LAYERS_OF_27B = 46

const WEIGHTS = {
  ...DECODER_WEIGHTS,
  attentionPostNorm: { gguf: 'blk.{}.post_attention_norm', safetensors: 'model.layers.{}.post_attention_layernorm' },
  mlpNorm: { gguf: 'blk.{}.ffn_norm', safetensors: 'model.layers.{}.pre_feedforward_layernorm' },
  mlpPostNorm: { gguf: 'blk.{}.post_ffw_norm', safetensors: 'model.layers.{}.post_feedforward_layernorm' },
} as const

export const gemma2: Architecture = {
  name: 'gemma2',
  ggufNames: ['gemma2'],
  huggingFaceNames: ['Gemma2ForCausalLM'],
  readConfig,
  build,
}

async function readConfig(metadata: ModelMetadata, tensors: TensorFile): Promise<ModelConfig> {
  const fields = configFields(metadata, 'gemma2')
  const isGguf = metadata.format === 'gguf'
  const dimensions = isGguf ? readGgufDimensions(fields, tensors) : readHuggingFaceDimensions(fields, tensors, DEFAULTS)
  const ropeDefaults = { theta: 10_000, ...dimensions }
  if (!isGguf) checkActivation(fields, 'hidden_activation', ['gelu_pytorch_tanh'])
  return {
    architecture: 'gemma2',
    ...dimensions,
    rope: isGguf ? await readGgufRope(fields, tensors, ropeDefaults) : readHuggingFaceRope(fields, ropeDefaults),
    window: isGguf ? readGgufWindow(fields, dimensions.numLayers, WINDOW_PERIOD) : huggingFaceWindow(fields, dimensions.numLayers),
    attentionSoftcap: gemmaSoftcap(fields, isGguf ? '.attn_logit_softcapping' : 'attn_logit_softcapping', 50),
    finalLogitSoftcap: gemmaSoftcap(fields, isGguf ? '.final_logit_softcapping' : 'final_logit_softcapping', 30),
    attentionScale: gemmaAttentionScale(fields, dimensions, isGguf ? { layersOf27B: LAYERS_OF_27B } : null),
  }
}

function huggingFaceWindow(fields: ConfigFields, numLayers: number): ModelConfig['window'] {
  if (fields.booleanOr('use_bidirectional_attention', false)) throw fields.unsupported('use_bidirectional_attention', 'is true, only causal attention is supported')
  const size = fields.integerOr('sliding_window', RANGES.contextLength, fields.has('sliding_window') ? null : DEFAULT_WINDOW)
  return readHuggingFaceWindow(fields, { size, numLayers, defaultIsLocal: localByPeriod(numLayers, WINDOW_PERIOD) })
}

function build(config: ModelConfig, tensors: TensorFile, servedContextLength: number): Program {
  const { hiddenSize, intermediateSize, headDim, normEpsilon: epsilon } = config
  const queryShape = { numRows: config.numHeads * headDim, numColumns: hiddenSize }
  const kvShape = { numRows: config.numKvHeads * headDim, numColumns: hiddenSize }
  const upShape = { numRows: intermediateSize, numColumns: hiddenSize }
  const normOffset = tensors.format === 'gguf' ? 0 : 1
  const program = startProgram(config)
  const weights = new DecoderWeights(program, tensors)
  const rope = ropeTables(program, config, servedContextLength)

  const embedding = weights.matrix(WEIGHTS.tokenEmbedding, null, { numRows: config.vocabSize, numColumns: hiddenSize })
  let x = program.embed({ name: 'embedded', table: embedding, scale: gemmaEmbeddingScale(hiddenSize, tensors) })
  for (let layer = 0; layer < config.numLayers; layer++) {
    const attentionNorm = weights.vector(WEIGHTS.attentionNorm, layer, hiddenSize, normOffset)
    const attended = selfAttention(program, {
      config,
      layer,
      x: program.rmsNorm({ name: `layer.${layer}.attention_norm`, x, weight: attentionNorm, epsilon }),
      query: weights.linear(WEIGHTS.query, layer, queryShape),
      key: weights.linear(WEIGHTS.key, layer, kvShape),
      value: weights.linear(WEIGHTS.value, layer, kvShape),
      headNorms: null,
      rope,
      pairing: 'half-split',
    })
    const attentionOutput = weights.linear(WEIGHTS.attentionOutput, layer, { numRows: hiddenSize, numColumns: queryShape.numRows })
    const projected = program.linear({ name: `layer.${layer}.attention_output`, x: attended, ...attentionOutput })
    const attentionPostNorm = weights.vector(WEIGHTS.attentionPostNorm, layer, hiddenSize, normOffset)
    program.rmsNorm({ name: `layer.${layer}.attention_post_norm`, x: projected, weight: attentionPostNorm, epsilon, inPlace: true })
    x = program.add({ name: `layer.${layer}.attention_residual`, a: x, b: projected })

    const mlpNorm = weights.vector(WEIGHTS.mlpNorm, layer, hiddenSize, normOffset)
    const fed = gatedMlp(program, {
      layer,
      x: program.rmsNorm({ name: `layer.${layer}.mlp_norm`, x, weight: mlpNorm, epsilon }),
      gate: weights.linear(WEIGHTS.gate, layer, upShape),
      up: weights.linear(WEIGHTS.up, layer, upShape),
      down: weights.linear(WEIGHTS.down, layer, { numRows: hiddenSize, numColumns: intermediateSize }),
      activation: 'gelu_tanh',
      residual: null,
    })
    const mlpPostNorm = weights.vector(WEIGHTS.mlpPostNorm, layer, hiddenSize, normOffset)
    program.rmsNorm({ name: `layer.${layer}.mlp_post_norm`, x: fed, weight: mlpPostNorm, epsilon, inPlace: true })
    x = program.add({ name: `layer.${layer}.mlp_residual`, a: x, b: fed })
  }
  const norm = weights.vector(WEIGHTS.finalNorm, null, hiddenSize, normOffset)
  return finishWithHead(program, { config, weights, x, norm, output: WEIGHTS.output, embedding })
}
