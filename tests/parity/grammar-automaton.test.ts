/** Automata of random grammars against an oracle that works on the grammar itself. */
import { expect, test } from 'vitest'
import { SeededRandom, type Random } from '#base/random'
import { InferdError } from '#contract/errors'
import type { Automaton } from '#engine/grammar/automaton'
import { compileAutomaton } from '#engine/grammar/compile-automaton'
import type { Grammar } from '#engine/grammar/grammar'
import { DEFAULT_GRAMMAR_LIMITS } from '#engine/grammar/grammar-limits'
import { createReferenceVocabulary } from '#engine/grammar/reference-matcher'
import type { TokenMatcher } from '#engine/grammar/token-matcher'
import { judge, judgePrefixes, tokenSymbol, type TextSymbol } from './grammar-oracle.ts'
import { ALPHABET, randomGrammar, randomSymbols } from './random-grammar.ts'

/** Ids 0 to 255 are single bytes, then three special tokens, then longer ones. */
const SPECIAL_IDS = [256, 257, 258]
const LONG_TOKENS = ['ab', 'ba', 'aba', 'é日', 'c𝄞a', '日']
const encoder = new TextEncoder()
const TOKEN_BYTES = [
  ...Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte)),
  ...SPECIAL_IDS.map(() => new Uint8Array()),
  ...LONG_TOKENS.map((token) => encoder.encode(token)),
]
const VOCABULARY = createReferenceVocabulary(TOKEN_BYTES)
const NEXT_SYMBOLS = [...ALPHABET, ...SPECIAL_IDS.map(tokenSymbol)]

function tokenIdsOf(symbol: TextSymbol): number[] {
  return symbol < 0 ? [-1 - symbol] : [...encoder.encode(String.fromCodePoint(symbol))]
}

function matcherAfter(automaton: Automaton, tokenIds: readonly number[]): TokenMatcher {
  const matcher = VOCABULARY.load(automaton).createMatcher()
  for (const tokenId of tokenIds) expect(matcher.accept(tokenId)).toBe(true)
  return matcher
}

function allowed(matcher: TokenMatcher): number[] {
  const words = new Uint32Array(Math.ceil(TOKEN_BYTES.length / 32))
  matcher.fillMask(words)
  return TOKEN_BYTES.flatMap((_, id) => ((words[id >> 5]! >>> (id & 31)) & 1 ? [id] : []))
}

/** Null: refused. A refusal for an empty language must be right. */
function compile(grammar: Grammar): Automaton | null {
  try {
    return compileAutomaton(grammar, DEFAULT_GRAMMAR_LIMITS)
  } catch (error) {
    if (!(error instanceof InferdError)) throw error
    if (error.message === 'the grammar matches no text') expect(judge(grammar, []).isPrefix).toBe(false)
    return null
  }
}

function grammars(seed: number, count: number): { random: Random; grammar: Grammar; automaton: Automaton; name: string }[] {
  const cases = []
  for (let i = 0; i < count; i++) {
    const random = new SeededRandom(seed * 1_000_003 + i)
    const grammar = randomGrammar(random, { tokenIds: i % 3 === 0 ? SPECIAL_IDS : [], maxCount: i % 5 === 0 ? 80 : 6 })
    const automaton = compile(grammar)
    if (automaton !== null) cases.push({ random, grammar, automaton, name: `seed ${seed} grammar ${i}: ${JSON.stringify(grammar.rules)}` })
  }
  return cases
}

test('an automaton of a random grammar takes a text, and a beginning of one, exactly where the grammar has it', () => {
  const cases = grammars(1, 1_200)
  let numWhole = 0
  for (const { random, grammar, automaton, name } of cases) {
    for (let round = 0; round < 4; round++) {
      const symbols = randomSymbols(random, grammar, SPECIAL_IDS, 14)
      const judgements = judgePrefixes(grammar, symbols)
      const matcher = VOCABULARY.load(automaton).createMatcher()
      for (let length = 0; length <= symbols.length; length++) {
        const taken = length === 0 || tokenIdsOf(symbols[length - 1]!).every((tokenId) => matcher.accept(tokenId))
        const at = `${name} text ${JSON.stringify(symbols.slice(0, length))}`
        expect(taken, at).toBe(judgements[length]!.isPrefix)
        if (!taken) break
        expect(matcher.canEnd, at).toBe(judgements[length]!.isWhole)
        if (judgements[length]!.isWhole) numWhole += 1
      }
    }
  }
  expect(cases.length).toBeGreaterThan(800)
  expect(numWhole).toBeGreaterThan(2_000)
})

