/**
 * Inverse frequencies and magnitude of every RoPE variant equal those of the public reference, which computes them in f32.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ConfigFields } from '#engine/models/config-fields'
import { readHuggingFaceRope } from '#engine/models/rope-config'
import { ropeFrequencies } from '#engine/models/rope-frequencies'
import { FIXTURE_FOLDER } from './fixtures.ts'

interface Variant {
  readonly config: { readonly hidden_size: number; readonly num_attention_heads: number; readonly max_position_embeddings: number }
  readonly rotaryDim: number
  readonly servedContextLength: number
  readonly inverseFrequencies: readonly number[]
  readonly magnitude: number
}

const VARIANTS = JSON.parse(readFileSync(join(FIXTURE_FOLDER, 'rope-frequencies.json'), 'utf8')) as Record<string, Variant>

test.for(Object.entries(VARIANTS))('%s', async ([, { config, rotaryDim, servedContextLength, inverseFrequencies, magnitude }], { annotate }) => {
  const headDim = config.hidden_size / config.num_attention_heads
  const rope = readHuggingFaceRope(ConfigFields.ofJson({ ...config }), { theta: 10_000, headDim, contextLength: config.max_position_embeddings })
  const actual = ropeFrequencies(rope, servedContextLength)
  expect(rope.rotaryDim).toBe(rotaryDim)
  expect(actual.inverseFrequencies).toHaveLength(inverseFrequencies.length)
  const errors = inverseFrequencies.map((expected, i) => Math.abs(actual.inverseFrequencies[i]! - expected) / expected)
  await annotate(`largest relative difference ${Math.max(...errors).toExponential(2)}`)
  expect(Math.max(...errors)).toBeLessThan(1e-6)
  expect(actual.magnitude).toBeCloseTo(magnitude, 12)
})
