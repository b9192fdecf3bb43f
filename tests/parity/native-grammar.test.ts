/**
 * Native grammar matchers against their definition, `grammar/reference-matcher.ts`: the same answers and masks bit for bit at every step
 * of random walks, over random tables, compiled grammars and JSON, with masks cached and not.
 */
import { expect, test } from 'vitest'
import { SeededRandom, type Random } from '#base/random'
import { InferdError } from '#contract/errors'
import type { Automaton } from '#engine/grammar/automaton'
import { compileAutomaton } from '#engine/grammar/compile-automaton'
import { DEFAULT_GRAMMAR_LIMITS } from '#engine/grammar/grammar-limits'
import { GrammarBuilder } from '#engine/grammar/grammar-builder'
import { chars, choice, optional, repeat, sequence, text, token, type Expr, type Grammar } from '#engine/grammar/grammar'
import { createReferenceVocabulary } from '#engine/grammar/reference-matcher'
import type { TokenMatcher } from '#engine/grammar/token-matcher'
import { createNativeVocabulary } from '#engine/kernels/native/native-vocabulary'
import { jsonAutomaton, randomAutomaton } from './automaton-tables.ts'

const encoder = new TextEncoder()
const JSON_PIECES = [
  '"',
  '":',
  '",',
  '"}',
  '":"',
  '{"',
  '[{"',
  '}]',
  '},',
  '\\"',
  '\\u00',
  '\\n',
  'true',
  'null',
  '12',
  '-1',
  '1.5',
  ', ',
  ' "',
  '\n  "',
  'é',
  '日本',
  '\u{1f600}x',
  'a"',
  'ab cd',
]

/** Short tokens of few letters, JSON pieces, halves of code points, equal ones, and some without bytes. */
function randomVocabulary(random: Random, size: number): Uint8Array[] {
  const letters = ['a', 'b', 'c', 'd', '"', 'é'].map((letter) => encoder.encode(letter))
  return Array.from({ length: size }, (_, tokenId) => {
    if (tokenId % 29 === 0) return new Uint8Array(0)
    if (tokenId % 5 === 0) return encoder.encode(JSON_PIECES[random.nextInt(JSON_PIECES.length)]!).slice(0, 1 + random.nextInt(5))
    if (tokenId % 7 === 0) return Uint8Array.from({ length: 1 + random.nextInt(3) }, () => random.nextInt(256))
    if (tokenId % 11 === 0) return encoder.encode('ab'.repeat(1 + random.nextInt(14)))
    return Uint8Array.from(Array.from({ length: 1 + random.nextInt(5) }, () => [...letters[random.nextInt(letters.length)]!]).flat())
  })
}

interface Pair {
  readonly native: TokenMatcher
  readonly reference: TokenMatcher
  readonly vocabulary: readonly Uint8Array[]
}

function maskOf(matcher: TokenMatcher, vocabSize: number): Uint32Array {
  const words = new Uint32Array(Math.ceil(vocabSize / 32))
  matcher.fillMask(words)
  return words
}

/** Compares everything at one position; returns the tokens that may follow. */
function comparePosition({ native, reference, vocabulary }: Pair, random: Random, place: string): number[] {
  const mask = maskOf(reference, vocabulary.length)
  const allowed = vocabulary.flatMap((_, tokenId) => ((mask[tokenId >> 5]! >>> (tokenId & 31)) & 1 ? [tokenId] : []))
  expect(maskOf(native, vocabulary.length), place).toEqual(mask)
  expect([native.canEnd, native.isComplete, native.forcedTokenId()], place).toEqual([
    reference.canEnd,
    reference.isComplete,
    reference.forcedTokenId(),
  ])
  const maxBytes = random.nextInt(12)
  expect(native.forcedBytes(maxBytes), place).toEqual(reference.forcedBytes(maxBytes))
  const longer = vocabulary[allowed.length > 0 ? allowed[random.nextInt(allowed.length)]! : 1]!
  const prefix = longer.slice(0, random.nextInt(longer.length + 1))
  expect(native.hasLongerToken(prefix), place).toBe(reference.hasLongerToken(prefix))
  return allowed
}

/** How many tokens were taken. */
function walk(pair: Pair, random: Random, maxSteps: number): number {
  for (let step = 0; step < maxSteps; step++) {
    const allowed = comparePosition(pair, random, `step ${step}`)
    const refused = random.nextInt(pair.vocabulary.length)
    const isTaken = pair.reference.accept(refused)
    expect(pair.native.accept(refused)).toBe(isTaken)
    if (isTaken) continue
    if (allowed.length === 0) return step
    const taken = allowed[random.nextInt(allowed.length)]!
    expect([pair.native.accept(taken), pair.reference.accept(taken)]).toEqual([true, true])
  }
  return maxSteps
}

