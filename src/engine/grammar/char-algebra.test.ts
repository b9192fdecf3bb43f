import { expect, test } from 'vitest'
import { SeededRandom } from '#base/random'
import { InferdError } from '#contract/errors'
import {
  ANY_TEXT,
  complement,
  concatenate,
  fromChars,
  intersect,
  lengthBetween,
  ONLY_EMPTY_TEXT,
  repeatAutomaton,
  subtract,
  textThrough,
  textWithout,
  unite,
} from './char-algebra.ts'
import { CharBudget } from './char-algebra-budget.ts'
import { equals, isEmpty, isFinite, matchesText, shortestText } from './char-algebra-inspect.ts'
import { NO_TEXT } from './char-algebra-minimize.ts'
import { fromTexts } from './char-algebra-texts.ts'
import { ANY_CHAR, type CharAutomaton } from './char-automaton.ts'
import { DEFAULT_GRAMMAR_LIMITS } from './grammar-limits.ts'

const newBudget = (maxCharStates = DEFAULT_GRAMMAR_LIMITS.maxCharStates): CharBudget => new CharBudget({ maxCharStates })
const a = fromChars([97, 97])
const ab = fromChars([97, 98])

/** All texts over a, b and the grinning face of up to 5 code points. */
const TEXTS: readonly string[] = (() => {
  const all = ['']
  for (let i = 0; all[i]!.length < 5; i++) for (const char of ['a', 'b', '😀']) all.push(all[i]! + char)
  return all
})()

interface Sample {
  readonly automaton: CharAutomaton
  readonly accepts: (text: string) => boolean
}

const memoized = (accepts: (text: string) => boolean): ((text: string) => boolean) => {
  const known = new Map<string, boolean>()
  return (text) => known.get(text) ?? (known.set(text, accepts(text)), known.get(text)!)
}

/** Where `text` can be cut in two without breaking a code point. */
const cuts = (text: string): number[] => Array.from({ length: text.length + 1 }, (_, i) => i).filter((i) => text.slice(0, i).isWellFormed())

function repeats(accepts: (text: string) => boolean, min: number, max: number | null): (text: string) => boolean {
  const count = (text: string, times: number): boolean =>
    (text === '' && times >= min) ||
    (text === '' && accepts('')) ||
    (times < (max ?? 12) && cuts(text).some((i) => i > 0 && accepts(text.slice(0, i)) && count(text.slice(i), times + 1)))
  return (text) => count(text, 0)
}

function sample(random: SeededRandom, depth: number): Sample {
  const sub = (): Sample => sample(random, depth - 1)
  const budget = newBudget()
  if (depth === 0 || random.nextInt(6) === 0) {
    const texts = Array.from({ length: random.nextInt(4) }, () => TEXTS[random.nextInt(40)]!)
    return { automaton: fromTexts(texts, budget), accepts: (text) => texts.includes(text) }
  }
  const kind = random.nextInt(6)
  const [x, y] = [sub(), sub()]
  if (kind === 0) return { automaton: unite([x.automaton, y.automaton], budget), accepts: (text) => x.accepts(text) || y.accepts(text) }
  if (kind === 1) return { automaton: intersect(x.automaton, y.automaton, budget), accepts: (text) => x.accepts(text) && y.accepts(text) }
  if (kind === 2) return { automaton: subtract(x.automaton, y.automaton, budget), accepts: (text) => x.accepts(text) && !y.accepts(text) }
  if (kind === 3) return { automaton: complement(x.automaton), accepts: (text) => !x.accepts(text) }
  if (kind === 4) {
    const accepts = memoized((text) => cuts(text).some((i) => x.accepts(text.slice(0, i)) && y.accepts(text.slice(i))))
    return { automaton: concatenate([x.automaton, y.automaton], budget), accepts }
  }
  const min = random.nextInt(4)
  const max = random.nextInt(2) === 0 ? null : min + random.nextInt(3)
  return { automaton: repeatAutomaton(x.automaton, { min, max }, budget), accepts: memoized(repeats(x.accepts, min, max)) }
}

