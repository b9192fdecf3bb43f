import { readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import type { TokenGuide } from '#engine/scheduler/token-guide'
import { loadTokenizerFromFolder } from '#engine/tokenizers/load-tokenizer'
import type { ReasoningSpec } from './output-spec.ts'
import { ReasoningGuide } from './reasoning-guide.ts'

const FOLDER = path.resolve(import.meta.dirname, '../../../models/inferd-chat')
const json = (name: string): Record<string, unknown> => JSON.parse(readFileSync(path.join(FOLDER, name), 'utf8')) as Record<string, unknown>
const tokenizer = loadTokenizerFromFolder({
  tokenizerJson: json('tokenizer.json'),
  tokenizerConfig: json('tokenizer_config.json'),
  extraEosTokenIds: [],
})

const encode = (text: string, parseSpecial = true): number[] => tokenizer.encode(text, { parseSpecial, addSpecial: false })
const CLOSE = encode('</think>')
const spec = (start: ReasoningSpec['start']): ReasoningSpec => ({ open: '<think>', close: '</think>', start, markTokens: {} })

function guideOf(start: ReasoningSpec['start'], budgetTokens: number, inner: TokenGuide | null = null): ReasoningGuide {
  return new ReasoningGuide({ spec: spec(start), budgetTokens, tokenizer, inner })
}

/** Bits of the mask, or null where every token may come. */
function allowed(guide: TokenGuide): number[] | null {
  if (!guide.isConstrained) return null
  const words = new Uint32Array(Math.ceil(tokenizer.vocabSize / 32))
  guide.fillMask(words)
  return Array.from({ length: tokenizer.vocabSize }, (_, id) => id).filter((id) => ((words[id >> 5]! >>> (id & 31)) & 1) === 1)
}

function acceptAll(guide: TokenGuide, tokenIds: readonly number[]): void {
  for (const tokenId of tokenIds) guide.accept(tokenId)
}

test('reasoning that the prompt opened is closed after its budget, and the answer is free', () => {
  const guide = guideOf('inside', 3)
  const thought = encode('one two three four five').slice(0, 3)
  for (const tokenId of thought) {
    expect(allowed(guide)).toBeNull()
    guide.accept(tokenId)
  }
  expect(CLOSE).toHaveLength(1)
  expect(allowed(guide)).toEqual(CLOSE)
  acceptAll(guide, CLOSE)
  expect(allowed(guide)).toBeNull()
  acceptAll(guide, encode('a long answer that nobody counts any more, whatever its length is'))
  expect(allowed(guide)).toBeNull()
})

test('a budget of 0 closes at once', () => {
  expect(allowed(guideOf('inside', 0))).toEqual(CLOSE)
})

test('reasoning that ends by itself is never closed again', () => {
  const guide = guideOf('inside', 4)
  acceptAll(guide, [...encode('so'), ...CLOSE, ...encode('The answer is seven and then some.')])
  expect(allowed(guide)).toBeNull()
})

test('a choice that may think has no budget to pay when it answers at once', () => {
  const guide = guideOf('may-open', 1)
  acceptAll(guide, encode('Paris is the capital of France.'))
  expect(allowed(guide)).toBeNull()
})

test.each(['<think>', '\n <think>'])('a choice that opens its reasoning itself with %j pays from there', (opening) => {
  const guide = guideOf('may-open', 6)
  acceptAll(guide, encode(opening))
  expect(allowed(guide)).toBeNull()
  acceptAll(guide, encode('one two three four five six seven').slice(0, 5))
  expect(allowed(guide)).toEqual(CLOSE)
})

test('marks are found when they are spelled letter by letter', () => {
  const letters = (text: string): number[] => [...text].flatMap((char) => encode(char, false))
  const opened = guideOf('may-open', 20)
  acceptAll(opened, [...letters('<think>'), ...letters('hm</think>'), ...letters('and now for something of twenty tokens')])
  expect(allowed(opened)).toBeNull()
  const forced = guideOf('inside', 6)
  acceptAll(forced, letters('hm</th'))
  expect(allowed(forced)).toEqual(CLOSE)
})

test('a code point is finished before the mark is forced', () => {
  const guide = guideOf('inside', 2)
  const bytes = encode('日', false)
  expect(bytes.length).toBeGreaterThan(2)
  for (const [index, tokenId] of bytes.entries()) {
    if (index >= 2) expect(allowed(guide)).toBeNull()
    guide.accept(tokenId)
  }
  expect(allowed(guide)).toEqual(CLOSE)
})

test('the guide of a grammar goes on unseen, and is told of every token', () => {
  const told: number[] = []
  const inner: TokenGuide = {
    isConstrained: true,
    isComplete: false,
    fillMask: (words) => {
      words[0] = 2
    },
    accept: (tokenId) => void told.push(tokenId),
    forcedTokens: () => [5],
  }
  const guide = guideOf('inside', 1, inner)
  expect(allowed(guide)).toEqual([1])
  guide.accept(9)
  expect(allowed(guide)).toEqual(CLOSE)
  expect(guide.forcedTokens(9)).toEqual([])
  acceptAll(guide, CLOSE)
  expect(told).toEqual([9, ...CLOSE])
  expect(guide.forcedTokens(9)).toEqual([5])
})
