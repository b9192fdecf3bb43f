import { ProgramBuilder } from '#engine/program/program-builder'
import type { Program } from '#engine/program/program'

/** The smallest valid program for null kernels: it has a vocabulary and a hidden size, and its weights are never read. */
export function nullProgram({ vocabSize, hiddenSize = 8 }: { readonly vocabSize: number; readonly hiddenSize?: number }): Program {
  const builder = new ProgramBuilder({ name: 'null', vocabSize, numLayers: 1, numKvHeads: 1, headDim: 2 })
  const table = builder.weight({ name: 'table', dtype: 'f32', numRows: vocabSize, numColumns: hiddenSize })
  const embedded = builder.embed({ name: 'embedded', table })
  const hidden = builder.selectRows({ name: 'hidden', x: embedded })
  const logits = builder.linear({ name: 'logits', x: hidden, weight: table, rows: 'logits' })
  return builder.finish({ hidden, logits })
}
