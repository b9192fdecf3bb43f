/**
 * Bad input 99 of the reliability study: prompts of 32 k tokens beside short chats. Counted in steps of the engine with its own defaults; a step
 * that has something to decode computes at most 64 tokens of prompts, so that a bound in steps is one in time on every machine.
 */
import { expect, test } from 'vitest'
import type { EngineCore } from '#engine/engine-core'
import { engineCoreOptions } from '#engine/engine-core-options'
import { SeededRandom } from '#base/random'
import { SMALL_CORE, startNullCore } from './null-core.ts'
import { generateRequest, RecordedSink } from './recorded-sink.ts'

const LONG_TOKENS = 32_000
const CHAT_TOKENS = 40
const CHAT_ANSWER_TOKENS = 24

const OPTIONS = engineCoreOptions({
  contextLength: 32_768,
  numBlocks: 8192,
  eosTokenIds: SMALL_CORE.eosTokenIds,
  vocabSize: SMALL_CORE.vocabSize,
  hiddenSize: SMALL_CORE.hiddenSize,
  modelIdentity: 'null',
})

interface Timed {
  readonly sink: RecordedSink
  readonly atStep: number
  /** Steps from its arrival to its first token; null until then. */
  firstTokenSteps: number | null
}

function submit(core: EngineCore, numTokens: number, maxTokens: number, random: SeededRandom): Timed {
  const sink = new RecordedSink(1)
  const prompt = Array.from({ length: numTokens }, () => 1 + random.nextInt(OPTIONS.vocabSize - 1))
  core.submit(generateRequest(prompt, { maxTokens, ignoreEos: true }), sink)
  return { sink, atStep: core.stats().numSteps, firstTokenSteps: null }
}

interface Mix {
  readonly numLong: number
  /** Steps between two chats; 0 = none come. */
  readonly chatEverySteps: number
}

interface MixReport {
  readonly chats: readonly Timed[]
  readonly longs: readonly Timed[]
}

/** Long prompts at once, and chats for as long as one of them has no token. */
async function run({ numLong, chatEverySteps }: Mix): Promise<MixReport> {
  const core = await startNullCore({ options: OPTIONS })
  const random = new SeededRandom(numLong * 1000 + chatEverySteps)
  const longs = Array.from({ length: numLong }, () => submit(core, LONG_TOKENS, 4, random))
  const chats: Timed[] = []
  let nextChatStep = 0
  const isPending = (): boolean => longs.some(({ firstTokenSteps }) => firstTokenSteps === null)
  while (isPending() || chats.some(({ sink }) => sink.usage === null)) {
    const { numSteps } = core.stats()
    if (chatEverySteps > 0 && isPending() && numSteps >= nextChatStep) {
      chats.push(submit(core, CHAT_TOKENS, CHAT_ANSWER_TOKENS, random))
      nextChatStep = numSteps + chatEverySteps
    }
    await core.probe()
    for (const timed of [...longs, ...chats]) {
      if (timed.firstTokenSteps === null && timed.sink.choices[0]!.tokenIds.length > 0) timed.firstTokenSteps = core.stats().numSteps - timed.atStep
    }
  }
  await core.close()
  return { chats, longs }
}

/** A chat computes its 40 tokens in pieces of at least 16, a quarter of what prompts may take beside something that decodes. */
const MOST_CHAT_STEPS = 3

test.each([
  [1, 4],
  [1, 10],
  [2, 4],
  [2, 10],
])('99: beside %d long prompts, with a chat every %d steps, each chat has its first token within three steps', async (numLong, chatEverySteps) => {
  const { chats, longs } = await run({ numLong, chatEverySteps })
  expect(chats.length).toBeGreaterThan(50)
  for (const { firstTokenSteps } of chats) expect(firstTokenSteps).toBeLessThanOrEqual(MOST_CHAT_STEPS)
  // What the chats leave is the long ones': 64 tokens a step but what each chat needs, and no step is empty.
  const tokensLeft = OPTIONS.maxPrefillTokensWithDecodes - CHAT_TOKENS / chatEverySteps
  const [first, last] = [longs[0]!.firstTokenSteps!, longs.at(-1)!.firstTokenSteps!]
  expect(first).toBeLessThanOrEqual(LONG_TOKENS / (OPTIONS.maxPrefillTokensWithDecodes / 2) + MOST_CHAT_STEPS)
  expect(last).toBeLessThanOrEqual((numLong * LONG_TOKENS) / tokensLeft + MOST_CHAT_STEPS + 60)
})

test('99: behind more long prompts than share a step a chat waits for one of them, and everything is answered in its turn', async () => {
  const { chats, longs } = await run({ numLong: 4, chatEverySteps: 10 })
  const firstTokens = longs.map(({ firstTokenSteps }) => firstTokenSteps!)
  expect(firstTokens).toEqual(firstTokens.toSorted((a, b) => a - b))
  // The third and fourth long prompt are before it in the line; the first two have then been computed.
  for (const { firstTokenSteps } of chats) expect(firstTokenSteps).toBeLessThanOrEqual(firstTokens[1]! + MOST_CHAT_STEPS)
  expect([...longs, ...chats].filter(({ sink }) => sink.error !== null)).toEqual([])
})
