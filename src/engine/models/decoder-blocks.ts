/**
 * The parts that decoder architectures are put together from: self-attention over the paged cache, the gated feed-forward
 * block, the rotary tables and the head. An architecture decides which norms stand around them, and where.
 */
import { ProgramBuilder } from '#engine/program/program-builder'
import type { Program, TableId, ValueId, WeightId } from '#engine/program/program'
import type { ModelConfig } from './architecture.ts'
import type { DecoderWeights, LinearWeights, WeightName } from './decoder-weights.ts'
import { localRopeFrequencies, ropeFrequencies, type RopeFrequencies } from './rope-frequencies.ts'

export function startProgram({ architecture, vocabSize, numLayers, numKvHeads, headDim }: ModelConfig): ProgramBuilder {
  return new ProgramBuilder({ name: architecture, vocabSize, numLayers, numKvHeads, headDim })
}

interface RopeTables {
  readonly global: TableId
  /** The same table unless local layers have their own base frequency. */
  readonly local: TableId
}

export function ropeTables(program: ProgramBuilder, config: ModelConfig, servedContextLength: number): RopeTables {
  const add = ({ inverseFrequencies, magnitude }: RopeFrequencies) => program.table(inverseFrequencies, magnitude)
  const { rope } = config
  const global = add(ropeFrequencies(rope, servedContextLength))
  return { global, local: rope.localTheta === null ? global : add(localRopeFrequencies(rope.localTheta, rope.rotaryDim)) }
}

interface SelfAttentionOptions {
  readonly config: ModelConfig
  readonly layer: number
  /** (tokens, hiddenSize), normalized. */
  readonly x: ValueId
  readonly query: LinearWeights
  readonly key: LinearWeights
  readonly value: LinearWeights
  /** Norms of each query and key head before the rotation: (1, headDim). */
  readonly headNorms: { readonly query: WeightId; readonly key: WeightId } | null
  readonly rope: RopeTables
  readonly pairing: 'interleaved' | 'half-split'
}

/** Attention without its output projection: (tokens, numHeads * headDim). */
export function selfAttention(program: ProgramBuilder, options: SelfAttentionOptions): ValueId {
  const { config, layer, x, headNorms, pairing } = options
  const { normEpsilon: epsilon, rope, attentionScale: scale, attentionSoftcap: softcap, numHeads } = config
  const isLocal = config.window?.isLocalLayer[layer] === true
  const table = isLocal ? options.rope.local : options.rope.global

  const q = program.linear({ name: `layer.${layer}.q`, x, ...options.query })
  const k = program.linear({ name: `layer.${layer}.k`, x, ...options.key })
  const v = program.linear({ name: `layer.${layer}.v`, x, ...options.value })
  if (headNorms !== null) {
    program.rmsNorm({ name: `layer.${layer}.q_norm`, x: q, weight: headNorms.query, epsilon, inPlace: true })
    program.rmsNorm({ name: `layer.${layer}.k_norm`, x: k, weight: headNorms.key, epsilon, inPlace: true })
  }
  program.rope({ x: q, table, rotaryDim: rope.rotaryDim, pairing })
  program.rope({ x: k, table, rotaryDim: rope.rotaryDim, pairing })
  program.kvWrite({ layer, k, v })
  const window = isLocal ? config.window!.size : null
  return program.attention({ name: `layer.${layer}.attention`, layer, q, numHeads, scale, window, softcap })
}

interface GatedMlpOptions {
  readonly layer: number
  /** (tokens, hiddenSize), normalized. */
  readonly x: ValueId
  readonly gate: LinearWeights
  readonly up: LinearWeights
  readonly down: LinearWeights
  readonly activation: 'silu' | 'gelu_tanh'
  /** Added to the result; null when a norm comes between. */
  readonly residual: ValueId | null
}

/** down(activation(gate(x)) * up(x)): (tokens, hiddenSize). */
export function gatedMlp(program: ProgramBuilder, options: GatedMlpOptions): ValueId {
  const { layer, x, activation, residual } = options
  const gate = program.linear({ name: `layer.${layer}.gate`, x, ...options.gate })
  const up = program.linear({ name: `layer.${layer}.up`, x, ...options.up })
  const activated = program.gatedActivation({ name: `layer.${layer}.activated`, gate, up, activation })
  return program.linear({ name: `layer.${layer}.mlp`, x: activated, ...options.down, residual })
}

interface HeadOptions {
  readonly config: ModelConfig
  readonly weights: DecoderWeights
  readonly x: ValueId
  readonly norm: WeightId
  readonly output: WeightName
  readonly embedding: WeightId
}

/** Final norm, output projection (the embedding itself when tied) and soft cap; closes the program. */
export function finishWithHead(program: ProgramBuilder, options: HeadOptions): Program {
  const { config, weights, x, norm, output, embedding } = options
  const selected = program.selectRows({ name: 'last', x })
  const hidden = program.rmsNorm({ name: 'hidden', x: selected, weight: norm, epsilon: config.normEpsilon })
  const shape = { numRows: config.vocabSize, numColumns: config.hiddenSize }
  const head = config.tiedEmbeddings ? { weight: embedding, bias: null } : weights.linear(output, null, shape)
  const logits = program.linear({ name: 'logits', x: hidden, ...head, rows: 'logits' })
  if (config.finalLogitSoftcap !== null) program.softcap({ x: logits, cap: config.finalLogitSoftcap })
  return program.finish({ hidden, logits })
}