/** Deterministic, trimmed and without surrogates, as CharAutomaton promises. */
function checkTables(automaton: CharAutomaton): void {
  const reached = new Set([0])
  for (const state of reached) for (const edge of automaton.edges[state]!) reached.add(edge.target)
  expect(reached.size).toBe(automaton.edges.length)
  for (const edges of automaton.edges) {
    edges.forEach((edge, i) => {
      expect(edge.first).toBeLessThanOrEqual(edge.last)
      expect(edge.last < 0xd800 || edge.first > 0xdfff).toBe(true)
      if (i > 0) expect(edge.first).toBeGreaterThan(edges[i - 1]!.last)
    })
  }
  const ends = new Set(automaton.accepting.flatMap((accepts, state) => (accepts ? [state] : [])))
  for (let before = -1; before !== ends.size;) {
    before = ends.size
    automaton.edges.forEach((edges, state) => edges.some((edge) => ends.has(edge.target)) && ends.add(state))
  }
  if (!isEmpty(automaton)) expect(ends.size).toBe(automaton.edges.length)
}

test('every construction accepts exactly the texts that its definition names', () => {
  const random = new SeededRandom(7)
  for (let round = 0; round < 400; round++) {
    const { automaton, accepts } = sample(random, 3)
    checkTables(automaton)
    const wrong = TEXTS.filter((text) => matchesText(automaton, text) !== accepts(text))
    expect(wrong).toEqual([])
  }
})

test('equal languages are equal tables, however they were built', () => {
  const random = new SeededRandom(8)
  for (let round = 0; round < 300; round++) {
    const [x, y] = [sample(random, 2).automaton, sample(random, 2).automaton]
    const budget = newBudget()
    expect(equals(complement(complement(x)), x)).toBe(true)
    expect(equals(complement(x), subtract(ANY_TEXT, x, budget))).toBe(true)
    expect(equals(complement(unite([x, y], budget)), intersect(complement(x), complement(y), budget))).toBe(true)
    expect(equals(unite([x, y, x], budget), unite([y, x], budget))).toBe(true)
    expect(equals(subtract(x, y, budget), intersect(x, complement(y), budget))).toBe(true)
  }
})

test('a set of texts is as small as the smallest automaton of its texts', () => {
  const random = new SeededRandom(9)
  for (let round = 0; round < 200; round++) {
    const texts = Array.from({ length: random.nextInt(30) }, () => TEXTS[random.nextInt(TEXTS.length)]!)
    const budget = newBudget()
    const one = unite(
      texts.map((text) =>
        concatenate(
          Array.from(text, (char) => fromChars([char.codePointAt(0)!, char.codePointAt(0)!])),
          budget,
        ),
      ),
      budget,
    )
    expect(equals(fromTexts(texts, budget), one)).toBe(true)
  }
})

test('two thousand long names cost little, and so does everything but them', () => {
  const budget = newBudget()
  const names = Array.from({ length: 2000 }, (_, i) => `some_property_name_${i}_of_the_object`)
  const known = fromTexts(names, budget)
  expect(known.edges.length).toBeLessThan(200)
  const others = complement(known)
  expect(names.some((name) => matchesText(others, name))).toBe(false)
  expect(matchesText(others, 'some_property_name_2000_of_the_object')).toBe(true)
  expect(matchesText(others, '')).toBe(true)
})

test('a text through a marker ends with its first occurrence, and a text without it never holds it', () => {
  const random = new SeededRandom(10)
  for (let round = 0; round < 300; round++) {
    const marker = TEXTS[random.nextInt(TEXTS.length)]!
    const [through, without] = [textThrough(marker, newBudget()), textWithout(marker, newBudget())]
    checkTables(through)
    checkTables(without)
    for (const text of TEXTS) {
      expect(matchesText(through, text)).toBe(text.indexOf(marker) !== -1 && text.indexOf(marker) === text.length - marker.length)
      expect(matchesText(without, text)).toBe(!text.includes(marker))
    }
    const searched = concatenate([ANY_TEXT, fromTexts([marker], newBudget()), ANY_TEXT], newBudget())
    expect(equals(without, complement(searched))).toBe(true)
    expect(equals(concatenate([through, ANY_TEXT], newBudget()), searched)).toBe(true)
  }
})

