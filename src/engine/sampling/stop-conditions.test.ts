import { expect, test } from 'vitest'
import { endReason, stopConditions } from './stop-conditions.ts'

const REQUEST = { eosTokenIds: [1, 2], stopTokenIds: [7], ignoreEos: false, maxTokens: 5, maxContextTokens: 100 }

test('end-of-sequence tokens and stop tokens end a choice', () => {
  const conditions = stopConditions(REQUEST)
  expect([1, 2, 7, 3].map((tokenId) => endReason(conditions, tokenId, 1))).toEqual(['stop', 'stop', 'stop', null])
})

test('ignored end-of-sequence tokens do not, stop tokens still do', () => {
  const conditions = stopConditions({ ...REQUEST, ignoreEos: true })
  expect([1, 7].map((tokenId) => endReason(conditions, tokenId, 1))).toEqual([null, 'stop'])
})

test('the token that fills the length ends the choice, unless it stops it', () => {
  const conditions = stopConditions(REQUEST)
  expect(endReason(conditions, 3, 4)).toBeNull()
  expect(endReason(conditions, 3, 5)).toBe('length')
  expect(endReason(conditions, 7, 5)).toBe('stop')
})

test('the context cuts maxTokens, and is the limit without it', () => {
  expect(stopConditions({ ...REQUEST, maxContextTokens: 3 }).maxOutputTokens).toBe(3)
  expect(stopConditions({ ...REQUEST, maxTokens: null }).maxOutputTokens).toBe(100)
})
