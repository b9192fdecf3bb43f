import { expect, test } from 'vitest'
import type { DType } from '#engine/tensor/dtype'
import type { TensorFile, TensorInfo } from '#engine/weights/tensor-file'
import { ProgramBuilder } from './program-builder.ts'
import type { Op, Program, Value, ValueId, Weight, WeightId } from './program.ts'
import { verifyProgram, verifyWeights } from './verify.ts'

/** embedded, norm, q, k, v, heads, out (residual), hidden, logits: one layer of 2 heads of 16 over 1 KV head, width 32. */
function sound(): Program {
  const builder = new ProgramBuilder({ name: 'sound', vocabSize: 10, numLayers: 1, numKvHeads: 1, headDim: 16 })
  const weight = (name: string, numRows: number, numColumns = 32): WeightId => builder.weight({ name, dtype: 'f32', numRows, numColumns })
  const table = builder.table([1, 0.1], 1)
  const embedded = builder.embed({ name: 'embedded', table: weight('table', 10) })
  const norm = builder.rmsNorm({ name: 'norm', x: embedded, weight: weight('norm', 1), epsilon: 1e-5 })
  const q = builder.linear({ name: 'q', x: norm, weight: weight('q', 32), bias: weight('q.bias', 1) })
  const k = builder.linear({ name: 'k', x: norm, weight: weight('k', 16) })
  const v = builder.linear({ name: 'v', x: norm, weight: weight('v', 16) })
  builder.rope({ x: q, table, rotaryDim: 4, pairing: 'half-split' })
  builder.kvWrite({ layer: 0, k, v })
  const heads = builder.attention({ name: 'heads', layer: 0, q, numHeads: 2, scale: 0.25 })
  const out = builder.linear({ name: 'out', x: heads, weight: weight('out', 32), residual: embedded })
  const hidden = builder.selectRows({ name: 'hidden', x: out })
  const logits = builder.linear({ name: 'logits', x: hidden, weight: weight('output', 10), rows: 'logits' })
  return builder.finish({ hidden, logits })
}

type OpChange = { readonly [K in Op['kind']]?: Partial<Extract<Op, { kind: K }>> }

/** The sound program with fields of the first op of each named kind changed. */
function withOps(changes: OpChange): Program {
  const program = sound()
  const seen = new Set<string>()
  const ops = program.ops.map((op) => {
    const change = seen.has(op.kind) ? undefined : changes[op.kind]
    seen.add(op.kind)
    return { ...op, ...change } as Op
  })
  return { ...program, ops }
}

function withValue(name: string, change: Partial<Value>): Program {
  const program = sound()
  return { ...program, values: program.values.map((value) => (value.name === name ? { ...value, ...change } : value)) }
}

function withWeight(name: string, change: Partial<Weight>): Program {
  const program = sound()
  return { ...program, weights: program.weights.map((weight) => (weight.name === name ? { ...weight, ...change } : weight)) }
}

function idOf(name: string): ValueId {
  return sound().values.find((value) => value.name === name)!.id
}

test('a sound program passes', () => {
  expect(() => verifyProgram(sound())).not.toThrow()
})

test('a view of a view is refused, an in-place op on a view is not', () => {
  const builder = new ProgramBuilder({ name: 'views', vocabSize: 10, numLayers: 1, numKvHeads: 1, headDim: 16 })
  const embedded = builder.embed({ name: 'embedded', table: builder.weight({ name: 'table', dtype: 'f32', numRows: 10, numColumns: 32 }) })
  const table = builder.table([1])
  builder.rope({ x: builder.view(embedded, 16, 16), table, rotaryDim: 2, pairing: 'interleaved' })
  const hidden = builder.selectRows({ name: 'hidden', x: embedded })
  const logits = builder.linear({
    name: 'logits',
    x: hidden,
    weight: builder.weight({ name: 'table', dtype: 'f32', numRows: 10, numColumns: 32 }),
    rows: 'logits',
  })
  const program = builder.finish({ hidden, logits })
  const values = program.values.map((value) => (value.name === 'hidden' ? { ...value, view: { of: value.id, columnOffset: 0 } } : value))
  expect(() => verifyProgram({ ...program, values })).toThrow('which is a view itself')
})