test('lengths are counted in code points', () => {
  const two = lengthBetween({ min: 2, max: 3 }, newBudget())
  expect(['a', '😀', '😀a', '😀😀😀', 'abcd'].map((text) => matchesText(two, text))).toEqual([false, false, true, true, false])
  expect(matchesText(lengthBetween({ min: 1, max: null }, newBudget()), '😀'.repeat(50))).toBe(true)
  expect(equals(lengthBetween({ min: 0, max: null }, newBudget()), ANY_TEXT)).toBe(true)
  expect(equals(lengthBetween({ min: 0, max: 0 }, newBudget()), ONLY_EMPTY_TEXT)).toBe(true)
  expect(equals(lengthBetween({ min: 3, max: 2 }, newBudget()), NO_TEXT)).toBe(true)
  expect(equals(lengthBetween({ min: 2, max: 7 }, newBudget()), repeatAutomaton(fromChars(ANY_CHAR), { min: 2, max: 7 }, newBudget()))).toBe(true)
})

test('finite languages are told from infinite ones, and a shortest text is found', () => {
  const budget = newBudget()
  expect(isFinite(fromTexts(['ab', 'b'], budget))).toBe(true)
  expect(isFinite(repeatAutomaton(a, { min: 0, max: null }, budget))).toBe(false)
  expect(isFinite(concatenate([ab, repeatAutomaton(a, { min: 3, max: null }, budget)], budget))).toBe(false)
  expect(shortestText(concatenate([ab, repeatAutomaton(a, { min: 3, max: null }, budget)], budget))).toBe('aaaa')
  expect(shortestText(NO_TEXT)).toBe(null)
  expect(shortestText(ANY_TEXT)).toBe('')
})

test('a lone surrogate is in no text', () => {
  expect(equals(fromTexts(['\ud800', 'a'], newBudget()), a)).toBe(true)
  expect(isEmpty(fromChars([0xd800, 0xdfff]))).toBe(true)
  expect(matchesText(ANY_TEXT, '\ud800')).toBe(false)
})

test('what would grow without measure is refused, and the refusal repeats', () => {
  const upTo = (max: number) => (body: CharAutomaton, budget: CharBudget) => repeatAutomaton(body, { min: 1, max }, budget)
  const refusals: [string, (budget: CharBudget) => CharAutomaton][] = [
    ['states', (budget) => upTo(1000)(upTo(1000)(a, budget), budget)],
    ['states', (budget) => lengthBetween({ min: 0, max: 1e9 }, budget)],
    ['states', (budget) => concatenate([repeatAutomaton(ab, { min: 0, max: null }, budget), a, upTo(20)(ab, budget), a], budget)],
    ['states', (budget) => concatenate([ANY_TEXT, a, repeatAutomaton(fromChars(ANY_CHAR), { min: 20, max: 20 }, budget)], budget)],
  ]
  for (const [word, build] of refusals) {
    const [first, second] = [newBudget(), newBudget()]
    expect(() => build(first)).toThrow(InferdError)
    expect(() => build(second)).toThrow(word)
    expect(second.stepsLeft).toBe(first.stepsLeft)
  }
})

test('the steps of one budget are shared by everything that it pays for', () => {
  const budget = newBudget(100)
  const build = (): CharAutomaton => concatenate([a, ab, a], budget.at('at /pattern'))
  expect(() => {
    for (let i = 0; i < 5000; i++) build()
  }).toThrow(/too many steps \(at \/pattern\)/)
})
