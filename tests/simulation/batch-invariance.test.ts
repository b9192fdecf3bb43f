import { expect, test } from 'vitest'
import { SeededRandom } from '#base/random'
import { withFreshGuides } from './fake-guide.ts'
import { startNullCore } from './null-core.ts'
import { RecordedSink } from './recorded-sink.ts'
import { drawRequest, drawScenario } from './scenario.ts'
import type { EngineCore } from '#engine/engine-core'
import type { EngineCoreOptions } from '#engine/engine-core-options'
import type { TokenRequest } from '#engine/scheduler/token-request'

const NUM_REQUESTS = 64

function submit(core: EngineCore, request: TokenRequest): RecordedSink {
  const sink = new RecordedSink(request.kind === 'generate' ? request.numChoices : 0)
  core.submit(request, sink)
  return sink
}

async function runAlone(request: TokenRequest, options: EngineCoreOptions): Promise<RecordedSink> {
  const core = await startNullCore({ options })
  const sink = submit(core, withFreshGuides(request))
  await sink.ended
  await core.close()
  return sink
}

/** What must not depend on company: everything but the cached tokens. */
function outcome(sink: RecordedSink): unknown {
  // How far the choices beside one that fails have come is a matter of company.
  if (sink.error !== null && sink.choices.length > 1) return { hasFailed: true }
  return { choices: sink.choices, embedding: sink.embedding, error: sink.error, completionTokens: sink.usage?.completionTokens }
}

test.each([1, 2, 3, 4, 5, 6])('64 concurrent requests get what each gets alone, mix %i', async (seed) => {
  const random = new SeededRandom(seed)
  const drawn = drawScenario(random)
  const { contextLength, blockSize } = drawn.options
  const numBlocks = Math.ceil((contextLength / blockSize) * 1.5)
  const options = {
    ...drawn.options,
    numBlocks,
    maxWaitingRequests: NUM_REQUESTS,
    maxSequences: 12,
    maxTokensPerStep: 40,
    maxOutputsPerStep: 16,
    enablePrefixCache: true,
  }
  const fits = (request: TokenRequest): boolean => request.promptTokenIds.length < Math.min(contextLength, numBlocks * blockSize)
  const requests: TokenRequest[] = []
  while (requests.length < NUM_REQUESTS) {
    const request = drawRequest(random, drawn)
    if (fits(request)) requests.push(request)
  }
  const core = await startNullCore({ options })
  const sinks: RecordedSink[] = []
  for (const request of requests) {
    sinks.push(submit(core, request))
    if (random.nextInt(3) === 0) await core.probe()
  }
  await Promise.all(sinks.map((sink) => sink.ended))
  const stats = core.stats()
  core.checkInvariants()
  expect(stats.numFreeBlocks).toBe(numBlocks)
  expect(stats.numPreemptions, 'preemptions').toBeGreaterThan(0)
  expect(stats.cachedPromptTokens, 'prefix hits').toBeGreaterThan(0)
  expect(stats.numForcedTokens, 'forced tokens').toBeGreaterThan(20)
  expect(stats.numMasks, 'masks').toBeGreaterThan(20)
  await core.close()
  for (const [index, request] of requests.entries()) expect(outcome(sinks[index]!)).toEqual(outcome(await runAlone(request, options)))
})