test.each<[string, Program]>([
  ['op 1 (rms_norm norm): embedded has 32 columns, norm 31', withValue('norm', { width: 31 })],
  ['op 2 (linear q): weight has 33 columns, norm 32', withWeight('q', { numColumns: 33 })],
  ['op 2 (linear q): weight has 31 rows, out 32', withWeight('q', { numRows: 31, parts: [{ tensor: 'q', rowStart: 0, numRows: 31 }] })],
  ['op 2 (linear q): q.bias has shape 1 x 31, 1 x 32 expected', withWeight('q.bias', { numColumns: 31 })],
  ['op 2 (linear q): q.bias is a vector of type q8_0, which must be f32, f16 or bf16', withWeight('q.bias', { dtype: 'q8_0' })],
  [
    'op 3 (linear q): writes q a second time',
    { ...sound(), ops: sound().ops.map((op, index) => (index === 3 ? ({ ...op, out: idOf('q') } as Op) : op)) },
  ],
  [
    'op 0 (embed embedded): table has 11 rows, the vocabulary 10',
    withWeight('table', { numRows: 11, parts: [{ tensor: 'table', rowStart: 0, numRows: 11 }] }),
  ],
  ['op 0 (embed embedded): scale must be positive, is NaN', withOps({ embed: { scale: NaN } })],
  ['op 1 (rms_norm norm): epsilon must be positive, is 0', withOps({ rms_norm: { epsilon: 0 } })],
  ['op 1 (rms_norm norm): groups of 5 do not divide the width 32', withOps({ rms_norm: { groupWidth: 5 } })],
  ['op 1 (rms_norm norm): q is read before it is written', withOps({ rms_norm: { x: idOf('q') } })],
  ['op 1 (rms_norm norm): value 99 does not exist', withOps({ rms_norm: { x: 99 as ValueId } })],
  ['op 2 (linear q): weight 99 does not exist', withOps({ linear: { weight: 99 as WeightId } })],
  ['op 5 (rope q): rotary dimension 3 is not even', withOps({ rope: { rotaryDim: 3 } })],
  ["op 5 (rope q): rotary dimension 18 is larger than the head's 16", withOps({ rope: { rotaryDim: 18 } })],
  ['op 5 (rope q): table has 2 frequencies, 3 expected', withOps({ rope: { rotaryDim: 6 } })],
  ['op 5 (rope q): heads of 24 do not divide the width 32', withOps({ rope: { headDim: 24 } })],
  ['op 6 (kv_write layer 1): layer 1 is not within the 1 of the program', withOps({ kv_write: { layer: 1 } })],
  ['op 6 (kv_write layer 0): q has 32 columns, the cache 16', withOps({ kv_write: { k: idOf('q') } })],
  ['op 7 (attention heads): 0 heads do not share 1 KV heads evenly', withOps({ attention: { numHeads: 0 } })],
  ['op 7 (attention heads): q has 32 columns, 3 heads of 16 expected', withOps({ attention: { numHeads: 3 } })],
  ['op 7 (attention heads): window 0 is not a positive integer', withOps({ attention: { window: 0 } })],
  ['op 7 (attention heads): softcap must be positive, is -1', withOps({ attention: { softcap: -1 } })],
  ['op 7 (attention heads): scale must be positive, is Infinity', withOps({ attention: { scale: Infinity } })],
  ['op 9 (select_rows hidden): out has 32 columns, hidden 31', withValue('hidden', { width: 31 })],
  ['op 9 (select_rows hidden): hidden has rows of tokens, outputs expected', withValue('hidden', { rows: 'tokens' })],
  ['op 2 (linear q): weight 2 (q): rows of 32 elements are no multiple of the 256 of a q4_k block', withWeight('q', { dtype: 'q4_k' })],
  ['op 2 (linear q): weight 2 (q): its parts have 32 rows, 40 expected', withWeight('q', { numRows: 40 })],
  ['op 2 (linear q): weight 2 (q): unknown type iq1_s', withWeight('q', { dtype: 'iq1_s' as DType })],
  ['op 1 (rms_norm norm): weight 1 (norm): shape 0 x 32 is not made of positive integers of 31 bits', withWeight('norm', { numRows: 0 })],
  ['op 8 (linear out): weight 6 (out): part out has rows -1 + 32', withWeight('out', { parts: [{ tensor: 'out', rowStart: -1, numRows: 32 }] })],
  [
    'op 2 (linear q): weight 3 (q.bias): shape 1 x 2147483648 is not made of positive integers of 31 bits',
    withWeight('q.bias', { numColumns: 2 ** 31 }),
  ],
  ['op 2 (linear q): weight 2 (q): only an unquantized vector takes an offset', withWeight('q', { offset: 1 })],
  ['program sound: hidden must be a whole value with rows of outputs', { ...sound(), hidden: idOf('out') }],
  ['program sound: headDim must be a positive integer of 31 bits, is 0.5', { ...sound(), headDim: 0.5 }],
  ['program sound: vocabSize must be a positive integer of 31 bits, is 4294967296', { ...sound(), vocabSize: 2 ** 32 }],
  ['value 1 (norm): width must be a positive integer of 31 bits, is 2147483648', withValue('norm', { width: 2 ** 31 })],
])('%s', (message, program) => {
  expect(() => verifyProgram(program)).toThrow(
    expect.objectContaining({ code: 'unsupported_model', message: expect.stringContaining(message) as string }) as Error,
  )
})

