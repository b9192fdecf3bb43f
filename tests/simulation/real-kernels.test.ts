/**
 * Batch invariance with real numbers: tiny random models, whose logits lie so close together that any difference in the order
 * of a sum would change tokens. Memory is short, prefixes are shared, prompts arrive over time and are computed in chunks.
 */
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { SeededRandom } from '#base/random'
import { createNativeKernels } from '#engine/kernels/native/native-kernels'
import { referenceKernels } from '#engine/kernels/reference/reference-kernels'
import { FakeGuide, withFreshGuides } from './fake-guide.ts'
import { SMALL_CORE } from './null-core.ts'
import { startRealCore, type RealCore } from './real-core.ts'
import { GREEDY, RecordedSink, generateRequest } from './recorded-sink.ts'
import type { EngineCore } from '#engine/engine-core'
import type { Kernels } from '#engine/kernels/kernels'
import type { TokenRequest } from '#engine/scheduler/token-request'

const NUM_REQUESTS = 64
const CONTEXT_LENGTH = 128

const KERNELS: Readonly<Record<string, Kernels>> = { reference: referenceKernels, native: createNativeKernels() }

const OPTIONS = {
  contextLength: CONTEXT_LENGTH,
  blockSize: 8,
  numBlocks: 40,
  maxTokensPerStep: 48,
  maxPrefillTokensWithDecodes: 20,
  maxSequences: 12,
  maxOutputsPerStep: 24,
  maxWaitingRequests: NUM_REQUESTS,
}

function startCore(kernels: Kernels, model: string): Promise<RealCore> {
  return startRealCore(kernels, join(import.meta.dirname, '../fixtures/architectures', `${model}.gguf`), OPTIONS)
}

function drawRequests(random: SeededRandom, vocabSize: number): TokenRequest[] {
  const tokens = (count: number): number[] => Array.from({ length: count }, () => 3 + random.nextInt(vocabSize - 3))
  const prefixes = [tokens(60), tokens(60)]
  return Array.from({ length: NUM_REQUESTS }, (_, index) => {
    const promptTokenIds = [...prefixes[random.nextInt(2)]!.slice(0, random.nextInt(60)), ...tokens(1 + random.nextInt(20))]
    if (index % 9 === 8) return { kind: 'embed', promptTokenIds, priority: 0, lane: 'shared', cacheSalt: '' }
    // Most are greedy; the others show that draws do not depend on company either.
    const temperature = index % 3 === 2 ? 1 : 0
    const numChoices = index % 8 === 5 ? 3 : 1
    const rules = { seed: index, vocabSize, eosTokenId: SMALL_CORE.eosTokenIds[0]!, fault: null }
    return generateRequest(promptTokenIds, {
      ignoreEos: true,
      maxTokens: 4 + random.nextInt(24),
      numChoices,
      guides: index % 2 === 0 ? null : Array.from({ length: numChoices }, (_, choice) => new FakeGuide({ ...rules, seed: index * 8 + choice })),
      sampling: { ...GREEDY, temperature, seed: index, repetitionPenalty: index % 5 === 4 ? 1.1 : 1 },
    })
  })
}

async function run(core: EngineCore, request: TokenRequest): Promise<RecordedSink> {
  const sink = new RecordedSink(request.kind === 'generate' ? request.numChoices : 0)
  core.submit(request, sink)
  await sink.ended
  return sink
}

test.each(['llama', 'gemma2', 'qwen3'].flatMap((model) => Object.keys(KERNELS).map((name) => [model, name] as const)))(
  '64 concurrent requests to %s on %s kernels get exactly what each gets alone',
  async (model, name) => {
    const { core, options } = await startCore(KERNELS[name]!, model)
    const random = new SeededRandom(11)
    const requests = drawRequests(random, options.vocabSize)
    const together: Promise<RecordedSink>[] = []
    for (const request of requests) {
      together.push(run(core, request))
      if (random.nextInt(4) === 0) await core.probe()
    }
    const mixed = await Promise.all(together)
    const stats = core.stats()
    expect(stats.numPreemptions, 'preemptions').toBeGreaterThan(0)
    expect(stats.cachedPromptTokens, 'prefix hits').toBeGreaterThan(0)
    expect(stats.numForcedTokens, 'forced tokens').toBeGreaterThan(50)
    expect(stats.numMasks, 'masks').toBeGreaterThan(50)
    core.checkInvariants()
    await core.close()
    const alone = (await startCore(KERNELS[name]!, model)).core
    for (const [index, request] of requests.entries()) {
      // A salt of its own keeps each from the blocks of those before it.
      const sink = await run(alone, withFreshGuides({ ...request, cacheSalt: `alone-${index}` }))
      expect(mixed[index]!.error).toBeNull()
      expect(mixed[index]!.choices, `request ${index}`).toEqual(sink.choices)
      expect(mixed[index]!.embedding, `request ${index}`).toEqual(sink.embedding)
    }
    await alone.close()
  },
)
