import { expect, test } from 'vitest'
import { ACCEPTS, BOUNDARY, UNBOUNDED, UNCOUNTED, type Automaton } from './automaton.ts'
import { createReferenceVocabulary } from './reference-matcher.ts'
import { MAX_CONFIGURATIONS, type TokenMatcher } from './token-matcher.ts'

/** Ids 0 to 2: a, b, ab; 3 and 4 are special. */
const VOCABULARY = createReferenceVocabulary([Uint8Array.of(97), Uint8Array.of(98), Uint8Array.of(97, 98), new Uint8Array(), new Uint8Array()])
const [A, B, AB, SPECIAL, OTHER_SPECIAL] = [0, 1, 2, 3, 4]

interface State {
  readonly rule: number
  readonly flags?: number
  readonly bytes?: readonly (readonly [string, number])[]
  readonly calls?: readonly (readonly [number, number])[]
  readonly tokens?: readonly (readonly [number, number])[]
}

/** Tables by hand. A rule starts at its first state. */
function automatonOf(states: readonly State[], counts: readonly (readonly [number, number])[], matchesEmpty = false): Automaton {
  const starts = (list: (state: State) => readonly unknown[] | undefined): Int32Array<ArrayBuffer> => {
    let sum = 0
    return Int32Array.from([0, ...states.map((state) => (sum += list(state)?.length ?? 0))])
  }
  const firstOf = new Map(states.map((state, index) => [state.rule, index] as const).reverse())
  const bytes = states.flatMap((state) => state.bytes ?? [])
  const calls = states.flatMap((state) => state.calls ?? [])
  const tokens = states.flatMap((state) => state.tokens ?? [])
  return {
    numStates: states.length,
    numRules: counts.length,
    rootRule: 0,
    matchesEmpty,
    ruleStart: Int32Array.from(counts.map((_, rule) => firstOf.get(rule)!)),
    ruleMin: Int32Array.from(counts.map(([min]) => min)),
    ruleMax: Int32Array.from(counts.map(([, max]) => max)),
    stateRule: Int32Array.from(states.map((state) => state.rule)),
    stateFlags: Uint8Array.from(states.map((state) => state.flags ?? 0)),
    byteStarts: starts((state) => state.bytes),
    byteFirst: Uint8Array.from(bytes.map(([char]) => char.charCodeAt(0))),
    byteLast: Uint8Array.from(bytes.map(([char]) => char.charCodeAt(0))),
    byteTarget: Int32Array.from(bytes.map(([, target]) => target)),
    callStarts: starts((state) => state.calls),
    callRule: Int32Array.from(calls.map(([rule]) => rule)),
    callReturn: Int32Array.from(calls.map(([, state]) => state)),
    tokenStarts: starts((state) => state.tokens),
    tokenIds: Int32Array.from(tokens.map(([id]) => id)),
    tokenTarget: Int32Array.from(tokens.map(([, target]) => target)),
  }
}

function matcherOf(automaton: Automaton): TokenMatcher {
  return VOCABULARY.load(automaton).createMatcher()
}

function mask(matcher: TokenMatcher): number {
  const words = new Uint32Array(1)
  matcher.fillMask(words)
  return words[0]!
}

const PLAIN = [0, UNCOUNTED] as const

test('a rule that may end in its start does not end before it has read something', () => {
  const automaton = automatonOf([{ rule: 0, flags: ACCEPTS, bytes: [['a', 0]] }], [PLAIN])
  const matcher = matcherOf(automaton)
  expect(matcher.canEnd).toBe(false)
  expect(matcher.accept(A)).toBe(true)
  expect(matcher.canEnd).toBe(true)
  expect(matcher.accept(B)).toBe(false)
  expect(matcher.accept(A)).toBe(true)
  expect(matcherOf({ ...automaton, matchesEmpty: true }).canEnd).toBe(true)
})

test('a counted rule ends only at a boundary with enough repeats, and stops at the most', () => {
  const states = [
    { rule: 0, flags: ACCEPTS | BOUNDARY, bytes: [['a', 1]] },
    { rule: 0, bytes: [['b', 0]] },
  ] as const
  const matcher = matcherOf(automatonOf(states, [[2, 3]]))
  const ends = [AB, A, B, AB].map((token) => matcher.accept(token) && matcher.canEnd)
  expect(ends).toEqual([false, false, true, true])
  expect(matcher.isComplete).toBe(true)
  expect(mask(matcher)).toBe(0)

  const endless = matcherOf(automatonOf(states, [[2, UNBOUNDED]]))
  for (let i = 0; i < 50; i++) expect(endless.accept(AB) && endless.canEnd).toBe(i > 0)
})