test('attention before the kv_write of its layer is refused', () => {
  const program = sound()
  const ops = program.ops.filter((op) => op.kind !== 'kv_write')
  expect(() => verifyProgram({ ...program, ops })).toThrow('op 6 (attention heads): layer 0 is attended before its kv_write')
})

test('a residual in place must not be what the linear reads', () => {
  const program = sound()
  const ops = program.ops.map((op): Op => (op.kind === 'linear' && op.residual !== null ? { ...op, x: op.residual, out: op.residual } : op))
  expect(() => verifyProgram({ ...program, ops })).toThrow('overwrites columns of embedded while it reads them')
})

function fileOf(changes: Readonly<Record<string, Partial<TensorInfo> | null>> = {}): TensorFile {
  const tensors = new Map<string, TensorInfo>()
  for (const { name, numRows, numColumns } of sound().weights) {
    const info = {
      name,
      dtype: 'f32' as const,
      shape: numRows === 1 ? [numColumns] : [numRows, numColumns],
      fileIndex: 0,
      byteOffset: 0,
      byteLength: numRows * numColumns * 4,
    }
    if (changes[name] !== null) tensors.set(name, { ...info, ...changes[name] })
  }
  return { format: 'gguf', paths: [], tensors, readTensor: () => Promise.reject(new Error('not read')), close: () => Promise.resolve() }
}

test.each<[string, TensorFile]>([
  ['weight k: tensor k is not in the file', fileOf({ k: null })],
  ['weight k: tensor k has type f16, f32 expected', fileOf({ k: { dtype: 'f16' } })],
  ['weight k: tensor k has 31 columns, 32 expected', fileOf({ k: { shape: [16, 31] } })],
  ['weight k: tensor k has 8 rows, rows 0 to 16 are wanted', fileOf({ k: { shape: [8, 32] } })],
  ['weight k: tensor k has 3 dimensions, 1 or 2 expected', fileOf({ k: { shape: [1, 16, 32] } })],
])('against the file: %s', (message, tensors) => {
  expect(() => verifyWeights(sound(), fileOf())).not.toThrow()
  expect(() => verifyWeights(sound(), tensors)).toThrow(expect.objectContaining({ code: 'invalid_model_file', message }) as Error)
})
