/** Programs of Llama's shape with random weights, for measuring: only sizes and formats matter. */
import { optimize } from '#engine/program/optimize'
import { ProgramBuilder } from '#engine/program/program-builder'
import type { Program, ValueId, WeightId } from '#engine/program/program'
import type { DType } from '#engine/tensor/dtype'
import { RandomTensors } from './random-tensors.ts'

export interface LlamaShape {
  readonly vocabSize: number
  readonly numLayers: number
  readonly hiddenSize: number
  readonly intermediateSize: number
  readonly numHeads: number
  readonly numKvHeads: number
  readonly headDim: number
}

export const LLAMA_SHAPES = {
  '0.5b': { vocabSize: 151936, numLayers: 24, hiddenSize: 896, intermediateSize: 4864, numHeads: 14, numKvHeads: 2, headDim: 64 },
  '1.1b': { vocabSize: 32000, numLayers: 22, hiddenSize: 2048, intermediateSize: 5632, numHeads: 32, numKvHeads: 4, headDim: 64 },
  '3b': { vocabSize: 128256, numLayers: 28, hiddenSize: 3072, intermediateSize: 8192, numHeads: 24, numKvHeads: 8, headDim: 128 },
  '8b': { vocabSize: 128256, numLayers: 32, hiddenSize: 4096, intermediateSize: 14336, numHeads: 32, numKvHeads: 8, headDim: 128 },
} as const satisfies Record<string, LlamaShape>

export interface BenchModel {
  readonly program: Program
  readonly tensors: RandomTensors
  /** Multiply-adds of all matrices for one token whose logits are wanted. */
  readonly macsPerToken: number
}

export function llamaModel(shape: LlamaShape, dtype: DType): BenchModel {
  const builder = new ProgramBuilder({ name: 'bench', ...shape })
  const tensors = new RandomTensors()
  let macsPerToken = 0
  const matrix = (name: string, numRows: number, numColumns: number): WeightId => {
    tensors.add(name, dtype, [numRows, numColumns])
    macsPerToken += numRows * numColumns
    return builder.weight({ name, dtype, numRows, numColumns })
  }
  const vector = (name: string): WeightId => {
    tensors.add(name, 'f32', [shape.hiddenSize])
    return builder.weight({ name, dtype: 'f32', numRows: 1, numColumns: shape.hiddenSize })
  }
  const frequencies = Array.from({ length: shape.headDim / 2 }, (_, i) => 10000 ** ((-2 * i) / shape.headDim))
  const table = builder.table(frequencies)
  const [qWidth, kvWidth] = [shape.numHeads * shape.headDim, shape.numKvHeads * shape.headDim]
  const vocabulary = matrix('embed', shape.vocabSize, shape.hiddenSize)
  let x = builder.embed({ name: 'embed', table: vocabulary })
  for (let layer = 0; layer < shape.numLayers; layer++) {
    const at = (name: string): string => `blk.${layer}.${name}`
    const normed = builder.rmsNorm({ name: at('norm'), x, weight: vector(at('norm')), epsilon: 1e-5 })
    const project = (name: string, input: ValueId, numRows: number, numColumns: number, residual: ValueId | null = null): ValueId =>
      builder.linear({ name: at(name), x: input, weight: matrix(at(name), numRows, numColumns), residual })
    const [q, k, v] = [
      project('q', normed, qWidth, shape.hiddenSize),
      project('k', normed, kvWidth, shape.hiddenSize),
      project('v', normed, kvWidth, shape.hiddenSize),
    ]
    for (const rotated of [q, k]) builder.rope({ x: rotated, table, rotaryDim: shape.headDim, pairing: 'half-split' })
    builder.kvWrite({ layer, k, v })
    const attended = builder.attention({ name: at('attention'), layer, q, numHeads: shape.numHeads, scale: shape.headDim ** -0.5 })
    x = project('o', attended, shape.hiddenSize, qWidth, x)
    const mid = builder.rmsNorm({ name: at('ffn_norm'), x, weight: vector(at('ffn_norm')), epsilon: 1e-5 })
    const gate = project('gate', mid, shape.intermediateSize, shape.hiddenSize)
    const up = project('up', mid, shape.intermediateSize, shape.hiddenSize)
    x = project('down', builder.gatedActivation({ name: at('act'), gate, up, activation: 'silu' }), shape.hiddenSize, shape.intermediateSize, x)
  }
  const selected = builder.selectRows({ name: 'selected', x })
  const hidden = builder.rmsNorm({ name: 'hidden', x: selected, weight: vector('output_norm'), epsilon: 1e-5 })
  const logits = builder.linear({ name: 'logits', x: hidden, weight: vocabulary, rows: 'logits' })
  return { program: optimize(builder.finish({ hidden, logits })), tensors, macsPerToken }
}

/** numLayers pairs of up and down projections and nothing else: what a step costs here is matmul. */
export function matmulModel(
  dtype: DType,
  { numLayers, narrow, wide }: { readonly numLayers: number; readonly narrow: number; readonly wide: number },
): BenchModel {
  const builder = new ProgramBuilder({ name: 'bench', vocabSize: 64, numLayers: 1, numKvHeads: 1, headDim: 16 })
  const tensors = new RandomTensors()
  tensors.add('embed', 'f32', [64, narrow])
  let x = builder.embed({ name: 'embed', table: builder.weight({ name: 'embed', dtype: 'f32', numRows: 64, numColumns: narrow }) })
  for (let layer = 0; layer < numLayers; layer++) {
    for (const [name, numRows, numColumns] of [
      ['up', wide, narrow],
      ['down', narrow, wide],
    ] as const) {
      tensors.add(`${name}.${layer}`, dtype, [numRows, numColumns])
      x = builder.linear({ name, x, weight: builder.weight({ name: `${name}.${layer}`, dtype, numRows, numColumns }) })
    }
  }
  const hidden = builder.selectRows({ name: 'hidden', x })
  tensors.add('output', 'f32', [64, narrow])
  const logits = builder.linear({
    name: 'logits',
    x: hidden,
    weight: builder.weight({ name: 'output', dtype: 'f32', numRows: 64, numColumns: narrow }),
    rows: 'logits',
  })
  return { program: builder.finish({ hidden, logits }), tensors, macsPerToken: 2 * numLayers * narrow * wide }
}
