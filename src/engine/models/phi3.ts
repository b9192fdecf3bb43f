/**
 * Phi-3, 3.5 and Phi-4 mini: the Llama block with query, key and value in one fused tensor and gate and up in another, half-split
 * rotation of a part of each head, and long-rope factors that depend on the served context.
 */
import type { Program } from '#engine/program/program'
import type { TensorFile } from '#engine/weights/tensor-file'
import type { Architecture, ModelConfig, ModelMetadata } from './architecture.ts'
import { RANGES, type ConfigFields } from './config-fields.ts'
import { finishWithHead, gatedMlp, ropeTables, selfAttention, startProgram } from './decoder-blocks.ts'
import { checkActivation, configFields, readGgufDimensions, readHuggingFaceDimensions } from './decoder-config.ts'
import { DECODER_WEIGHTS, DecoderWeights } from './decoder-weights.ts'
import { readGgufRope, readHuggingFaceRope } from './rope-config.ts'
import { localByPeriod, readGgufWindow, readHuggingFaceWindow } from './window-config.ts'

const DEFAULTS = { headDim: null, normEpsilon: 1e-5, tiedEmbeddings: false, contextLength: 4096 } as const

const WEIGHTS = {
  ...DECODER_WEIGHTS,
  queryKeyValue: { gguf: 'blk.{}.attn_qkv', safetensors: 'model.layers.{}.self_attn.qkv_proj' },
  gateUp: { gguf: 'blk.{}.ffn_up', safetensors: 'model.layers.{}.mlp.gate_up_proj' },
} as const

export const phi3: Architecture = {
  name: 'phi3',
  ggufNames: ['phi3'],
  huggingFaceNames: ['Phi3ForCausalLM'],
  readConfig,
  build,
}

async function readConfig(metadata: ModelMetadata, tensors: TensorFile): Promise<ModelConfig> {
  const fields = configFields(metadata, 'phi3')
  const isGguf = metadata.format === 'gguf'
  const dimensions = isGguf ? readGgufDimensions(fields, tensors) : readHuggingFaceDimensions(fields, tensors, DEFAULTS)
  const ropeDefaults = { theta: 10_000, ...dimensions }
  if (!isGguf) checkActivation(fields, 'hidden_act', ['silu'])
  return {
    architecture: 'phi3',
    ...dimensions,
    rope: isGguf ? await readGgufRope(fields, tensors, ropeDefaults) : readHuggingFaceRope(fields, ropeDefaults),
    window: isGguf ? readGgufWindow(fields, dimensions.numLayers, 0) : huggingFaceWindow(fields, dimensions.numLayers),
    attentionSoftcap: null,
    finalLogitSoftcap: null,
    attentionScale: 1 / Math.sqrt(dimensions.headDim),
  }
}

/** All layers, or none. */
function huggingFaceWindow(fields: ConfigFields, numLayers: number): ModelConfig['window'] {
  const size = fields.integerOr('sliding_window', RANGES.contextLength, null)
  return readHuggingFaceWindow(fields, { size, numLayers, defaultIsLocal: localByPeriod(numLayers, 0) })
}

function build(config: ModelConfig, tensors: TensorFile, servedContextLength: number): Program {
  const { hiddenSize, intermediateSize, headDim, normEpsilon: epsilon } = config
  const queryWidth = config.numHeads * headDim
  const kvWidth = config.numKvHeads * headDim
  const queryKeyValueShape = { numRows: queryWidth + 2 * kvWidth, numColumns: hiddenSize }
  const gateUpShape = { numRows: 2 * intermediateSize, numColumns: hiddenSize }
  const program = startProgram(config)
  const weights = new DecoderWeights(program, tensors)
  const rope = ropeTables(program, config, servedContextLength)

  const embedding = weights.matrix(WEIGHTS.tokenEmbedding, null, { numRows: config.vocabSize, numColumns: hiddenSize })
  let x = program.embed({ name: 'embedded', table: embedding })
  for (let layer = 0; layer < config.numLayers; layer++) {
    const attentionNorm = weights.vector(WEIGHTS.attentionNorm, layer, hiddenSize)
    const queryKeyValue = (part: string, rowStart: number, numRows: number) =>
      weights.fusedRows(WEIGHTS.queryKeyValue, layer, queryKeyValueShape, { part, rowStart, numRows })
    const attended = selfAttention(program, {
      config,
      layer,
      x: program.rmsNorm({ name: `layer.${layer}.attention_norm`, x, weight: attentionNorm, epsilon }),
      query: queryKeyValue('q', 0, queryWidth),
      key: queryKeyValue('k', queryWidth, kvWidth),
      value: queryKeyValue('v', queryWidth + kvWidth, kvWidth),
      headNorms: null,
      rope,
      pairing: 'half-split',
    })
    const attentionOutput = weights.linear(WEIGHTS.attentionOutput, layer, { numRows: hiddenSize, numColumns: queryWidth })
    x = program.linear({ name: `layer.${layer}.attention_output`, x: attended, ...attentionOutput, residual: x })

    const mlpNorm = weights.vector(WEIGHTS.mlpNorm, layer, hiddenSize)
    x = gatedMlp(program, {
      layer,
      x: program.rmsNorm({ name: `layer.${layer}.mlp_norm`, x, weight: mlpNorm, epsilon }),
      gate: weights.fusedRows(WEIGHTS.gateUp, layer, gateUpShape, { part: 'gate', rowStart: 0, numRows: intermediateSize }),
      up: weights.fusedRows(WEIGHTS.gateUp, layer, gateUpShape, { part: 'up', rowStart: intermediateSize, numRows: intermediateSize }),
      down: weights.linear(WEIGHTS.down, layer, { numRows: hiddenSize, numColumns: intermediateSize }),
      activation: 'silu',
      residual: x,
    })
  }
  const norm = weights.vector(WEIGHTS.finalNorm, null, hiddenSize)
  return finishWithHead(program, { config, weights, x, norm, output: WEIGHTS.output, embedding })
}
