/**
 * One op a program, over the shapes that kernels tend to get wrong: rows that fill no tile, widths that fill no vector, views,
 * in-place forms, every element format. Native is compared with the reference over all of them.
 */
import type { DType } from '#engine/tensor/dtype'
import { DTYPES } from '#engine/tensor/dtype'
import { CaseBuilder, type ProgramCase } from './case-builder.ts'

export const ALL_DTYPES = Object.keys(DTYPES) as readonly DType[]
const VOCAB_SIZE = 61

/** Every case of every op; the names are unique and say what is special. */
export function opCases(): ProgramCase[] {
  return [...embedCases(), ...linearCases(), ...rmsNormCases(), ...ropeCases(), ...attentionCases(), ...elementwiseCases()]
}

function caseOf(name: string, headDim = 8, numKvHeads = 1): CaseBuilder {
  let seed = 17
  for (const char of name) seed = (Math.imul(seed, 31) + char.charCodeAt(0)) >>> 0
  return new CaseBuilder({ name, vocabSize: VOCAB_SIZE, numLayers: 1, numKvHeads, headDim }, seed)
}

function embedCases(): ProgramCase[] {
  return ALL_DTYPES.flatMap((dtype) =>
    [256, { 1: 19, 32: 96, 256: 512 }[DTYPES[dtype].blockSize]!].map((width) => {
      const builder = caseOf(`embed ${dtype} ${width}`)
      const x = builder.program.embed({ name: 'x', table: builder.weight('table', dtype, VOCAB_SIZE, width), scale: 2.5 })
      return builder.finish(x, width)
    }),
  )
}

interface LinearShape {
  readonly numRows: number
  readonly numColumns: number
}

function linearCases(): ProgramCase[] {
  const cases = ALL_DTYPES.flatMap((dtype) => {
    const { blockSize } = DTYPES[dtype]
    const shapes: LinearShape[] = [
      { numRows: 48, numColumns: 256 },
      { numRows: 5, numColumns: 256 },
      { numRows: 131, numColumns: 512 },
    ]
    if (blockSize === 32) shapes.push({ numRows: 17, numColumns: 96 }, { numRows: 64, numColumns: 32 })
    if (blockSize === 1) shapes.push({ numRows: 7, numColumns: 40 }, { numRows: 33, numColumns: 19 }, { numRows: 1, numColumns: 3 })
    return shapes.map((shape) => linearCase(dtype, shape))
  })
  return [...cases, ...ALL_DTYPES.flatMap(linearVariants)]
}

function linearCase(dtype: DType, { numRows, numColumns }: LinearShape): ProgramCase {
  const builder = caseOf(`linear ${dtype} ${numRows}x${numColumns}`)
  const out = builder.program.linear({ name: 'out', x: builder.input('x', numColumns), weight: builder.weight('weight', dtype, numRows, numColumns) })
  return builder.finish(out, numRows)
}

function linearVariants(dtype: DType): ProgramCase[] {
  // Rows that fill five panels and a part of a sixth.
  const [numRows, numColumns] = [91, 256]
  const bias = caseOf(`linear ${dtype} bias`)
  const biased = bias.program.linear({
    name: 'out',
    x: bias.input('x', numColumns),
    weight: bias.weight('weight', dtype, numRows, numColumns),
    bias: bias.vector('bias', numRows),
  })
  const residual = caseOf(`linear ${dtype} bias residual parts`)
  const summed = residual.program.linear({
    name: 'out',
    x: residual.input('x', numColumns),
    weight: residual.splitWeight('weight', dtype, numRows, numColumns),
    bias: residual.vector('bias', numRows, 'bf16'),
    residual: residual.input('residual', numRows),
  })
  const viewed = caseOf(`linear ${dtype} view`)
  const wide = viewed.input('wide', numColumns + 128)
  const narrow = viewed.program.linear({
    name: 'out',
    x: viewed.program.view(wide, 64, numColumns),
    weight: viewed.weight('weight', dtype, numRows, numColumns),
  })
  return [bias.finish(biased, numRows), residual.finish(summed, numRows), viewed.finish(narrow, numRows), quantizedOutputCase(dtype)]
}

/** The output projection itself in the format: only the sampled rows are computed. */
function quantizedOutputCase(dtype: DType): ProgramCase {
  const builder = caseOf(`linear ${dtype} logits`)
  return builder.finish(builder.input('x', 256), 256, dtype)
}

function rmsNormCases(): ProgramCase[] {
  const variants = [
    { width: 96, groupWidth: 96, dtype: 'f32', offset: 0, inPlace: false },
    { width: 33, groupWidth: 33, dtype: 'f16', offset: 0, inPlace: false },
    { width: 512, groupWidth: 512, dtype: 'bf16', offset: 1, inPlace: false },
    { width: 128, groupWidth: 16, dtype: 'f32', offset: 0, inPlace: true },
    { width: 120, groupWidth: 40, dtype: 'bf16', offset: 0, inPlace: true },
  ] as const
  const cases = variants.map(({ width, groupWidth, dtype, offset, inPlace }) => {
    const builder = caseOf(`rms_norm ${width} by ${groupWidth} ${dtype} ${inPlace ? 'in place' : 'fresh'}`)
    const weight = builder.vector('weight', groupWidth, dtype, offset)
    return builder.finish(builder.program.rmsNorm({ name: 'out', x: builder.input('x', width), weight, epsilon: 1e-5, inPlace }), width)
  })
  const builder = caseOf('rms_norm of a view in place')
  const wide = builder.input('wide', 96)
  builder.program.rmsNorm({ name: 'out', x: builder.program.view(wide, 32, 48), weight: builder.vector('weight', 16), epsilon: 1e-6, inPlace: true })
  return [...cases, builder.finish(wide, 96)]
}

