/** The shape of what each pass makes; that results stay the same is shown in tests/parity. */
import { expect, test } from 'vitest'
import { PASSES, optimize } from '../optimize.ts'
import { outputOf } from '../operands.ts'
import { ProgramBuilder } from '../program-builder.ts'
import type { Op, Program, ValueId, WeightId } from '../program.ts'
import { verifyProgram } from '../verify.ts'
import { dropDeadValues } from './drop-dead-values.ts'
import { foldResiduals } from './fold-residuals.ts'
import { mergeLinears } from './merge-linears.ts'
import { selectRowsEarly } from './select-rows-early.ts'

interface Parts {
  readonly builder: ProgramBuilder
  readonly weight: (name: string, numRows: number) => WeightId
  readonly embedded: ValueId
}

/** A program over width 32 whose middle is `build`; it returns the value (tokens, 32) that becomes hidden. */
function programOf(build: (parts: Parts) => ValueId): Program {
  const builder = new ProgramBuilder({ name: 'test', vocabSize: 10, numLayers: 2, numKvHeads: 1, headDim: 16 })
  const weight = (name: string, numRows: number): WeightId => builder.weight({ name, dtype: 'f32', numRows, numColumns: 32 })
  const embedded = builder.embed({ name: 'embedded', table: weight('table', 10) })
  const hidden = builder.selectRows({ name: 'hidden', x: build({ builder, weight, embedded }) })
  return builder.finish({ hidden, logits: builder.linear({ name: 'logits', x: hidden, weight: weight('output', 10), rows: 'logits' }) })
}

function layer({ builder, weight }: Parts, index: number, x: ValueId): ValueId {
  const q = builder.linear({ name: 'q', x, weight: weight('q', 32) })
  const k = builder.linear({ name: 'k', x, weight: weight('k', 16) })
  const v = builder.linear({ name: 'v', x, weight: weight('v', 16) })
  builder.kvWrite({ layer: index, k, v })
  const heads = builder.attention({ name: 'heads', layer: index, q, numHeads: 2, scale: 0.25 })
  const sum = builder.add({ name: 'sum', a: x, b: builder.linear({ name: 'out', x: heads, weight: weight('out', 32) }) })
  const gate = builder.linear({ name: 'gate', x: sum, weight: weight('gate', 32) })
  const up = builder.linear({ name: 'up', x: sum, weight: weight('up', 32) })
  const gated = builder.gatedActivation({ name: 'gated', gate, up, activation: 'silu' })
  return builder.add({ name: 'layer', a: builder.linear({ name: 'down', x: gated, weight: weight('down', 32) }), b: sum })
}

function shapeOf(program: Program): string[] {
  verifyProgram(program)
  return program.ops.map((op) => {
    const out = outputOf(op)
    return out === null ? op.kind : `${op.kind} ${program.values[out]!.name} ${program.values[out]!.rows}`
  })
}

const twoLayers = programOf((parts) => layer(parts, 1, layer(parts, 0, parts.embedded)))

test('a two-layer model becomes merged projections, residual linears and a selection behind the last attention', () => {
  const layerOps = ['linear q + k + v tokens', 'kv_write', 'attention heads tokens']
  expect(shapeOf(optimize(twoLayers))).toEqual([
    'embed embedded tokens',
    ...layerOps,
    'linear sum tokens',
    'linear gate + up tokens',
    'gated_activation gated tokens',
    'linear layer tokens',
    ...layerOps,
    'select_rows heads outputs',
    'select_rows layer outputs',
    'linear sum outputs',
    'linear gate + up outputs',
    'gated_activation gated outputs',
    'linear hidden outputs',
    'linear logits logits',
  ])
})

test('each pass alone keeps the program valid, and the second round changes nothing', () => {
  for (const pass of PASSES) verifyProgram(pass(twoLayers))
  expect(optimize(optimize(twoLayers))).toEqual(optimize(twoLayers))
})

test('an add folds into the linear whichever side the linear stands on', () => {
  for (const isLeft of [true, false]) {
    const program = foldResiduals(
      programOf(({ builder, weight, embedded }) => {
        const y = builder.linear({ name: 'y', x: embedded, weight: weight('w', 32) })
        return builder.add({ name: 'sum', a: isLeft ? y : embedded, b: isLeft ? embedded : y })
      }),
    )
    const folded = program.ops[1] as Op & { kind: 'linear' }
    expect(shapeOf(program)).toEqual(['embed embedded tokens', 'linear sum tokens', 'select_rows hidden outputs', 'linear logits logits'])
    expect(program.values[folded.residual!]!.name).toBe('embedded')
  }
})

