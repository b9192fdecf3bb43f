/** What a narrower KV cache costs: the shipped model's distributions of the next token over its own prompts and answers, beside those of an f32 cache. */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import type { KvDType } from '#engine/kernels/kv-dtype'
import { nativeKernels } from '#engine/kernels/native/native-kernels'
import { findArchitecture } from '#engine/models/registry'
import { optimize } from '#engine/program/optimize'
import { openModelFiles } from '#engine/weights/model-files'
import { BLOCK_SIZE, NUM_BLOCKS, runSequence, STEP_LIMITS } from '../architectures/step-driver.ts'

/** Its weights are floats: activations stay f32, so that the cache is the only difference. */
const MODEL = path.resolve(import.meta.dirname, '../../../models/inferd-chat/model.safetensors')
const VOCAB_SIZE = 2048
const MAX_LENGTH = 120

interface Answered {
  readonly prompts: readonly { readonly tokenIds: readonly number[] }[]
  readonly steps: readonly (readonly { readonly token: number }[])[]
}

const { prompts, steps }: Answered = JSON.parse(readFileSync(path.join(import.meta.dirname, 'llama-cpp.json'), 'utf8'))
const texts = prompts.map(({ tokenIds }, index) => [...tokenIds, ...steps[index]!.map(({ token }) => token)].slice(0, MAX_LENGTH))

/** Logits after every token of every text. */
async function allLogits(dtype: KvDType): Promise<Float32Array[]> {
  const { tensors, metadata } = await openModelFiles(MODEL)
  const architecture = findArchitecture(metadata)
  const program = optimize(architecture.build(await architecture.readConfig(metadata, tensors), tensors, NUM_BLOCKS * BLOCK_SIZE))
  const kvCache = { numBlocks: NUM_BLOCKS, blockSize: BLOCK_SIZE, dtype }
  const executor = await nativeKernels.bind({ program, tensors, kvCache, limits: STEP_LIMITS, numThreads: 2 })
  await tensors.close()
  const logits: Float32Array[] = []
  for (const tokens of texts) {
    const head = Math.min(tokens.length, STEP_LIMITS.maxTokens)
    const chunkLengths = tokens.length > head ? [head, tokens.length - head] : [head]
    logits.push(await runSequence(executor, VOCAB_SIZE, { tokens, chunkLengths }))
  }
  await executor.close()
  return logits
}

function logProbabilities(logits: Float32Array): Float64Array {
  const largest = logits.reduce((best, value) => Math.max(best, value), -Infinity)
  const scale = largest + Math.log(logits.reduce((sum, value) => sum + Math.exp(value - largest), 0))
  return Float64Array.from(logits, (value) => value - scale)
}

/** KL(wide || narrow) in nats, the mean over all tokens. */
function meanDivergence(wide: readonly Float32Array[], narrow: readonly Float32Array[]): number {
  let [nats, numRows] = [0, 0]
  for (const [index, logits] of wide.entries()) {
    for (let start = 0; start < logits.length; start += VOCAB_SIZE, numRows++) {
      const [p, q] = [logits, narrow[index]!].map((rows) => logProbabilities(rows.subarray(start, start + VOCAB_SIZE))) as [
        Float64Array,
        Float64Array,
      ]
      for (let token = 0; token < VOCAB_SIZE; token++) nats += Math.exp(p[token]!) * (p[token]! - q[token]!)
    }
  }
  return nats / numRows
}

test('a q8_0 cache costs little, an f16 cache next to nothing', async () => {
  const wide = await allLogits('f32')
  const [half, bytes] = [meanDivergence(wide, await allLogits('f16')), meanDivergence(wide, await allLogits('q8_0'))]
  expect(half).toBeLessThan(1e-6)
  expect(bytes).toBeGreaterThan(half)
  expect(bytes).toBeLessThan(2e-4)
})
