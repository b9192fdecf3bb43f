/** The tokens of the background in a step, on machines of several speeds. */
import { expect, test } from 'vitest'
import { BackgroundShare } from './background-share.ts'

const MAX_TOKENS = 512

/** Steps that cost so much, and use what they may. */
function settle(share: BackgroundShare, { baseMs, msPerToken }: { readonly baseMs: number; readonly msPerToken: number }): number {
  for (let step = 0; step < 300; step++) share.noteStep(baseMs + share.maxTokens * msPerToken, share.maxTokens)
  return baseMs + share.maxTokens * msPerToken
}

const clock = { ms: 0, nowMs: (): number => clock.ms }

function answer(share: BackgroundShare, afterMs: number): void {
  const [request, cancelled] = [{}, {}]
  share.noteArrival(request)
  share.noteArrival(cancelled)
  clock.ms += afterMs
  share.noteAnswer(request, true)
  // Later tokens, and what never came, say nothing.
  share.noteAnswer(cancelled, false)
  clock.ms += 100
  share.noteAnswer(request, true)
}

test.each([
  [{ baseMs: 1, msPerToken: 0.05 }, 60],
  [{ baseMs: 5, msPerToken: 0.5 }, 300],
  [{ baseMs: 20, msPerToken: 4 }, 900],
])('a step of %o takes about a fifth of the %i ms to a first token', (cost, firstTokenMs) => {
  const share = new BackgroundShare(MAX_TOKENS, clock)
  for (let count = 0; count < 50; count++) answer(share, firstTokenMs)
  const stepMs = settle(share, cost)
  expect(stepMs).toBeLessThanOrEqual(firstTokenMs * 0.3)
  expect(stepMs).toBeGreaterThan(firstTokenMs * 0.1)
})

test('where nobody of the foreground has come, or for a while, steps are long; the next one who comes ends that', () => {
  const share = new BackgroundShare(MAX_TOKENS, clock)
  const cost = { baseMs: 5, msPerToken: 1 }
  const longMs = settle(share, cost)
  expect(longMs).toBeGreaterThan(100)
  for (let count = 0; count < 50; count++) answer(share, 100)
  expect(settle(share, cost)).toBeLessThan(30)
  clock.ms += 60_000
  expect(settle(share, cost)).toBeGreaterThan(longMs * 0.8)
  share.noteArrival({})
  expect(settle(share, cost)).toBeLessThan(30)
})

test('a step that is too long with one token has one token', () => {
  const share = new BackgroundShare(MAX_TOKENS, clock)
  answer(share, 50)
  settle(share, { baseMs: 200, msPerToken: 1 })
  expect(share.maxTokens).toBe(1)
})

test('a fast machine gives the background the whole step, and a step that had little to do says nothing', () => {
  const share = new BackgroundShare(MAX_TOKENS, clock)
  settle(share, { baseMs: 0.1, msPerToken: 0.001 })
  expect(share.maxTokens).toBe(MAX_TOKENS)
  const slow = new BackgroundShare(MAX_TOKENS, clock)
  slow.noteStep(100, 100)
  const before = slow.maxTokens
  for (let step = 0; step < 100; step++) slow.noteStep(1, 2)
  slow.noteStep(500, 0)
  expect(slow.maxTokens).toBe(before)
})

test('one slow step takes back half at most', () => {
  const share = new BackgroundShare(MAX_TOKENS, clock)
  settle(share, { baseMs: 1, msPerToken: 0.5 })
  const before = share.maxTokens
  share.noteStep(10_000, before)
  expect(share.maxTokens).toBe(Math.floor(before / 2))
})