test('a matcher of a random grammar never comes to a place from which no text leads to an end', () => {
  for (const { random, automaton, name } of grammars(2, 400)) {
    const path: number[] = []
    const matcher = VOCABULARY.load(automaton).createMatcher()
    for (let step = 0; step < 10; step++) {
      const next = allowed(matcher)
      if (next.length === 0) break
      const tokenId = next[random.nextInt(next.length)]!
      path.push(tokenId)
      expect(matcher.accept(tokenId)).toBe(true)
    }
    expect(findEnd(automaton, path), `${name} after ${JSON.stringify(path)}`).not.toBe('dead end')
  }
})

/** Breadth first. 'unknown': not within the bound, which no dead end takes to show itself when the grammar is small. */
function findEnd(automaton: Automaton, path: readonly number[]): 'end' | 'dead end' | 'unknown' {
  const open = [[...path]]
  for (const place of open) {
    const matcher = matcherAfter(automaton, place)
    if (matcher.canEnd) return 'end'
    if (open.length > 300) continue
    for (const tokenId of allowed(matcher)) if (tokenId < 259) open.push([...place, tokenId])
  }
  return open.length > 300 ? 'unknown' : 'dead end'
}

test('the mask, the longer tokens and the forced text of a random grammar are those of the grammar', () => {
  for (const { random, grammar, automaton, name } of grammars(3, 400)) {
    const symbols = randomSymbols(random, grammar, SPECIAL_IDS, 8)
    const judgements = judgePrefixes(grammar, symbols)
    const length = judgements.findLastIndex((judgement) => judgement.isPrefix)
    const prefix = symbols.slice(0, length)
    const tokenIds = prefix.flatMap(tokenIdsOf)
    const at = `${name} after ${JSON.stringify(prefix)}`
    const matcher = matcherAfter(automaton, tokenIds)
    const next = NEXT_SYMBOLS.filter((symbol) => judge(grammar, [...prefix, symbol]).isPrefix)
    const mask = allowed(matcher)

    const first = new Set(next.map((symbol) => tokenIdsOf(symbol)[0]!))
    expect(new Set(mask.filter((id) => id < 259)), at).toEqual(first)
    for (const [index, token] of LONG_TOKENS.entries()) {
      const codes = Array.from(token, (char) => char.codePointAt(0)!)
      expect(mask.includes(259 + index), `${at} ${token}`).toBe(judge(grammar, [...prefix, ...codes]).isPrefix)
    }
    expect(matcher.isComplete, at).toBe(judgements[length]!.isWhole && next.length === 0)
    expect(matcher.hasLongerToken(encoder.encode('a')), at).toBe(mask.some((id) => TOKEN_BYTES[id]!.length > 1 && TOKEN_BYTES[id]![0] === 97))
    checkForced(automaton, tokenIds, { next, isWhole: judgements[length]!.isWhole, at })
  }
})

function checkForced(automaton: Automaton, tokenIds: readonly number[], now: { next: readonly TextSymbol[]; isWhole: boolean; at: string }): void {
  const matcher = matcherAfter(automaton, tokenIds)
  const forced = [...matcher.forcedBytes(12)]
  for (const symbol of now.next) {
    const bytes = symbol < 0 ? [] : tokenIdsOf(symbol)
    if (symbol < 0) expect(forced, now.at).toEqual([])
    expect(
      forced.slice(0, bytes.length).every((byte, i) => byte === bytes[i]),
      now.at,
    ).toBe(true)
  }
  if (now.isWhole) expect(forced, now.at).toEqual([])
  const isOneToken = !now.isWhole && now.next.length === 1 && now.next[0]! < 0
  expect(matcher.forcedTokenId(), now.at).toBe(isOneToken ? -1 - now.next[0]! : null)

  for (const byte of forced) {
    expect(allowed(matcher).filter((id) => id < 259)).toEqual([byte])
    expect(matcher.canEnd, now.at).toBe(false)
    expect(matcher.accept(byte), now.at).toBe(true)
  }
  const after = allowed(matcher).filter((id) => id < 259)
  if (forced.length < 12) expect(matcher.canEnd || after.length > 1 || after[0]! > 255, now.at).toBe(true)
}
