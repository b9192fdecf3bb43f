/**
 * The shipped model under guides that forbid and force: a request gets bit for bit the tokens and logprobs that it gets alone,
 * whatever shares its steps, with preemption and stretches that are computed in pieces.
 */
import path from 'node:path'
import { expect, test } from 'vitest'
import { SeededRandom } from '#base/random'
import { nativeKernels } from '#engine/kernels/native/native-kernels'
import { FakeGuide, withFreshGuides } from '../../simulation/fake-guide.ts'
import { startRealCore } from '../../simulation/real-core.ts'
import { GREEDY, RecordedSink, generateRequest } from '../../simulation/recorded-sink.ts'
import type { EngineCore } from '#engine/engine-core'
import type { GenerateTokensRequest } from '#engine/scheduler/token-request'

const MODEL = path.resolve(import.meta.dirname, '../../../models/inferd-chat/inferd-chat-Q8_0.gguf')
const NUM_REQUESTS = 48
const OPTIONS = {
  contextLength: 256,
  blockSize: 16,
  maxTokensPerStep: 64,
  maxPrefillTokensWithDecodes: 24,
  maxSequences: 16,
  maxOutputsPerStep: 24,
  maxWaitingRequests: NUM_REQUESTS,
}

/** Every second guide leaves the logprobs to be seen, so that nothing is forced; every fourth request has three choices. */
function drawRequests(seed: number, vocabSize: number): GenerateTokensRequest[] {
  const random = new SeededRandom(seed)
  const tokens = (count: number): number[] => Array.from({ length: count }, () => 5 + random.nextInt(1500))
  const heads = [tokens(64), tokens(64)]
  return Array.from({ length: NUM_REQUESTS }, (_, index) => {
    const numChoices = index % 4 === 3 ? 3 : 1
    const guide = (): FakeGuide => new FakeGuide({ seed: random.nextUint32(), vocabSize, eosTokenId: 0, fault: null })
    return generateRequest([...heads[random.nextInt(2)]!.slice(0, random.nextInt(64)), ...tokens(1 + random.nextInt(40))], {
      maxTokens: 8 + random.nextInt(72),
      numChoices,
      numTopLogprobs: index % 2 === 0 ? null : 2,
      guides: index % 6 === 5 ? null : Array.from({ length: numChoices }, guide),
      ignoreEos: true,
      sampling: { ...GREEDY, temperature: index % 3 === 0 ? 1 : 0, seed: index, repetitionPenalty: index % 5 === 0 ? 1.2 : 1 },
    })
  })
}

async function run(core: EngineCore, request: GenerateTokensRequest): Promise<RecordedSink> {
  const sink = new RecordedSink(request.numChoices)
  core.submit(request, sink)
  await sink.ended
  return sink
}

for (const seed of [1, 2]) {
  test(`guided requests in one mix get bit for bit what each gets alone (seed ${seed})`, async () => {
    const crowd = await startRealCore(nativeKernels, MODEL, { ...OPTIONS, numBlocks: 36 })
    const requests = drawRequests(seed, crowd.options.vocabSize)
    const mixed = await Promise.all(requests.map((request) => run(crowd.core, request)))
    const stats = crowd.core.stats()
    crowd.core.checkInvariants()
    await crowd.core.close()
    expect(stats.numPreemptions).toBeGreaterThan(0)
    expect(stats.numForcedTokens).toBeGreaterThan(100)
    expect(stats.numMasks).toBeGreaterThan(100)
    const alone = await startRealCore(nativeKernels, MODEL, { ...OPTIONS, numBlocks: 64 })
    for (const [index, request] of requests.entries()) {
      const sink = await run(alone.core, withFreshGuides({ ...request, cacheSalt: `alone-${index}` }))
      expect(mixed[index]!.error, `request ${index}`).toBeNull()
      expect(mixed[index]!.choices, `request ${index}`).toEqual(sink.choices)
    }
    await alone.core.close()
  })
}
