/** What is let go of is freed: the collector must know how much native memory stands behind a small object. */
import { expect, test } from 'vitest'
import { createNativeVocabulary } from '#engine/kernels/native/native-vocabulary'
import type { LoadedGrammar } from '#engine/grammar/token-matcher'
import { compileOutput } from '#engine/structured-output/compile-output'

const NUM_KEPT = 1500
const NUM_BEFORE = 3000
const NUM_AFTER = 6000
/** Those of NUM_AFTER hold about 160 MB when none is freed. */
const MAX_GROWTH_BYTES = 64 * 2 ** 20

test('thousands of small grammars that were kept for a while leave no memory behind', async () => {
  const vocabulary = createNativeVocabulary(Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte)))
  const automaton = compileOutput({
    format: { kind: 'json-schema', schema: { const: 'a value' }, whitespace: 'flexible' },
    tools: null,
    reasoning: null,
  })
  const words = new Uint32Array(8)
  const kept: LoadedGrammar[] = []
  const load = async (count: number): Promise<number> => {
    for (let index = 0; index < count; index++) {
      const grammar = vocabulary.load(automaton)
      grammar.createMatcher().fillMask(words)
      kept.push(grammar)
      // Old enough by then that only a full collection finds them.
      if (kept.length > NUM_KEPT) kept.shift()
      // What was collected is freed between turns of the event loop.
      if (index % 50 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    return process.memoryUsage().rss
  }
  const before = await load(NUM_BEFORE)
  const after = await load(NUM_AFTER)
  expect(after - before).toBeLessThan(MAX_GROWTH_BYTES)
})
