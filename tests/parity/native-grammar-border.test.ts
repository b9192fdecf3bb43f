/** What the border to JavaScript promises of native grammars: refusals by name, objects that keep what they need, bounded caches. */
import { expect, test } from 'vitest'
import { ACCEPTS } from '#engine/grammar/automaton'
import { createNativeVocabulary } from '#engine/kernels/native/native-vocabulary'
import { AutomatonDraft, jsonAutomaton } from './automaton-tables.ts'

const encoder = new TextEncoder()
const BYTES = Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte))
const TOKENS = [...BYTES, ...['", "', '":', 'ab', 'abc', ' true'].map((text) => encoder.encode(text))]

test('tables that contradict themselves are refused when they are loaded', () => {
  const good = jsonAutomaton()
  const vocabulary = createNativeVocabulary(TOKENS)
  expect(() => vocabulary.load({ ...good, byteTarget: good.byteTarget.map(() => good.numStates) })).toThrow('a byte edge leaves its rule')
  expect(() => vocabulary.load({ ...good, callRule: good.callRule.map(() => -1) })).toThrow('a call names no rule')
  expect(() => vocabulary.load({ ...good, byteFirst: good.byteLast, byteLast: good.byteFirst })).toThrow('a byte edge is empty')
  expect(() => vocabulary.load({ ...good, ruleStart: good.ruleStart.subarray(1) })).toThrow('another length')
})

test('a grammar that is too ambiguous for its text says so with a code, and the matcher stays where it was', () => {
  const draft = new AutomatonDraft()
  const rules = Array.from({ length: 200 }, () => draft.rule())
  const ends = rules.map((rule) => {
    const [start, end] = [draft.state(rule), draft.state(rule, ACCEPTS)]
    draft.bytes(start, 'a', 'a', end)
    draft.bytes(end, 'a', 'a', end)
    return end
  })
  for (const [index, end] of ends.entries()) for (const callee of rules) for (const from of [end - 1, end]) draft.call(from, callee, ends[index]!)
  const matcher = createNativeVocabulary(TOKENS).load(draft.build()).createMatcher()
  let numTaken = 0
  const takeAll = (): void => {
    for (; numTaken < 200; numTaken++) matcher.accept(0x61)
  }
  expect(takeAll).toThrow(expect.objectContaining({ code: 'GRAMMAR_TOO_AMBIGUOUS' }))
  expect(matcher.canEnd).toBe(numTaken > 0)
  expect(takeAll).toThrow(expect.objectContaining({ code: 'GRAMMAR_TOO_AMBIGUOUS' }))
})

test('a matcher outlives its grammar and vocabulary, and refuses masks that are too short', () => {
  const matcher = createNativeVocabulary(TOKENS).load(jsonAutomaton()).createMatcher()
  expect([...encoder.encode('{"a": ')].map((byte) => matcher.accept(byte))).toEqual([true, true, true, true, true, false])
  expect(() => matcher.fillMask(new Uint32Array(1))).toThrow('too few words')
  expect([matcher.accept(-1), matcher.accept(TOKENS.length), matcher.accept(0.5)]).toEqual([false, false, false])
})

test('cached masks keep their bound', () => {
  const masks = (maxCacheBytes: number): { readonly memoryBytes: number; readonly sums: readonly number[] } => {
    const loaded = createNativeVocabulary(TOKENS, maxCacheBytes).load(jsonAutomaton({ maxChars: 9 }))
    const matcher = loaded.createMatcher()
    const sums = [...encoder.encode('[{"abcdefg":[1.5,"ab"]}]')].map((byte) => {
      matcher.accept(byte)
      const words = new Uint32Array(Math.ceil(TOKENS.length / 32))
      matcher.fillMask(words)
      return words.reduce((sum, word) => sum + word, 0)
    })
    return { memoryBytes: loaded.memoryBytes, sums }
  }
  const [without, withCache] = [masks(0), masks(1 << 20)]
  expect(without.sums).toEqual(withCache.sums)
  expect(without.memoryBytes).toBeLessThan(withCache.memoryBytes)
})
