/**
 * Whole small models with the building blocks of the supported architectures in random combination: norms before and after,
 * q/k norm, biases, sliding windows on some layers, caps, tied embeddings, merged or separate projections.
 */
import type { Random } from '#base/random'
import type { TableId, ValueId, WeightId } from '#engine/program/program'
import type { DType } from '#engine/tensor/dtype'
import { CaseBuilder, type ProgramCase } from './case-builder.ts'

export interface ModelCaseOptions {
  readonly name: string
  readonly seed: number
  readonly dtype: DType
  readonly vocabSize: number
  readonly numLayers: number
  readonly hiddenSize: number
  readonly intermediateSize: number
  readonly numHeads: number
  readonly numKvHeads: number
  readonly headDim: number
  readonly pairing: 'interleaved' | 'half-split'
  readonly activation: 'silu' | 'gelu_tanh'
  readonly hasQkNorm: boolean
  readonly hasBias: boolean
  readonly hasPostNorm: boolean
  readonly isTied: boolean
  /** Of every second layer. */
  readonly window: number | null
  readonly attentionSoftcap: number | null
  readonly logitSoftcap: number | null
}

const EPSILON = 1e-5

/** A Llama-like model: 2 layers, GQA, nothing else. */
export function plainModel(dtype: DType, changes: Partial<ModelCaseOptions> = {}): ProgramCase {
  return modelCase({
    name: `model ${dtype}`,
    seed: 7,
    dtype,
    vocabSize: 96,
    numLayers: 2,
    hiddenSize: 256,
    intermediateSize: 256,
    numHeads: 8,
    numKvHeads: 2,
    headDim: 32,
    pairing: 'half-split',
    activation: 'silu',
    hasQkNorm: false,
    hasBias: false,
    hasPostNorm: false,
    isTied: false,
    window: null,
    attentionSoftcap: null,
    logitSoftcap: null,
    ...changes,
  })
}

/** A random combination of everything, small. */
export function randomModel(random: Random, dtype: DType, name: string): ProgramCase {
  const pick = <T>(...choices: readonly T[]): T => choices[random.nextInt(choices.length)]!
  const numKvHeads = pick(1, 2, 3)
  const isFloat = dtype === 'f32' || dtype === 'f16' || dtype === 'bf16'
  return modelCase({
    name,
    seed: random.nextUint32(),
    dtype,
    vocabSize: pick(64, 97),
    numLayers: pick(1, 2, 3),
    numKvHeads,
    hiddenSize: isFloat ? pick(24, 40, 64) : 256,
    intermediateSize: isFloat ? pick(36, 64) : 256,
    numHeads: isFloat ? numKvHeads * pick(1, 2, 4) : numKvHeads * 8,
    headDim: isFloat ? pick(8, 12, 16) : 32,
    pairing: pick('interleaved', 'half-split'),
    activation: pick('silu', 'gelu_tanh'),
    hasQkNorm: pick(true, false),
    hasBias: pick(true, false),
    hasPostNorm: pick(true, false),
    isTied: pick(true, false),
    window: pick(null, 1, 4),
    attentionSoftcap: pick(null, 10),
    logitSoftcap: pick(null, 5),
  })
}

export function modelCase(options: ModelCaseOptions): ProgramCase {
  const { name, vocabSize, numLayers, numKvHeads, headDim, hiddenSize, dtype } = options
  const builder = new CaseBuilder({ name, vocabSize, numLayers, numKvHeads, headDim }, options.seed)
  const { program } = builder
  const embedding = builder.weight('embedding', dtype, vocabSize, hiddenSize)
  const table = program.table(Array.from({ length: headDim / 2 }, (_, pair) => 10000 ** ((-2 * pair) / headDim)))
  let x = program.embed({ name: 'embedded', table: embedding, scale: 4 })
  for (let layer = 0; layer < numLayers; layer++) {
    x = addTo(builder, options, x, attentionBlock(builder, options, { layer, x, table }), `blk.${layer}.attn`)
    x = addTo(builder, options, x, mlpBlock(builder, options, layer, x), `blk.${layer}.ffn`)
  }
  const normed = program.rmsNorm({ name: 'final_norm', x, weight: builder.vector('final_norm', hiddenSize, 'f32', 1), epsilon: EPSILON })
  const hidden = program.selectRows({ name: 'hidden', x: normed })
  return builder.finishHidden(hidden, options.isTied ? embedding : builder.weight('output', dtype, vocabSize, hiddenSize), options.logitSoftcap)
}