function walkTwice(automaton: Automaton, vocabulary: readonly Uint8Array[], random: Random, maxSteps: number, maxCacheBytes?: number): number {
  const native = createNativeVocabulary(vocabulary, maxCacheBytes).load(automaton)
  const reference = createReferenceVocabulary(vocabulary).load(automaton)
  let numSteps = 0
  for (let round = 0; round < 2; round++)
    numSteps += walk({ native: native.createMatcher(), reference: reference.createMatcher(), vocabulary }, random, maxSteps)
  return numSteps
}

test.each([1, 2, 3])('a native matcher answers as the reference does over random tables, seed %i', (seed) => {
  const random = new SeededRandom(seed)
  let numSteps = 0
  for (let round = 0; round < 60; round++) {
    const vocabulary = randomVocabulary(random, 30 + random.nextInt(150))
    numSteps += walkTwice(randomAutomaton(random, vocabulary.length), vocabulary, random, 12, round % 3 === 0 ? 0 : undefined)
  }
  expect(numSteps).toBeGreaterThan(200)
})

function randomExpr(random: Random, rules: readonly Expr[], depth: number): Expr {
  const inner = (): Expr => randomExpr(random, rules, depth - 1)
  const kind = random.nextInt(depth > 0 ? 9 : 4)
  if (kind === 0) return text(['a', 'bc', '"', 'é', '日', ', "', '{"ab":'][random.nextInt(7)]!)
  if (kind === 1) return chars(' ', '!', '#', '[', ']', '\u{10ffff}')
  if (kind === 2) return random.nextInt(6) === 0 ? token(29 * random.nextInt(3)) : chars('a', 'c')
  if (kind === 3 || kind === 4) return rules[random.nextInt(rules.length)]!
  if (kind === 5) return choice(inner(), inner())
  if (kind === 6) return optional(inner())
  if (kind === 7) return repeat(inner(), random.nextInt(3), random.nextInt(2) === 0 ? null : 3 + random.nextInt(8))
  return sequence(inner(), inner())
}

function randomGrammar(random: Random): Grammar {
  const builder = new GrammarBuilder()
  const ids = Array.from({ length: 1 + random.nextInt(4) }, () => builder.declare('r'))
  const references = ids.map((id): Expr => ({ kind: 'rule', id }))
  for (const id of ids)
    builder.define(id, choice(sequence(text('a'), randomExpr(random, references, 3)), randomExpr(random, references, 3), text('c')))
  return builder.build(ids[0]!)
}

/** Null for what the compiler refuses: ambiguous counts. */
function compileUnlessRefused(grammar: Grammar): Automaton | null {
  try {
    return compileAutomaton(grammar, DEFAULT_GRAMMAR_LIMITS)
  } catch (error) {
    if (error instanceof InferdError) return null
    throw error
  }
}

test.each([1, 2, 3])('a native matcher answers as the reference does over compiled grammars, seed %i', (seed) => {
  const random = new SeededRandom(100 + seed)
  let numSteps = 0
  for (let round = 0; round < 40; round++) {
    const vocabulary = randomVocabulary(random, 60 + random.nextInt(100))
    const automaton = compileUnlessRefused(randomGrammar(random))
    if (automaton !== null) numSteps += walkTwice(automaton, vocabulary, random, 8, round % 3 === 0 ? 0 : undefined)
  }
  expect(numSteps).toBeGreaterThan(150)
})

test.each([
  { name: 'long strings', options: { hasBlanks: true } },
  { name: 'strings of at most 7 code points', options: { maxChars: 7 } },
])('a native matcher answers as the reference does over JSON with $name', ({ options }) => {
  const random = new SeededRandom(7)
  const vocabulary = [
    ...randomVocabulary(random, 120),
    ...JSON_PIECES.map((piece) => encoder.encode(piece)),
    ...Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte)),
  ]
  const native = createNativeVocabulary(vocabulary).load(jsonAutomaton(options))
  const reference = createReferenceVocabulary(vocabulary).load(jsonAutomaton(options))
  for (const opening of ['[', '{"', '[{"a":"', '["\\u0', '[[[[1,', '{"\u00e9']) {
    const pair = { native: native.createMatcher(), reference: reference.createMatcher(), vocabulary }
    for (const byte of encoder.encode(opening)) {
      comparePosition(pair, random, opening)
      for (const matcher of [pair.native, pair.reference]) expect(matcher.accept(vocabulary.length - 256 + byte), opening).toBe(true)
    }
    expect(walk(pair, random, 30), opening).toBeGreaterThan(1)
  }
})
