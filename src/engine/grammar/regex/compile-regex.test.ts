import { expect, test } from 'vitest'
import { SeededRandom } from '#base/random'
import { InferdError } from '#contract/errors'
import { CharBudget } from '#engine/grammar/char-algebra-budget'
import { isEmpty, matchesText } from '#engine/grammar/char-algebra-inspect'
import type { CharAutomaton } from '#engine/grammar/char-automaton'
import { DEFAULT_GRAMMAR_LIMITS as LIMITS } from '#engine/grammar/grammar-limits'
import { regexFoundIn, regexMatchingWhole } from './compile-regex.ts'

const whole = (pattern: string): CharAutomaton => regexMatchingWhole(pattern, LIMITS, new CharBudget(LIMITS))
const found = (pattern: string): CharAutomaton => regexFoundIn(pattern, LIMITS, new CharBudget(LIMITS))

const ATOMS = ['a', 'b', '1', '😀', '\\n', '.', '\\d', '\\D', '\\w', '\\W', '\\s', '\\S', '[ab]', '[^a]', '[a-c1]', '[^\\d]', '[\\w]', '[\\u{1F600}]']
const MORE_ATOMS = ['\\u0061', '\\x62', '\\cJ', '\\.', '\\u{1f600}', '\\ud83d\\ude00', '\\p{L}', '\\P{L}', '[^]', '[]', '^', '$', '(?:)', '_']
const CHARS = ['a', 'b', 'c', '1', '_', ' ', '\n', '😀', 'é', '.', '-']