/** x + y, or x + norm(y). */
function addTo(builder: CaseBuilder, options: ModelCaseOptions, x: ValueId, y: ValueId, name: string): ValueId {
  const { program } = builder
  const normed = options.hasPostNorm
    ? program.rmsNorm({
        name: `${name}_post_norm`,
        x: y,
        weight: builder.vector(`${name}_post_norm`, options.hiddenSize, 'f32', 1),
        epsilon: EPSILON,
      })
    : y
  return program.add({ name: `${name}_sum`, a: x, b: normed })
}

function attentionBlock(
  builder: CaseBuilder,
  options: ModelCaseOptions,
  { layer, x, table }: { readonly layer: number; readonly x: ValueId; readonly table: TableId },
): ValueId {
  const { program } = builder
  const { hiddenSize, numHeads, numKvHeads, headDim, dtype, hasBias, pairing } = options
  const at = `blk.${layer}.attn`
  const normed = program.rmsNorm({ name: `${at}_norm`, x, weight: builder.vector(`${at}_norm`, hiddenSize, 'f32', 1), epsilon: EPSILON })
  const project = (part: string, width: number): ValueId => {
    const bias: WeightId | null = hasBias ? builder.vector(`${at}_${part}.bias`, width) : null
    return program.linear({ name: `${at}_${part}`, x: normed, weight: builder.weight(`${at}_${part}`, dtype, width, hiddenSize), bias })
  }
  const [q, k, v] = [project('q', numHeads * headDim), project('k', numKvHeads * headDim), project('v', numKvHeads * headDim)]
  if (options.hasQkNorm) {
    program.rmsNorm({ name: `${at}_q_norm`, x: q, weight: builder.vector(`${at}_q_norm`, headDim, 'f32', 1), epsilon: EPSILON, inPlace: true })
    program.rmsNorm({ name: `${at}_k_norm`, x: k, weight: builder.vector(`${at}_k_norm`, headDim, 'f32', 1), epsilon: EPSILON, inPlace: true })
  }
  for (const head of [q, k]) program.rope({ x: head, table, rotaryDim: headDim, pairing })
  program.kvWrite({ layer, k, v })
  const window = layer % 2 === 0 ? options.window : null
  const attended = program.attention({
    name: `${at}_heads`,
    layer,
    q,
    numHeads,
    scale: 1 / Math.sqrt(headDim),
    window,
    softcap: options.attentionSoftcap,
  })
  return program.linear({ name: `${at}_out`, x: attended, weight: builder.weight(`${at}_out`, dtype, hiddenSize, numHeads * headDim) })
}

function mlpBlock(builder: CaseBuilder, options: ModelCaseOptions, layer: number, x: ValueId): ValueId {
  const { program } = builder
  const { hiddenSize, intermediateSize, dtype } = options
  const at = `blk.${layer}.ffn`
  const normed = program.rmsNorm({ name: `${at}_norm`, x, weight: builder.vector(`${at}_norm`, hiddenSize, 'f32', 1), epsilon: EPSILON })
  const gate = program.linear({ name: `${at}_gate`, x: normed, weight: builder.weight(`${at}_gate`, dtype, intermediateSize, hiddenSize) })
  const up = program.linear({ name: `${at}_up`, x: normed, weight: builder.weight(`${at}_up`, dtype, intermediateSize, hiddenSize) })
  const gated = program.gatedActivation({ name: `${at}_act`, gate, up, activation: options.activation })
  return program.linear({ name: `${at}_down`, x: gated, weight: builder.weight(`${at}_down`, dtype, hiddenSize, intermediateSize) })
}
