/**
 * The forward pass that Llama, Qwen 2 and Qwen 3 have in common: norm, attention, residual, norm, SiLU-gated feed-forward block,
 * residual. Biases are taken where the file has them.
 */
import type { Program } from '#engine/program/program'
import type { TensorFile } from '#engine/weights/tensor-file'
import type { ModelConfig } from './architecture.ts'
import { finishWithHead, gatedMlp, ropeTables, selfAttention, startProgram } from './decoder-blocks.ts'
import { DECODER_WEIGHTS as WEIGHTS, DecoderWeights, type WeightName } from './decoder-weights.ts'

export interface PreNormDecoder {
  readonly config: ModelConfig
  readonly tensors: TensorFile
  /** Picks context-dependent RoPE factors. */
  readonly servedContextLength: number
  readonly pairing: 'interleaved' | 'half-split'
  /** Norms of every query and key head before their rotation; null = none. */
  readonly headNormNames: { readonly query: WeightName; readonly key: WeightName } | null
}

export function buildPreNormDecoder({ config, tensors, servedContextLength, pairing, headNormNames }: PreNormDecoder): Program {
  const { hiddenSize, intermediateSize, headDim, normEpsilon: epsilon } = config
  const queryShape = { numRows: config.numHeads * headDim, numColumns: hiddenSize }
  const kvShape = { numRows: config.numKvHeads * headDim, numColumns: hiddenSize }
  const upShape = { numRows: intermediateSize, numColumns: hiddenSize }
  const program = startProgram(config)
  const weights = new DecoderWeights(program, tensors)
  const rope = ropeTables(program, config, servedContextLength)

  const embedding = weights.matrix(WEIGHTS.tokenEmbedding, null, { numRows: config.vocabSize, numColumns: hiddenSize })
  let x = program.embed({ name: 'embedded', table: embedding })
  for (let layer = 0; layer < config.numLayers; layer++) {
    const attentionNorm = weights.vector(WEIGHTS.attentionNorm, layer, hiddenSize)
    const attended = selfAttention(program, {
      config,
      layer,
      x: program.rmsNorm({ name: `layer.${layer}.attention_norm`, x, weight: attentionNorm, epsilon }),
      query: weights.linear(WEIGHTS.query, layer, queryShape),
      key: weights.linear(WEIGHTS.key, layer, kvShape),
      value: weights.linear(WEIGHTS.value, layer, kvShape),
      headNorms: headNormNames && {
        query: weights.vector(headNormNames.query, layer, headDim),
        key: weights.vector(headNormNames.key, layer, headDim),
      },
      rope,
      pairing,
    })
    const attentionOutput = weights.linear(WEIGHTS.attentionOutput, layer, { numRows: hiddenSize, numColumns: queryShape.numRows })
    x = program.linear({ name: `layer.${layer}.attention_output`, x: attended, ...attentionOutput, residual: x })

    const mlpNorm = weights.vector(WEIGHTS.mlpNorm, layer, hiddenSize)
    x = gatedMlp(program, {
      layer,
      x: program.rmsNorm({ name: `layer.${layer}.mlp_norm`, x, weight: mlpNorm, epsilon }),
      gate: weights.linear(WEIGHTS.gate, layer, upShape),
      up: weights.linear(WEIGHTS.up, layer, upShape),
      down: weights.linear(WEIGHTS.down, layer, { numRows: hiddenSize, numColumns: intermediateSize }),
      activation: 'silu',
      residual: x,
    })
  }
  const norm = weights.vector(WEIGHTS.finalNorm, null, hiddenSize)
  return finishWithHead(program, { config, weights, x, norm, output: WEIGHTS.output, embedding })
}
