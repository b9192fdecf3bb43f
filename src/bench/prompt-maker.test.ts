import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ONE_TOKEN_A_WORD, PromptMaker, type PromptShape, type PromptSource, wordScale } from './prompt-maker.ts'

const IDS: PromptSource = { kind: 'ids', range: { min: 300, max: 399 } }
const WORDS: PromptSource = { kind: 'words', scale: ONE_TOKEN_A_WORD }
const SHAPE: PromptShape = { promptTokens: { min: 20, max: 20 }, outputTokens: { min: 8, max: 8 }, prefixTokens: 0 }

const words = (prompt: string | readonly number[]): string[] => String(prompt).split(' ')

test('ids have exactly the length that was asked for, and lie in their range', () => {
  fc.assert(
    fc.property(fc.nat(1000), fc.integer({ min: 1, max: 300 }), fc.nat(50), fc.nat(2 ** 32 - 1), (index, length, prefixTokens, seed) => {
      const maker = new PromptMaker({ shape: { ...SHAPE, promptTokens: { min: length, max: length }, prefixTokens }, source: IDS, seed })
      const prompt = maker.at(index).prompt as readonly number[]
      expect(prompt).toHaveLength(length + prefixTokens)
      expect(prompt.every((id) => id >= 300 && id <= 399)).toBe(true)
    }),
    { seed: 2, numRuns: 200 },
  )
})

test('lengths of prompts and answers are drawn from their ranges, both ends included', () => {
  const shape = { ...SHAPE, promptTokens: { min: 2, max: 4 }, outputTokens: { min: 5, max: 6 } }
  const maker = new PromptMaker({ shape, source: IDS, seed: 1 })
  const made = Array.from({ length: 200 }, (_, index) => maker.at(index))
  expect(new Set(made.map(({ prompt }) => prompt.length))).toEqual(new Set([2, 3, 4]))
  expect(new Set(made.map(({ maxTokens }) => maxTokens))).toEqual(new Set([5, 6]))
})

test('the same seed and index make the same prompt in any order; others differ from their first words on', () => {
  const make = (seed: number): PromptMaker => new PromptMaker({ shape: SHAPE, source: WORDS, seed })
  expect(make(7).at(3)).toEqual(make(7).at(3))
  const beginnings = Array.from({ length: 500 }, (_, index) => words(make(7).at(index).prompt).slice(0, 4).join(' '))
  expect(new Set(beginnings).size).toBe(500)
  expect(make(7).at(3).prompt).not.toEqual(make(8).at(3).prompt)
})

test('all prompts share the prefix and nothing behind it', () => {
  const maker = new PromptMaker({ shape: { ...SHAPE, prefixTokens: 10 }, source: WORDS, seed: 4 })
  const [first, second] = [maker.at(0), maker.at(1)].map(({ prompt }) => words(prompt))
  expect([first!.length, second!.length]).toEqual([30, 30])
  expect(first!.slice(0, 10)).toEqual(second!.slice(0, 10))
  expect(first!.slice(10, 14)).not.toEqual(second!.slice(10, 14))
})

test('words are fitted to what the tokenizer makes of them', () => {
  const scale = wordScale({ words: 32, tokens: 74 }, { words: 128, tokens: 266 })
  expect(scale).toEqual({ tokensPerWord: 2, overheadTokens: 10 })
  const maker = new PromptMaker({ shape: { ...SHAPE, promptTokens: { min: 110, max: 110 } }, source: { kind: 'words', scale }, seed: 1 })
  expect(words(maker.at(0).prompt)).toHaveLength(50)
})

test('a count that makes no sense is not fitted to, and no prompt is empty', () => {
  expect(wordScale({ words: 32, tokens: 40 }, { words: 128, tokens: 40 })).toEqual(ONE_TOKEN_A_WORD)
  const scale = { tokensPerWord: 1, overheadTokens: 50 }
  const maker = new PromptMaker({ shape: { ...SHAPE, promptTokens: { min: 1, max: 1 } }, source: { kind: 'words', scale }, seed: 1 })
  expect(words(maker.at(0).prompt)).toHaveLength(1)
})
