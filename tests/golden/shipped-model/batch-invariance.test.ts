/**
 * A request gets exactly the tokens that it gets alone, whatever shares its steps: 64 concurrent requests of different lengths and
 * arrival times, over a KV cache so small that sequences are preempted, with prompts that share prefixes.
 */
import path from 'node:path'
import { expect, test } from 'vitest'
import { SeededRandom } from '#base/random'
import type { GenerateRequest } from '#contract/generate'
import { generate, type Engine } from '#engine/engine'
import { greedyRequest, smallEngine } from './greedy.ts'

const MODEL = path.resolve(import.meta.dirname, '../../../models/inferd-chat/inferd-chat-Q8_0.gguf')
const NUM_REQUESTS = 64
const NUM_AT_ONCE = 24

/** Prompts of 1 to 300 tokens; every third continues one of four common heads. */
function makeRequests(seed: number): GenerateRequest[] {
  const random = new SeededRandom(seed)
  const tokens = (count: number): number[] => Array.from({ length: count }, () => 5 + random.nextInt(1500))
  const heads = Array.from({ length: 4 }, () => tokens(100))
  return Array.from({ length: NUM_REQUESTS }, (_, index) => {
    const prompt = index % 3 === 0 ? [...heads[random.nextInt(4)]!, ...tokens(1 + random.nextInt(60))] : tokens(1 + random.nextInt(300))
    return greedyRequest(prompt, { requestId: `r${index}`, maxTokens: 8 + random.nextInt(56), numTopLogprobs: 0, priority: random.nextInt(3) })
  })
}

interface Answer {
  readonly tokens: readonly number[]
  readonly logprobs: readonly number[]
  readonly cachedTokens: number
}

/** Requests arrive by what the mix has emitted so far, not by the clock: a slow machine and a fast one see the same crowd. */
class Arrivals {
  #numEvents = 0
  readonly #waiting: { readonly at: number; readonly open: () => void }[] = []

  after(numEvents: number): Promise<void> {
    return new Promise((open) => this.#waiting.push({ at: numEvents, open }))
  }

  /** Also opens the next in line when everybody who arrived has been answered. */
  readonly note = (isIdle = false): void => {
    this.#waiting.sort((a, b) => a.at - b.at)
    if (isIdle) this.#waiting.shift()?.open()
    this.#numEvents += 1
    while ((this.#waiting[0]?.at ?? Infinity) <= this.#numEvents) this.#waiting.shift()!.open()
  }
}

async function answer(engine: Engine, request: GenerateRequest, note: () => void = () => {}): Promise<Answer> {
  const tokens: number[] = []
  const logprobs: number[] = []
  let cachedTokens = 0
  for await (const event of generate(engine, request, new AbortController().signal)) {
    note()
    if (event.type === 'response-start') cachedTokens = event.cachedTokens
    if (event.type === 'text-delta') tokens.push(...(event.logprobs ?? []).map((entry) => entry.tokenId))
    if (event.type === 'text-delta') logprobs.push(...(event.logprobs ?? []).map((entry) => entry.logprob))
    expect(event.type).not.toBe('response-error')
  }
  return { tokens, logprobs, cachedTokens }
}

for (const [seed, kvDType] of [
  [1, 'f16'],
  [2, 'q8_0'],
] as const) {
  test(`64 requests in one mix get bit for bit what each gets alone (seed ${seed}, ${kvDType} cache)`, async () => {
    const requests = makeRequests(seed)
    const quiet = await smallEngine(MODEL, { maxSequences: 1, kvDType })
    const alone: Answer[] = []
    for (const request of requests) alone.push(await answer(quiet, { ...request, cacheSalt: request.requestId }))
    await quiet.close()

    // Room for about six of the 64 sequences: the rest waits or is preempted.
    const crowded = await smallEngine(MODEL, {
      maxSequences: 32,
      maxTokensPerStep: 96,
      kvDType,
      kvCacheBytes: (kvDType === 'f16' ? 3 : 1.6) * 2 ** 20,
      contextLength: 512,
    })
    const random = new SeededRandom(seed + 100)
    const arrivals = new Arrivals()
    let numInside = 0
    const answers = requests.map(async (request, index) => {
      if (index >= NUM_AT_ONCE) await arrivals.after(random.nextInt(1000))
      numInside += 1
      const got = await answer(crowded, request, arrivals.note)
      numInside -= 1
      if (numInside === 0) arrivals.note(true)
      return got
    })
    const mixed = await Promise.all(answers)
    const stats = crowded.stats()
    await crowded.close()

    expect(mixed.map((entry) => entry.tokens)).toEqual(alone.map((entry) => entry.tokens))
    expect(mixed.map((entry) => entry.logprobs)).toEqual(alone.map((entry) => entry.logprobs))
    expect(stats.numPreemptions).toBeGreaterThan(0)
    expect(mixed.some((entry) => entry.cachedTokens > 0)).toBe(true)
    expect([stats.numRunning, stats.numWaiting, stats.numFreeBlocks]).toEqual([0, 0, stats.numBlocks])
  })
}