/** A pattern that JavaScript takes with the u flag. */
function randomPattern(random: SeededRandom, depth: number): string {
  const pick = (from: readonly string[]): string => from[random.nextInt(from.length)]!
  const kind = depth === 0 ? 0 : random.nextInt(6)
  const sub = (): string => randomPattern(random, depth - 1)
  if (kind <= 1) return pick(random.nextInt(3) === 0 ? MORE_ATOMS : ATOMS)
  if (kind === 2) return sub() + sub() + sub()
  if (kind === 3) return `${pick(['(', '(?:', `(?<n${random.nextUint32()}>`])}${sub()}|${sub()})`
  return `(${sub()})${pick(['*', '+', '?', '{2}', '{1,}', '{0,2}', '{1,3}', '*?', '+?', '??', '{1,2}?', '{0}'])}`
}

function randomText(random: SeededRandom): string {
  return Array.from({ length: random.nextInt(6) }, () => CHARS[random.nextInt(random.nextInt(2) === 0 ? 3 : CHARS.length)]!).join('')
}

test('random patterns accept what JavaScript accepts, matched as a whole and searched for', () => {
  const random = new SeededRandom(11)
  const counts = { yes: 0, no: 0 }
  const wrong: unknown[] = []
  for (let round = 0; round < 2000; round++) {
    const pattern = randomPattern(random, 3)
    const [wholeAutomaton, foundAutomaton] = [whole(pattern), found(pattern)]
    const [wholeOracle, foundOracle] = [new RegExp(`^(?:${pattern})$`, 'u'), new RegExp(pattern, 'u')]
    for (let i = 0; i < 25; i++) {
      const text = randomText(random)
      const expected = [wholeOracle.test(text), foundOracle.test(text)]
      const got = [matchesText(wholeAutomaton, text), matchesText(foundAutomaton, text)]
      if (got[0] !== expected[0] || got[1] !== expected[1]) wrong.push([pattern, text, ...got])
      counts[expected[0]! ? 'yes' : 'no']++
    }
  }
  expect(wrong).toEqual([])
  expect(counts.yes).toBeGreaterThan(3000)
  expect(counts.no).toBeGreaterThan(3000)
})

test('every single code point of a class or property is decided as JavaScript decides it', () => {
  for (const atom of ['.', '\\s', '\\W', '\\P{Lu}', '\\p{Script=Greek}', '[^\\p{N}\\s]']) {
    const automaton = whole(atom)
    const oracle = new RegExp(`^${atom}$`, 'u')
    const wrong: number[] = []
    for (let codePoint = 0; codePoint <= 0x10ffff; codePoint++) {
      if (codePoint === 0xd800) codePoint = 0xe000
      const char = String.fromCodePoint(codePoint)
      if (oracle.test(char) !== matchesText(automaton, char)) wrong.push(codePoint)
    }
    expect([atom, wrong]).toEqual([atom, []])
  }
})

test('anchors are exact wherever they stand', () => {
  const cases: [string, string, boolean][] = [
    ['^a|b$', 'ax', true],
    ['^a|b$', 'xb', true],
    ['^a|b$', 'xax', false],
    ['(^a|b)c', 'xbc', true],
    ['(^a|b)c', 'xac', false],
    ['a$b', 'ab', false],
    ['(?:a|^)*b$', 'aab', true],
    ['^$', '', true],
    ['^$', 'a', false],
    ['$^', '', true],
    ['x*^y', 'y', true],
    ['x*^y', 'xy', false],
  ]
  for (const [pattern, text, expected] of cases) {
    expect([pattern, text, matchesText(found(pattern), text)]).toEqual([pattern, text, expected])
    expect(new RegExp(pattern, 'u').test(text)).toBe(expected)
  }
  expect(isEmpty(found('a^b'))).toBe(true)
})

test('patterns as people write them for Python or without the u flag are taken when they mean one thing', () => {
  expect(matchesText(whole('[\\w-.]+@[\\w\\-]+\\.(?P<tld>[a-z]{2,})'), 'a-b.c@x-y.org')).toBe(true)
  expect(matchesText(whole('{"name": "[^"]*"}'), '{"name": "Ann"}')).toBe(true)
  expect(matchesText(whole('\\\'\\"\\-\\_\\@\\ \\#'), '\'"-_@ #')).toBe(true)
  expect(matchesText(whole('a{b'), 'a{b')).toBe(true)
  expect(matchesText(whole('\\{[^}]+}'), '{x}')).toBe(true)
})

test('what is not supported is refused by name, with its place', () => {
  const cases: [string, string][] = [
    ['ab(?=c)', 'look-around (?= is not supported (at character 3)'],
    ['(?<!a)b', 'look-around (?<! is not supported (at character 1)'],
    ['(a)\\1', 'back references (\\1) are not supported (at character 4)'],
    ['(?<n>a)\\k<n>', 'back references (\\k) are not supported (at character 8)'],
    ['a\\b', 'word boundaries (\\b) are not supported (at character 2)'],
    ['😀\\Bx', 'word boundaries (\\B) are not supported (at character 2)'],
    ['(?i)a', 'inline flags are not supported (at character 1)'],
    ['(?s-i:a)', 'inline flags are not supported (at character 1)'],
    ['(?>a)', 'the group (?> is not supported (at character 1)'],
    ['a**', 'a quantifier follows a quantifier (at character 3)'],
    ['a++', 'a quantifier follows a quantifier (at character 3)'],
    ['|*', 'a quantifier has nothing to repeat (at character 2)'],
    ['^*', 'an anchor cannot be repeated (at character 1)'],
    ['a{3,2}', 'the numbers of a quantifier are out of order (at character 2)'],
    ['a{,3}', '{,n} has different meanings in different places: write {0,n} (at character 2)'],
    ['(a', 'a group has no closing parenthesis (at character 1)'],
    ['a)', 'a closing parenthesis has no opening one (at character 2)'],
    ['[a', 'a class has no closing bracket (at character 1)'],
    ['[b-a]', 'the range of a class is out of order (at character 3)'],
    ['[[:alpha:]]', 'POSIX classes ([:alpha:]) are not supported (at character 2)'],
    ['\\p{Nope}', 'there is no Unicode property for \\p{Nope} (at character 1)'],
    ['\\p{Script=constructor}', 'there is no Unicode property for \\p{Script=constructor} (at character 1)'],
    ['\\u{110000}', '\\u{...} needs the hexadecimal number of a code point (at character 1)'],
    ['\\x1', 'the escape needs 2 hexadecimal digits (at character 1)'],
    ['\\Z', 'the escape \\Z is not supported (at character 1)'],
    ['\\01', 'octal escapes are not supported (at character 1)'],
    ['a\\', 'the pattern ends in a backslash (at character 2)'],
  ]
  for (const [pattern, message] of cases) {
    expect(() => whole(pattern), pattern).toThrow(new InferdError('invalid_parameter', message, { param: 'output.format' }))
  }
  expect(() => regexFoundIn('a(?!b)', LIMITS, new CharBudget(LIMITS, 'at /properties/a/pattern'))).toThrow(
    'look-around (?! is not supported (at /properties/a/pattern, character 2)',
  )
})

test('patterns that explode are refused by the budget, and harmless ones of that look are not', () => {
  for (const pattern of ['(a{1,1000}){1,1000}', '.*a.{20}', '(.*a.{12}){3}', 'a{1000000000}', '(?:a{0,200}b{0,200}){0,200}'])
    expect(() => whole(pattern)).toThrow(/too complex/)
  expect(whole('(a+)+b').edges).toHaveLength(3)
  expect(whole('(a|aa)*').edges).toHaveLength(1)
  expect(whole('((((((a*)*)*)*)*)*)*').edges).toHaveLength(1)
  expect(whole('(a?){500}').edges).toHaveLength(501)
  expect(found('[a-z]{1,5000}').edges).toHaveLength(2)
  expect(whole('(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12},){100}').edges).toHaveLength(3701)
})

test('groups nest as deep as the limit and no deeper, and a pattern has a limit of bytes', () => {
  const nested = (depth: number): string => '('.repeat(depth) + 'a' + ')'.repeat(depth)
  expect(matchesText(whole(nested(LIMITS.maxDepth)), 'a')).toBe(true)
  expect(() => whole(nested(LIMITS.maxDepth + 1))).toThrow('groups are nested deeper than 64 (at character 65)')
  expect(() => whole('('.repeat(100_000))).toThrow('groups are nested deeper than 64')
  expect(() => whole('é'.repeat(LIMITS.maxSourceBytes / 2 + 1))).toThrow('more than 262144 bytes')
})