test.each<[string, (parts: Parts) => ValueId]>([
  [
    'its product is read elsewhere',
    ({ builder, weight, embedded }) => {
      const y = builder.linear({ name: 'y', x: embedded, weight: weight('w', 32) })
      return builder.add({ name: 'sum', a: builder.add({ name: 'twice', a: y, b: embedded }), b: y })
    },
  ],
  [
    'the residual changes in between',
    ({ builder, weight, embedded }) => {
      const y = builder.linear({ name: 'y', x: embedded, weight: weight('w', 32) })
      builder.softcap({ x: embedded, cap: 1 })
      return builder.add({ name: 'sum', a: y, b: embedded })
    },
  ],
  [
    'the residual comes later than the linear',
    ({ builder, weight, embedded }) => {
      const y = builder.linear({ name: 'y', x: embedded, weight: weight('w', 32) })
      const capped = builder.rmsNorm({ name: 'norm', x: embedded, weight: weight('n', 1), epsilon: 1 })
      return builder.add({ name: 'sum', a: y, b: capped })
    },
  ],
])('an add stays when %s', (_, build) => {
  const program = programOf(build)
  expect(shapeOf(foldResiduals(program)).filter((op) => op.startsWith('add'))).toEqual(shapeOf(program).filter((op) => op.startsWith('add')))
})

test('linears merge only while what they read stays the same, without bias, and in one type', () => {
  const program = programOf(({ builder, weight, embedded }) => {
    const a = builder.linear({ name: 'a', x: embedded, weight: weight('wa', 32) })
    const half = builder.weight({ name: 'wh', dtype: 'f16', numRows: 32, numColumns: 32 })
    const b = builder.linear({ name: 'b', x: embedded, weight: half })
    const c = builder.linear({ name: 'c', x: embedded, weight: weight('wc', 32), bias: weight('bias', 1) })
    builder.softcap({ x: embedded, cap: 2 })
    const d = builder.linear({ name: 'd', x: embedded, weight: weight('wd', 32) })
    const ab = builder.add({ name: 'ab', a, b })
    return builder.add({ name: 'abcd', a: ab, b: builder.add({ name: 'cd', a: c, b: d }) })
  })
  expect(shapeOf(mergeLinears(program))).toEqual(shapeOf(program))
})

test('a merged weight stacks the parts, and views of old results still see their columns', () => {
  const program = mergeLinears(
    programOf(({ builder, weight, embedded }) => {
      const first = builder.linear({ name: 'first', x: embedded, weight: weight('w1', 40) })
      const second = builder.linear({ name: 'second', x: embedded, weight: weight('w2', 64) })
      return builder.add({ name: 'sum', a: builder.view(first, 8, 32), b: builder.view(second, 32, 32) })
    }),
  )
  shapeOf(program)
  const add = program.ops.find((op) => op.kind === 'add')!
  expect(program.values[add.a]!.view!.columnOffset).toBe(8)
  expect(program.values[add.b]!.view!.columnOffset).toBe(40 + 32)
  expect(program.weights.at(-1)).toMatchObject({
    name: 'w1 + w2',
    numRows: 104,
    parts: [
      { tensor: 'w1', numRows: 40 },
      { tensor: 'w2', numRows: 64 },
    ],
  })
})

test('a program whose tokens are read after the selection keeps its selection', () => {
  const program = programOf((parts) => layer(parts, 0, parts.embedded))
  const selection = program.ops.find((op) => op.kind === 'select_rows')!
  const extra: Op = { kind: 'softcap', x: selection.x, cap: 1 }
  const changed = { ...program, ops: [...program.ops, extra] }
  expect(selectRowsEarly(changed)).toBe(changed)
})

test('dead ops go with their values, weights and tables; ids are dense again', () => {
  const program = dropDeadValues(
    programOf(({ builder, weight, embedded }) => {
      const dead = builder.linear({ name: 'dead', x: embedded, weight: weight('unused', 32) })
      builder.rope({ x: builder.view(dead, 16, 16), table: builder.table([1, 1]), rotaryDim: 4, pairing: 'interleaved' })
      return builder.linear({ name: 'live', x: embedded, weight: weight('used', 32) })
    }),
  )
  expect(shapeOf(program)).toEqual(['embed embedded tokens', 'linear live tokens', 'select_rows hidden outputs', 'linear logits logits'])
  expect(program.weights.map(({ name }) => name)).toEqual(['table', 'used', 'output'])
  expect(program.tables).toEqual([])
})
