import { expect, test } from 'vitest'
import { FakeClock, settle } from '#base/fake-clock'
import { toErrorRecord } from '#contract/errors'
import { type GenerateEvent, NO_USAGE, type Usage } from '#contract/generate'
import { ask, callOf, requestOf } from '../../../tests/safety/stage-calls.ts'
import { CutAnswer } from './cut-answer.ts'
import type { CallHandler } from './stage.ts'

const REAL: Usage = { ...NO_USAGE, promptTokens: 7, cachedTokens: 4, cacheWriteTokens: 2, completionTokens: 31, reasoningTokens: 5 }
const SEEN: Usage = { ...NO_USAGE, promptTokens: 7, cachedTokens: 4, completionTokens: 2 }

/** Says two pieces and then `last`, once it is aborted. */
function talker(last: (reason: unknown) => AsyncIterable<GenerateEvent>): CallHandler {
  return async function* (_call, signal) {
    yield { type: 'response-start', promptTokens: 7, cachedTokens: 4 }
    for (const text of ['a', 'b']) yield { type: 'text-delta', choice: 0, text, logprobs: null }
    if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
    yield* last(signal.reason)
  }
}

async function cutAfterTwo(
  handler: CallHandler,
): Promise<{ readonly usage: Promise<Usage>; readonly isEstimated: () => boolean; readonly clock: FakeClock }> {
  const clock = new FakeClock()
  const call = callOf(requestOf(ask('x')))
  const answer = new CutAnswer(handler, { call, clock, signal: new AbortController().signal })
  let numPieces = 0
  for await (const { type } of answer) if (type === 'text-delta' && ++numPieces === 2) break
  return { usage: answer.cut(), isEstimated: () => call.report.isUsageEstimated, clock }
}

test('a model that is cut says what it has really made, pieces on their way included', async () => {
  const cut = await cutAfterTwo(
    talker(async function* (reason) {
      yield { type: 'text-delta', choice: 0, text: 'late', logprobs: null }
      yield { type: 'response-error', error: toErrorRecord(reason), usage: REAL }
    }),
  )
  expect(await cut.usage).toEqual(REAL)
  expect(cut.isEstimated()).toBe(false)
  expect(cut.clock.numSleepers).toBe(0)
})

test('a model that ends by itself meanwhile is taken by its word', async () => {
  const cut = await cutAfterTwo(
    talker(async function* () {
      yield { type: 'response-end', usage: REAL }
    }),
  )
  expect(await cut.usage).toEqual(REAL)
})

test.each<[string, (reason: unknown) => AsyncIterable<GenerateEvent>]>([
  [
    'throws the reason',
    async function* (reason) {
      throw reason
    },
  ],
  ['ends without a word', async function* () {}],
  [
    'lost count of what it made',
    async function* (reason) {
      yield { type: 'response-error', error: toErrorRecord(reason), usage: { ...NO_USAGE, promptTokens: 7 } }
    },
  ],
])('a model that %s is charged by what was seen, and the report says so', async (_, last) => {
  const cut = await cutAfterTwo(talker(last))
  expect(await cut.usage).toEqual(SEEN)
  expect(cut.isEstimated()).toBe(true)
})

test('a model that never answers is not waited for longer than two seconds', async () => {
  const cut = await cutAfterTwo(
    talker(async function* () {
      await new Promise(() => {})
    }),
  )
  let usage: Usage | null = null
  void cut.usage.then((known) => (usage = known))
  await cut.clock.advance(1999)
  expect(usage).toBeNull()
  await cut.clock.advance(1)
  await settle()
  expect(usage).toEqual(SEEN)
  expect(cut.isEstimated()).toBe(true)
})
