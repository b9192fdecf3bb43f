import { expect, test } from 'vitest'
import { choiceListExpr } from './choice-list.ts'
import { DEFAULT_GRAMMAR_LIMITS as LIMITS } from './grammar-limits.ts'

test('a list of choices is one of its texts, the empty one included', () => {
  expect(choiceListExpr(['yes', '', '__proto__'], LIMITS)).toEqual({
    kind: 'choice',
    items: ['yes', '', '__proto__'].map((text) => ({ kind: 'text', text })),
  })
})

test('a list that is empty, too long, too large, doubled or not Unicode is refused', () => {
  expect(() => choiceListExpr([], LIMITS)).toThrow('the list of choices is empty')
  expect(() => choiceListExpr(['a', 'b', 'a'], LIMITS)).toThrow('a choice is the same as choice 1 (at choice 3)')
  expect(() => choiceListExpr(['a', '\ud800'], LIMITS)).toThrow('a choice is not well-formed Unicode (at choice 2)')
  expect(() => choiceListExpr(['a', 'b'], { ...LIMITS, maxEnumValues: 1 })).toThrow('there are more than 1 choices')
  expect(() => choiceListExpr(['é', 'éé'], { ...LIMITS, maxSourceBytes: 5 })).toThrow('the choices have more than 5 bytes (at choice 2)')
})
