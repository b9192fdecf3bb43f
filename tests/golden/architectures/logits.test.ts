/**
 * The logits of every architecture equal those of the public reference implementation, however the sequence is cut into
 * steps, in both file formats, with and without the rewrite passes, on every executor.
 */
import { describe, expect, test } from 'vitest'
import { SeededRandom } from '#base/random'
import type { Kernels } from '#engine/kernels/kernels'
import { INSTRUCTION_SETS } from '#engine/kernels/native/addon'
import { createNativeKernels, hasInstructionSet } from '#engine/kernels/native/native-kernels'
import { referenceKernels } from '#engine/kernels/reference/reference-kernels'
import { bindModel, worstError } from './bound-model.ts'
import { readFixtures } from './fixtures.ts'

/** Absolute, on logits of unit standard deviation. */
const TOLERANCE = 1e-3

const EXECUTORS: readonly { readonly name: string; readonly kernels: Kernels }[] = [
  { name: 'reference', kernels: referenceKernels },
  ...INSTRUCTION_SETS.filter(hasInstructionSet).map((isa) => ({ name: `native, ${isa}`, kernels: createNativeKernels({ isa }) })),
]

describe.for(EXECUTORS)('$name', ({ kernels }) => {
  describe.for(readFixtures())('$name', (fixture) => {
    test.for(fixture.models)('$format: logits equal the reference for any chunking', async ({ path }, { annotate }) => {
      let worst = 0
      for (const logitsCase of fixture.cases) {
        for (const optimized of [false, true]) {
          const executor = await bindModel({ kernels, path, servedContextLength: logitsCase.servedContextLength, optimized })
          for (const [chunking, chunkLengths] of Object.entries(chunkings(logitsCase.tokens.length))) {
            const error = await worstError(executor, fixture.vocabSize, logitsCase, chunkLengths)
            worst = Math.max(worst, error)
            expect(error, `${chunking}, context ${logitsCase.servedContextLength}, ${optimized ? 'optimized' : 'as built'}`).toBeLessThan(TOLERANCE)
          }
          await executor.close()
        }
      }
      await annotate(`largest difference ${worst.toExponential(2)}`)
    })
  })
})

function chunkings(numTokens: number): Record<string, readonly number[]> {
  return {
    'one prefill': [numTokens],
    'token by token': Array.from({ length: numTokens }, () => 1),
    'prefill then decode': [numTokens - 6, 1, 1, 1, 1, 1, 1],
    'random chunks, seed 1': randomChunks(numTokens, 1),
    'random chunks, seed 2': randomChunks(numTokens, 2),
  }
}

function randomChunks(numTokens: number, seed: number): readonly number[] {
  const random = new SeededRandom(seed)
  const chunks: number[] = []
  for (let rest = numTokens; rest > 0; rest -= chunks.at(-1)!) chunks.push(1 + random.nextInt(Math.min(rest, 9)))
  return chunks
}