test('a return counts like a byte does, each caller with its own count', () => {
  const states = [
    { rule: 0, flags: ACCEPTS | BOUNDARY, calls: [[1, 0]] },
    { rule: 1, bytes: [['a', 2]] },
  ] as const
  const withEnd = [states[0], states[1], { rule: 1, flags: ACCEPTS, bytes: [['a', 3]] }, { rule: 1, flags: ACCEPTS }] as const
  const matcher = matcherOf(automatonOf(withEnd, [[2, 2], PLAIN]))
  const ends = [A, A, A, A].map((token) => matcher.accept(token) && matcher.canEnd)
  expect(ends).toEqual([false, true, true, true])
  expect(matcher.isComplete).toBe(true)
})

test('a special token is taken only by its edge, between tokens of text', () => {
  const states = [
    { rule: 0, bytes: [['a', 1]], tokens: [[SPECIAL, 2]] },
    { rule: 0, bytes: [['b', 2]] },
    { rule: 0, flags: ACCEPTS, tokens: [[OTHER_SPECIAL, 3]] },
    { rule: 0, flags: ACCEPTS },
  ] as const
  const automaton = automatonOf(states, [PLAIN])
  const matcher = matcherOf(automaton)
  expect(mask(matcher)).toBe((1 << A) | (1 << AB) | (1 << SPECIAL))
  expect(matcher.forcedTokenId()).toBeNull()
  expect(matcher.forcedBytes(9)).toEqual(new Uint8Array())
  expect(matcher.hasLongerToken(Uint8Array.of(97))).toBe(true)
  expect(matcher.hasLongerToken(Uint8Array.of(97, 98))).toBe(false)
  expect(matcher.accept(OTHER_SPECIAL)).toBe(false)
  expect(matcher.accept(A)).toBe(true)
  expect(matcher.forcedBytes(9)).toEqual(Uint8Array.of(98))
  expect(matcher.forcedBytes(0)).toEqual(new Uint8Array())
  expect(matcher.accept(SPECIAL)).toBe(false)
  expect(matcher.accept(B)).toBe(true)
  expect([matcher.canEnd, matcher.isComplete, matcher.forcedTokenId()]).toEqual([true, false, null])
  expect(matcher.accept(99)).toBe(false)
  const forced = automatonOf(
    [
      { rule: 0, tokens: [[SPECIAL, 1]] },
      { rule: 0, flags: ACCEPTS },
    ],
    [PLAIN],
  )
  expect(matcherOf(forced).forcedTokenId()).toBe(SPECIAL)
})

test('matchers of one grammar do not see each other, and a refused token changes nothing', () => {
  const grammar = VOCABULARY.load(
    automatonOf(
      [
        { rule: 0, bytes: [['a', 1]] },
        { rule: 0, flags: ACCEPTS, bytes: [['b', 1]] },
      ],
      [PLAIN],
    ),
  )
  const [one, other] = [grammar.createMatcher(), grammar.createMatcher()]
  expect(one.accept(A)).toBe(true)
  expect(one.accept(A)).toBe(false)
  expect([one.canEnd, other.canEnd]).toEqual([true, false])
  expect([mask(one), mask(other)]).toEqual([1 << B, (1 << A) | (1 << AB)])
})

test('a position with more configurations than the bound is an error, and the matcher stays where it was', () => {
  const rules = Array.from({ length: MAX_CONFIGURATIONS }, (_, index) => index + 1)
  const states: State[] = [
    {
      rule: 0,
      bytes: [
        ['a', 1],
        ['b', 2],
      ],
    },
    { rule: 0, calls: rules.map((rule) => [rule, 2] as const) },
    { rule: 0, flags: ACCEPTS },
    ...rules.map((rule): State => ({ rule, bytes: [['a', 2]] })),
  ]
  const automaton = automatonOf(states, [PLAIN, ...rules.map(() => PLAIN)])
  const matcher = matcherOf(automaton)
  expect(() => matcher.accept(A)).toThrow('too ambiguous')
  expect(() => mask(matcher)).toThrow('too ambiguous')
  expect(matcher.accept(B) && matcher.canEnd).toBe(true)
  expect(matcherOf({ ...automaton, callStarts: automaton.callStarts.map((start, state) => (state > 1 ? start - 1 : start)) }).accept(A)).toBe(true)
})
