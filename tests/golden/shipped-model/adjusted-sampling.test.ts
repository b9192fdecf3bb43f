/** A generation whose sampling is changed while it runs goes on exactly like one that begins where the change took effect. */
import path from 'node:path'
import { expect, test } from 'vitest'
import type { GenerateEvent, GenerateRequest, SamplingChange } from '#contract/generate'
import type { Engine } from '#engine/engine'
import { greedyRequest, smallEngine } from './greedy.ts'

const MODEL = path.resolve(import.meta.dirname, '../../../models/inferd-chat/inferd-chat-Q8_0.gguf')
const PROMPT = [5, 80, 300, 41, 7, 900, 12, 66]
const NUM_TOKENS = 48

/** The tokens of one answer; `change` is asked for when `after` of them are there. */
function tokensOf(engine: Engine, request: GenerateRequest, change: SamplingChange | null = null, after = 0): Promise<number[]> {
  const tokens: number[] = []
  return new Promise((resolve, reject) => {
    const running = engine.start(request, (event: GenerateEvent) => {
      if (event.type === 'text-delta') tokens.push(...(event.logprobs ?? []).map(({ tokenId }) => tokenId))
      if (event.type === 'response-error') reject(new RangeError(event.error.message))
      if (event.type === 'response-end') resolve(tokens)
      if (change !== null && tokens.length === after) running.adjust(change)
    })
  })
}

const greedy = (prompt: readonly number[], sampling: SamplingChange = {}, maxTokens = NUM_TOKENS): GenerateRequest => {
  const request = greedyRequest([...prompt], { maxTokens, numTopLogprobs: 0, ignoreEos: true, cacheSalt: `${prompt.length}` })
  return { ...request, sampling: { ...request.sampling, ...sampling } }
}

test.each([
  ['a repetition penalty, which looks at prompt and output', { repetitionPenalty: 2.5 }],
  ['a smaller one on top of what ran before', { repetitionPenalty: 1.2 }],
])('%s', async (_name, change) => {
  const engine = await smallEngine(MODEL)
  const plain = await tokensOf(engine, greedy(PROMPT))
  for (const after of [1, 7, 20]) {
    const adjusted = await tokensOf(engine, greedy(PROMPT), change, after)
    const firstOther = adjusted.findIndex((token, index) => token !== plain[index])
    // The change takes effect one step behind the token that it was asked for at, at the latest two.
    const starts = [after, after + 1, after + 2].filter((start) => firstOther < 0 || start <= firstOther)
    const fresh = await Promise.all(
      starts.map((start) => tokensOf(engine, greedy([...PROMPT, ...plain.slice(0, start)], change, NUM_TOKENS - start))),
    )
    const wanted = fresh.map((tokens, index) => [...plain.slice(0, starts[index]), ...tokens])
    expect(wanted).toContainEqual(adjusted)
  }
  const strongest = await tokensOf(engine, greedy(PROMPT), { repetitionPenalty: 2.5 }, 1)
  expect(strongest).not.toEqual(plain)
  await engine.close()
})

test('penalties of the output alone count what was written before they were switched on', async () => {
  const engine = await smallEngine(MODEL)
  const plain = await tokensOf(engine, greedy(PROMPT))
  const adjusted = await tokensOf(engine, greedy(PROMPT), { frequencyPenalty: 2, presencePenalty: 2 }, 24)
  expect(adjusted.slice(0, 24)).toEqual(plain.slice(0, 24))
  const before = new Set(plain.slice(0, 24))
  const repeats = (tokens: readonly number[]): number => tokens.slice(26).filter((token) => before.has(token)).length
  expect(repeats(adjusted)).toBeLessThan(repeats(plain))
  await engine.close()
})

test('a change after the end, and one for a request that is gone, do nothing', async () => {
  const engine = await smallEngine(MODEL)
  const events: string[] = []
  const ended = Promise.withResolvers<void>()
  const running = engine.start(greedy(PROMPT, {}, 4), (event) => {
    events.push(event.type)
    if (event.type === 'response-end') ended.resolve()
  })
  await ended.promise
  running.adjust({ temperature: 1 })
  await engine.probe(new AbortController().signal)
  expect(events.at(-1)).toBe('response-end')
  await engine.close()
})
