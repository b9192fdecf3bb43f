/**
 * Gemma 3 (text): as Gemma 2, but query and key heads are normalized in place of the soft cap on scores, five local layers
 * stand before each global one, and local layers rotate with a base frequency of their own.
 */
import type { Program } from '#engine/program/program'
import type { TensorFile } from '#engine/weights/tensor-file'
import type { Architecture, ModelConfig, ModelMetadata, RopeConfig } from './architecture.ts'
import { RANGES, type ConfigFields } from './config-fields.ts'
import { finishWithHead, gatedMlp, ropeTables, selfAttention, startProgram } from './decoder-blocks.ts'
import { checkActivation, configFields, readGgufDimensions, readHuggingFaceDimensions, type DecoderDimensions } from './decoder-config.ts'
import { DECODER_WEIGHTS, DecoderWeights } from './decoder-weights.ts'
import { gemmaAttentionScale, gemmaEmbeddingScale, gemmaSoftcap } from './gemma-scales.ts'
import { readGgufRope, readHuggingFaceRope, readHuggingFaceScaling } from './rope-config.ts'
import { localByPeriod, readGgufWindow, readHuggingFaceWindow } from './window-config.ts'

const DEFAULTS = { headDim: 256, normEpsilon: 1e-6, tiedEmbeddings: true, contextLength: 131_072 } as const
const DEFAULT_WINDOW = 4096
const WINDOW_PERIOD = 6
const LAYERS_OF_27B = 62
const GLOBAL_THETA = 1_000_000
const LOCAL_THETA = 10_000

const WEIGHTS = {
  ...DECODER_WEIGHTS,
  attentionPostNorm: { gguf: 'blk.{}.post_attention_norm', safetensors: 'model.layers.{}.post_attention_layernorm' },
  queryNorm: { gguf: 'blk.{}.attn_q_norm', safetensors: 'model.layers.{}.self_attn.q_norm' },
  keyNorm: { gguf: 'blk.{}.attn_k_norm', safetensors: 'model.layers.{}.self_attn.k_norm' },
  mlpNorm: { gguf: 'blk.{}.ffn_norm', safetensors: 'model.layers.{}.pre_feedforward_layernorm' },
  mlpPostNorm: { gguf: 'blk.{}.post_ffw_norm', safetensors: 'model.layers.{}.post_feedforward_layernorm' },
} as const

export const gemma3: Architecture = {
  name: 'gemma3',
  ggufNames: ['gemma3'],
  huggingFaceNames: ['Gemma3ForCausalLM'],
  readConfig,
  build,
}

async function readConfig(metadata: ModelMetadata, tensors: TensorFile): Promise<ModelConfig> {
  const fields = configFields(metadata, 'gemma3')
  const isGguf = metadata.format === 'gguf'
  const dimensions = isGguf ? readGgufDimensions(fields, tensors) : readHuggingFaceDimensions(fields, tensors, DEFAULTS)
  if (!isGguf) checkActivation(fields, 'hidden_activation', ['gelu_pytorch_tanh'])
  return {
    architecture: 'gemma3',
    ...dimensions,
    rope: isGguf ? await ggufRope(fields, tensors, dimensions) : huggingFaceRope(fields, dimensions),
    window: isGguf ? readGgufWindow(fields, dimensions.numLayers, WINDOW_PERIOD) : huggingFaceWindow(fields, dimensions.numLayers),
    attentionSoftcap: null,
    finalLogitSoftcap: gemmaSoftcap(fields, isGguf ? '.final_logit_softcapping' : 'final_logit_softcapping', null),
    attentionScale: gemmaAttentionScale(fields, dimensions, isGguf ? { layersOf27B: LAYERS_OF_27B } : null),
  }
}

async function ggufRope(fields: ConfigFields, tensors: TensorFile, dimensions: DecoderDimensions): Promise<RopeConfig> {
  const rope = await readGgufRope(fields, tensors, { theta: GLOBAL_THETA, ...dimensions })
  return { ...rope, localTheta: fields.numberOr('.rope.freq_base_swa', RANGES.theta, LOCAL_THETA) }
}

/** Older files: rope_theta, rope_scaling and rope_local_base_freq; newer ones: rope_parameters by layer type. */
function huggingFaceRope(fields: ConfigFields, dimensions: DecoderDimensions): RopeConfig {
  const byLayerType = fields.sectionOr('rope_parameters', null)
  const global = byLayerType?.sectionOr('full_attention', null)
  const local = byLayerType?.sectionOr('sliding_attention', null)
  const localTheta = (local ?? fields).numberOr(local ? 'rope_theta' : 'rope_local_base_freq', RANGES.theta, LOCAL_THETA)
  const localType = local?.textOr('rope_type', 'default') ?? 'default'
  if (localType !== 'default') throw fields.unsupported('rope_parameters', `has ${JSON.stringify(localType)} for sliding_attention, only default is supported`)
  if (!byLayerType) return { ...readHuggingFaceRope(fields, { theta: GLOBAL_THETA, ...dimensions }), localTheta }
  const rotaryDim = dimensions.headDim
  const scaling = global ? readHuggingFaceScaling(global, fields, { theta: GLOBAL_THETA, rotaryDim, ...dimensions }) : ({ kind: 'none' } as const)
  return { theta: global?.numberOr('rope_theta', RANGES.theta, GLOBAL_THETA) ?? GLOBAL_THETA, localTheta, rotaryDim, scaling }
}

function huggingFaceWindow(fields: ConfigFields, numLayers: number): ModelConfig['window'] {
  if (fields.booleanOr('use_bidirectional_attention', false)) throw fields.unsupported('use_bidirectional_attention', 'is true, only causal attention is supported')
  const size = fields.integerOr('sliding_window', RANGES.contextLength, fields.has('sliding_window') ? null : DEFAULT_WINDOW)
  const period = fields.integerOr('sliding_window_pattern', RANGES.layers, WINDOW_PERIOD)
  return readHuggingFaceWindow(fields, { size, numLayers, defaultIsLocal: localByPeriod(numLayers, period) })
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
      headNorms: {
        query: weights.vector(WEIGHTS.queryNorm, layer, headDim, normOffset),
        key: weights.vector(WEIGHTS.keyNorm, layer, headDim, normOffset),
      },
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
