/** Native against the reference: every op, format and shape case, on every instruction set that this machine has. */
import { describe, expect, test } from 'vitest'
import { SeededRandom } from '#base/random'
import { INSTRUCTION_SETS } from '#engine/kernels/native/addon'
import { createNativeKernels, hasInstructionSet } from '#engine/kernels/native/native-kernels'
import { referenceKernels } from '#engine/kernels/reference/reference-kernels'
import { optimize } from '#engine/program/optimize'
import type { Program } from '#engine/program/program'
import type { ProgramCase } from './case-builder.ts'
import { bindCase, F32_CACHE, maxDifference, traceCase, type CaseCache, type CaseTrace } from './case-runs.ts'
import { plainModel, randomModel } from './model-cases.ts'
import { ALL_DTYPES, opCases } from './op-cases.ts'

const ISAS = INSTRUCTION_SETS.filter(hasInstructionSet)
const OP_CASES = opCases()
/** Contexts of more than one and more than two attention tiles (64 positions). */
const LONG_LENGTHS = [67, 130]
/** Blocks of whole sub-tiles, of a part of one, and of one and a half. */
const LONG_CACHES: readonly CaseCache[] = [
  F32_CACHE,
  { dtype: 'f16', blockSize: 16 },
  { dtype: 'f32', blockSize: 24 },
  { dtype: 'q8_0', blockSize: 16 },
  { dtype: 'q8_0', blockSize: 12 },
]
const LONG_CASES = OP_CASES.filter(({ name }) => name.startsWith('attention')).flatMap((opCase) =>
  LONG_CACHES.map((cache) => [`${opCase.name}, ${cache.dtype} in blocks of ${cache.blockSize},`, cache, opCase] as const),
)

const referenceTraces = new Map<string, Promise<CaseTrace>>()

/** What the reference gives, computed once for all instruction sets. */
function referenceTrace(
  key: string,
  programCase: ProgramCase,
  cache: CaseCache = F32_CACHE,
  program: Program = programCase.program,
  lengths?: readonly number[],
): Promise<CaseTrace> {
  const known = referenceTraces.get(key)
  if (known !== undefined) return known
  const trace = bindCase(referenceKernels, programCase, cache, program).then((executor) => traceCase(executor, program, 2, cache, lengths))
  referenceTraces.set(key, trace)
  return trace
}

/** Largest difference over rows, relative to the largest magnitude of the row where that is above 1. */
function traceDifference(actual: CaseTrace, expected: CaseTrace): number {
  const pairs = [
    ...expected.hidden.map((row, i) => [row, actual.hidden[i]!] as const),
    ...expected.logits.map((row, i) => [row, actual.logits[i]!] as const),
  ]
  return Math.max(
    ...pairs.map(
      ([want, got]) =>
        maxDifference(got, want) /
        Math.max(
          1,
          want.reduce((max, value) => Math.max(max, Math.abs(value)), 0),
        ),
    ),
  )
}

describe.each(ISAS)('%s', (isa) => {
  const kernels = createNativeKernels({ isa })

  test.each(OP_CASES.map((opCase) => [opCase.name, opCase] as const))('%s gives what the reference gives', async (_, opCase) => {
    const executor = await bindCase(kernels, opCase)
    const difference = traceDifference(await traceCase(executor, opCase.program, 2), await referenceTrace(opCase.name, opCase))
    await executor.close()
    expect(difference).toBeLessThan(2e-5)
  })

  test.each(LONG_CASES)('%s gives what the reference gives over several tiles of positions', async (_, cache, opCase) => {
    const executor = await bindCase(kernels, opCase, cache)
    const actual = await traceCase(executor, opCase.program, 2, cache, LONG_LENGTHS)
    await executor.close()
    const reference = await referenceTrace(`${opCase.name} ${cache.dtype} ${cache.blockSize}`, opCase, cache, opCase.program, LONG_LENGTHS)
    expect(traceDifference(actual, reference)).toBeLessThan(2e-5)
  })

  test.each(ALL_DTYPES)('whole models in %s, plain and optimized, give the logits of the reference', async (dtype) => {
    for (const modelCase of [plainModel(dtype), ...[31, 32].map((seed) => randomModel(new SeededRandom(seed), dtype, `random ${dtype} ${seed}`))]) {
      const optimized = optimize(modelCase.program)
      for (const cache of [F32_CACHE, { dtype: 'f16', blockSize: 16 }] as const) {
        const executor = await bindCase(kernels, modelCase, cache, optimized)
        const actual = await traceCase(executor, optimized, 2, cache)
        const reference = await referenceTrace(`${modelCase.name} ${dtype} ${cache.dtype}`, modelCase, cache, optimized)
        await executor.close()
        expect(traceDifference(actual, reference)).toBeLessThan(dtype === 'f32' && cache.dtype === 'f32' ? 1e-4 : 0.05)
      }
    }
  })
})
