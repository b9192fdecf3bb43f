import { expect, test } from 'vitest'
import type { GuardrailPolicy } from '#contract/guardrail'
import { EMPTY_POLICY, NO_MODELS, PII_TYPES, piiPolicy } from '../../../tests/safety/policies.ts'
import { compileSpanRules, type SpanRules } from './span-rules.ts'
import { scorePromptAttack } from './prompt-attack.ts'
import { SpanScanner } from './span-scanner.ts'
import { compilePolicy } from './compiled-policy.ts'

const POLICY: GuardrailPolicy = {
  ...piiPolicy(PII_TYPES, 'mask'),
  profanity: { input: 'mask', output: 'mask' },
  words: ['a'.repeat(99), 'kill switch'].map((text) => ({ text, input: 'mask', output: 'mask' })),
}
const PATTERNS: GuardrailPolicy = { ...EMPTY_POLICY, regexes: [{ name: 'bad', description: '', pattern: '(a+)+b', input: 'mask', output: 'mask' }] }

/** Characters that all searches of a text are given, and how many searches there are: the work, whatever the machine. */
function workOf(policy: GuardrailPolicy, text: string): number {
  const rules = compileSpanRules(policy, 'output')!
  let work = 0
  const counted: SpanRules = {
    ...rules,
    find: (part, from, seen) => {
      work += part.length + 16
      return rules.find(part, from, seen)
    },
  }
  const scanner = new SpanScanner(counted)
  scanner.push(text)
  scanner.finish()
  return work
}

test.each([
  ['one letter', 'a'],
  ['one digit', '1'],
  ['at signs', '@'],
  ['near-miss cards', '4111 1111 1111 1112 '],
  ['mail without end', 'a.b@c.d@'],
  ['colons', 'ab:'],
  ['phones', '+49 30 9018-'],
  ['quotes in front of passwords', 'password = "'],
  ['emails', 'a@example.com '],
  ['joined emoji', '👩‍👩‍👧‍👦'],
  ['accents', 'e\u0301\u0300\u200b'],
  ['words', 'the quick brown fox '],
])('twice the text is twice the work: %s', (_, part) => {
  for (const policy of [POLICY, PATTERNS]) {
    const text = part.repeat(Math.ceil(40_000 / part.length))
    const once = workOf(policy, text)
    expect(workOf(policy, text + text)).toBeLessThanOrEqual(2.4 * once + 50_000)
    expect(once).toBeLessThanOrEqual(16 * text.length + 50_000)
  }
})

test('a megabyte of one character is judged', () => {
  for (const character of ['1', '@', '密']) {
    const scanner = new SpanScanner(compileSpanRules(POLICY, 'input')!)
    scanner.push(character.repeat(2 ** 20))
    scanner.finish()
    expect(scanner.decided).toBe(2 ** 20)
  }
}, 120_000)

test('a megabyte that nearly attacks is judged', async () => {
  expect((await scorePromptAttack('ignore all disregard every '.repeat(2 ** 15))).confidence).toBe('NONE')
}, 120_000)

test('a guardrail of ten thousand words is made ready and used', () => {
  const words = Array.from({ length: 10_000 }, (_, i) => ({ text: `word${i} of${i % 7}`, input: 'block' as const, output: 'block' as const }))
  const rules = compilePolicy({ ...EMPTY_POLICY, words }, NO_MODELS).spans.input!
  const scanner = new SpanScanner(rules)
  scanner.push(`${'word of '.repeat(10_000)} WORD9999 of3`)
  scanner.finish()
  expect(scanner.spans.map(({ rule }) => rule)).toEqual(['word9999 of3'])
})
