/**
 * The shipped model, greedy over at most 64 tokens on 20 prompts: `reference` and `native` give what llama.cpp gives. Its tokens are in
 * llama-cpp.json (f32 KV cache on both sides: llama.cpp also rounds queries to f16 when its cache is f16), written by `npm run -s golden:llama-cpp` from node-llama-cpp in bench/peers.
 */
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import { GREEDY_PROMPTS } from './prompts.ts'
import { firstDifference, greedySteps, smallEngine, type GreedyStep } from './greedy.ts'

interface LlamaCppFixture {
  readonly model: string
  readonly prompts: readonly { readonly text: string; readonly tokenIds: readonly number[] }[]
  readonly steps: readonly (readonly GreedyStep[])[]
}

const ROOT = path.resolve(import.meta.dirname, '../../..')
const fixture: LlamaCppFixture = JSON.parse(readFileSync(path.join(import.meta.dirname, 'llama-cpp.json'), 'utf8'))

/** Log-probabilities so close are a tie: either token is right. */
const TIE = 1e-3

test('the fixture was made from today’s prompts and a file that is here', () => {
  expect(fixture.prompts.map((prompt) => prompt.text)).toEqual(GREEDY_PROMPTS)
  expect(existsSync(path.join(ROOT, fixture.model))).toBe(true)
})

for (const kernels of ['reference', 'native'] as const) {
  test(`${kernels} gives the tokens of llama.cpp, or parts from it at a tie`, async () => {
    const engine = await smallEngine(path.join(ROOT, fixture.model), { kernels, kvDType: 'f32' })
    const all = await Promise.all(fixture.prompts.map((prompt) => greedySteps(engine, prompt.tokenIds)))
    await engine.close()
    const bad = all.flatMap((ours, index) => {
      const difference = firstDifference(ours, fixture.steps[index]!)
      return difference === null || Math.min(difference.ourGap, difference.theirGap) < TIE
        ? []
        : [{ prompt: fixture.prompts[index]!.text, ...difference }]
    })
    expect(bad).toEqual([])
    expect(all.reduce((sum, steps) => sum + steps.length, 0)).toBeGreaterThan(600)
  })
}
