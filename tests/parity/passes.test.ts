/** The rewrite passes over random tangles of ops: shared operands, views, in-place changes between definition and use. */
import { expect, test } from 'vitest'
import { SeededRandom, type Random } from '#base/random'
import { InferdError } from '#contract/errors'
import { referenceKernels } from '#engine/kernels/reference/reference-kernels'
import { PASSES, optimize } from '#engine/program/optimize'
import { withValues } from '#engine/program/operands'
import type { Program, ValueId } from '#engine/program/program'
import { verifyProgram } from '#engine/program/verify'
import { CaseBuilder, type ProgramCase } from './case-builder.ts'
import { bindCase, F32_CACHE, maxDifference, traceCase } from './case-runs.ts'

const WIDTH = 8
const NUM_PROGRAMS = 300

function randomTangle(random: Random): ProgramCase {
  const builder = new CaseBuilder({ name: 'tangle', vocabSize: 20, numLayers: 1, numKvHeads: 1, headDim: WIDTH }, random.nextUint32())
  const { program } = builder
  const table = program.table([1, 0.3])
  const values = [builder.input('x', WIDTH), builder.input('y', WIDTH)]
  // Recent values more often, so that chains as well as tangles arise.
  const pick = (): ValueId => values[Math.max(0, values.length - 1 - random.nextInt(random.nextInt(values.length) + 1))]!
  const attendAt = random.nextInt(20)
  for (let index = 0; index < 20; index++) {
    const name = `v${index}`
    const weight = builder.weight(`w${index}`, 'f32', WIDTH, WIDTH)
    if (index === attendAt) {
      program.kvWrite({ layer: 0, k: pick(), v: pick() })
      values.push(program.attention({ name, layer: 0, q: pick(), numHeads: 1, scale: 0.3 }))
    }
    const kind = random.nextInt(8)
    if (kind <= 2) values.push(program.linear({ name, x: pick(), weight, residual: random.nextInt(4) === 0 ? pick() : null }))
    else if (kind <= 4) values.push(program.add({ name, a: pick(), b: pick() }))
    else if (kind === 5) program.softcap({ x: pick(), cap: 2 })
    else if (kind === 6) program.rope({ x: pick(), table, rotaryDim: 4, pairing: 'half-split' })
    else {
      const wide = program.linear({ name, x: pick(), weight: builder.weight(`wide${index}`, 'f32', 3 * WIDTH, WIDTH) })
      values.push(program.view(wide, 0, WIDTH), program.view(wide, 2 * WIDTH, WIDTH))
    }
  }
  return builder.finish(pick(), WIDTH)
}

/** Some adds and residual linears work in place instead, where the verifier lets them: another program, but still a valid one. */
function withInPlaceSums(program: Program, random: Random): Program {
  let changed = program
  for (const index of program.ops.keys()) {
    const op = changed.ops[index]!
    const target = op.kind === 'add' ? op.a : op.kind === 'linear' ? op.residual : null
    if ((op.kind !== 'add' && op.kind !== 'linear') || target === null || random.nextInt(2) === 0) continue
    const { out } = op
    if (changed.values.some((value) => value.view?.of === out) || out === changed.hidden || out === changed.logits) continue
    const candidate = { ...changed, ops: changed.ops.map((other) => withValues(other, (id) => (id === out ? target : id))) }
    if (isValid(candidate)) changed = candidate
  }
  return changed
}

function isValid(program: Program): boolean {
  try {
    verifyProgram(program)
    return true
  } catch (error) {
    if (error instanceof InferdError) return false
    throw error
  }
}

test('over random tangles, every pass and all of them together keep the results', async () => {
  const random = new SeededRandom(78)
  const numRewritten = new Map<string, number>()
  for (let round = 0; round < NUM_PROGRAMS; round++) {
    const tangle = randomTangle(random)
    const program = withInPlaceSums(tangle.program, random)
    const traceOf = async (candidate: Program) =>
      traceCase(await bindCase(referenceKernels, tangle, F32_CACHE, candidate), candidate, round, F32_CACHE, [1, 6])
    const want = await traceOf(program)
    for (const pass of [...PASSES, optimize]) {
      const rewritten = pass(program)
      verifyProgram(rewritten)
      if (JSON.stringify(rewritten.ops) === JSON.stringify(program.ops)) continue
      numRewritten.set(pass.name, (numRewritten.get(pass.name) ?? 0) + 1)
      const got = await traceOf(rewritten)
      for (const [index, hidden] of want.hidden.entries()) {
        const largest = hidden.reduce((max, value) => Math.max(max, Math.abs(value)), 1)
        expect(maxDifference(got.hidden[index]!, hidden) / largest, `program ${round}, ${pass.name}`).toBeLessThan(1e-4)
      }
    }
  }
  for (const pass of PASSES) expect(numRewritten.get(pass.name), pass.name).toBeGreaterThan(NUM_PROGRAMS / 10)
})
