import { expect, test } from 'vitest'
import { SeededRandom, type Random } from '#base/random'
import { maxRows, planMemory } from './memory-plan.ts'
import { baseOf, outputOf, readsOf } from './operands.ts'
import { ProgramBuilder } from './program-builder.ts'
import type { Program, ValueId } from './program.ts'

const LIMITS = { maxTokens: 7, maxOutputs: 3 }

/** A random tangle of ops over values of one width and views of them: valid, meaningless. */
function randomProgram(random: Random): Program {
  const width = 1 + random.nextInt(20)
  const builder = new ProgramBuilder({ name: 'random', vocabSize: 5, numLayers: 1, numKvHeads: 1, headDim: 2 })
  const table = builder.weight({ name: 'table', dtype: 'f32', numRows: 5, numColumns: width })
  const square = builder.weight({ name: 'square', dtype: 'f32', numRows: width, numColumns: width })
  const double = builder.weight({ name: 'double', dtype: 'f32', numRows: 2 * width, numColumns: width })
  const values = [builder.embed({ name: 'v0', table })]
  const pick = (): ValueId => values[random.nextInt(values.length)]!
  for (let index = 1; index < 25; index++) {
    const name = `v${index}`
    const kind = random.nextInt(4)
    if (kind === 0) values.push(builder.linear({ name, x: pick(), weight: square, residual: random.nextInt(2) === 0 ? pick() : null }))
    else if (kind === 1) values.push(builder.add({ name, a: pick(), b: pick() }))
    else if (kind === 2) builder.softcap({ x: pick(), cap: 3 })
    else {
      const wide = builder.linear({ name, x: pick(), weight: double })
      values.push(builder.view(wide, 0, width), builder.view(wide, width, width))
    }
  }
  const hidden = builder.selectRows({ name: 'hidden', x: pick() })
  return builder.finish({ hidden, logits: builder.linear({ name: 'logits', x: hidden, weight: table, rows: 'logits' }) })
}

/** Executes the plan with memory that knows its writer: every read must find what was written for it. */
function replay(program: Program): void {
  const plan = planMemory(program, LIMITS)
  const owners = new Int32Array(plan.arenaLength).fill(-1)
  const cells = (id: ValueId): number[] => {
    const { rows, width } = program.values[id]!
    const numRows = maxRows(rows, LIMITS)
    return Array.from({ length: numRows * width }, (_, index) => plan.offsets[id]! + Math.floor(index / width) * plan.strides[id]! + (index % width))
  }
  for (const op of program.ops) {
    for (const id of readsOf(op)) expect(cells(id).every((cell) => owners[cell] === baseOf(program, id))).toBe(true)
    const out = outputOf(op)
    if (out !== null) for (const cell of cells(out)) owners[cell] = baseOf(program, out)
  }
  for (const id of [program.hidden, program.logits]) expect(cells(id).every((cell) => owners[cell] === id)).toBe(true)
}

test('over random programs, no value is overwritten while somebody still reads it', () => {
  const random = new SeededRandom(1)
  for (let round = 0; round < 60; round++) replay(randomProgram(random))
})

test('values that are dead lend their memory: a chain needs two buffers, not one for each op', () => {
  const builder = new ProgramBuilder({ name: 'chain', vocabSize: 16, numLayers: 1, numKvHeads: 1, headDim: 2 })
  const table = builder.weight({ name: 'table', dtype: 'f32', numRows: 16, numColumns: 16 })
  let x = builder.embed({ name: 'x', table })
  for (let index = 0; index < 10; index++) x = builder.linear({ name: `x${index}`, x, weight: table })
  const hidden = builder.selectRows({ name: 'hidden', x })
  const program = builder.finish({ hidden, logits: builder.linear({ name: 'logits', x: hidden, weight: table, rows: 'logits' }) })
  expect(planMemory(program, { maxTokens: 4, maxOutputs: 1 }).arenaLength).toBe(2 * 4 * 16)
})

test('a view lies inside its base and rows step by the base', () => {
  const builder = new ProgramBuilder({ name: 'view', vocabSize: 4, numLayers: 1, numKvHeads: 1, headDim: 2 })
  const embedded = builder.embed({ name: 'x', table: builder.weight({ name: 'table', dtype: 'f32', numRows: 4, numColumns: 10 }) })
  const view = builder.view(builder.view(embedded, 2, 8), 3, 5)
  const hidden = builder.selectRows({ name: 'hidden', x: view })
  const output = builder.weight({ name: 'output', dtype: 'f32', numRows: 4, numColumns: 5 })
  const program = builder.finish({ hidden, logits: builder.linear({ name: 'logits', x: hidden, weight: output, rows: 'logits' }) })
  const plan = planMemory(program, LIMITS)
  expect(plan.offsets[view]).toBe(plan.offsets[embedded]! + 5)
  expect(plan.strides[view]).toBe(10)
})