function ropeCases(): ProgramCase[] {
  const variants = [
    { headDim: 8, rotaryDim: 8, numHeads: 3, magnitude: 1 },
    { headDim: 64, rotaryDim: 64, numHeads: 2, magnitude: 1 },
    { headDim: 80, rotaryDim: 32, numHeads: 1, magnitude: 1.19 },
    { headDim: 12, rotaryDim: 6, numHeads: 5, magnitude: 1 },
  ]
  return (['interleaved', 'half-split'] as const).flatMap((pairing) =>
    variants.map(({ headDim, rotaryDim, numHeads, magnitude }) => {
      const builder = caseOf(`rope ${pairing} ${numHeads} x ${headDim} rotary ${rotaryDim}`)
      const frequencies = Array.from({ length: rotaryDim / 2 }, (_, pair) => 10000 ** ((-2 * pair) / rotaryDim))
      const table = builder.program.table(frequencies, magnitude)
      const wide = builder.input('wide', headDim * (numHeads + 1))
      builder.program.rope({ x: builder.program.view(wide, headDim, headDim * numHeads), table, rotaryDim, pairing, headDim })
      return builder.finish(wide, headDim * (numHeads + 1))
    }),
  )
}

export interface AttentionVariant {
  readonly headDim: number
  readonly numHeads: number
  readonly numKvHeads: number
  readonly window: number | null
  readonly softcap: number | null
}

const ATTENTION_VARIANTS: readonly AttentionVariant[] = [
  { headDim: 8, numHeads: 1, numKvHeads: 1, window: null, softcap: null },
  { headDim: 16, numHeads: 4, numKvHeads: 4, window: null, softcap: null },
  { headDim: 64, numHeads: 8, numKvHeads: 2, window: null, softcap: null },
  { headDim: 5, numHeads: 2, numKvHeads: 1, window: null, softcap: null },
  { headDim: 80, numHeads: 3, numKvHeads: 1, window: null, softcap: null },
  { headDim: 128, numHeads: 2, numKvHeads: 1, window: null, softcap: null },
  { headDim: 20, numHeads: 6, numKvHeads: 3, window: null, softcap: null },
  { headDim: 32, numHeads: 4, numKvHeads: 2, window: 5, softcap: null },
  { headDim: 32, numHeads: 4, numKvHeads: 2, window: 1, softcap: null },
  { headDim: 32, numHeads: 4, numKvHeads: 2, window: null, softcap: 20 },
  { headDim: 256, numHeads: 4, numKvHeads: 1, window: 17, softcap: 50 },
]

function attentionCases(): ProgramCase[] {
  return ATTENTION_VARIANTS.map(attentionCase)
}

export function attentionCase({ headDim, numHeads, numKvHeads, window, softcap }: AttentionVariant): ProgramCase {
  const builder = caseOf(`attention ${numHeads}/${numKvHeads} x ${headDim} window ${window} softcap ${softcap}`, headDim, numKvHeads)
  const [qWidth, kvWidth] = [numHeads * headDim, numKvHeads * headDim]
  const qkv = builder.input('qkv', qWidth + 2 * kvWidth)
  builder.program.kvWrite({ layer: 0, k: builder.program.view(qkv, qWidth, kvWidth), v: builder.program.view(qkv, qWidth + kvWidth, kvWidth) })
  const out = builder.program.attention({
    name: 'out',
    layer: 0,
    q: builder.program.view(qkv, 0, qWidth),
    numHeads,
    scale: 1 / Math.sqrt(headDim),
    window,
    softcap,
  })
  return builder.finish(out, qWidth)
}

function elementwiseCases(): ProgramCase[] {
  const gated = (['silu', 'gelu_tanh'] as const).map((activation) => {
    const builder = caseOf(`gated_activation ${activation}`)
    const gateUp = builder.input('gate-up', 2 * 83)
    return builder.finish(
      builder.program.gatedActivation({
        name: 'out',
        gate: builder.program.view(gateUp, 0, 83),
        up: builder.program.view(gateUp, 83, 83),
        activation,
      }),
      83,
    )
  })
  const added = caseOf('add')
  const sum = added.program.add({ name: 'out', a: added.input('a', 71), b: added.input('b', 71) })
  const capped = caseOf('softcap')
  const cap = capped.program.softcap({ x: capped.input('x', 45), cap: 1.5 })
  return [...gated, added.finish(sum, 71), capped.finish(cap, 45)]
}
