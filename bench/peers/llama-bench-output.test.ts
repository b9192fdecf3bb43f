/** Outputs of llama-bench as mainline llama.cpp and ik_llama.cpp printed them, shortened to a few fields. */
import { expect, test } from 'vitest'
import { parseLlamaBench } from './llama-bench-output.ts'

const row = (fields: object): object => ({ build_commit: '0c1e570', model_type: 'llama 1B Q4_0', n_threads: 2, flash_attn: -1, ...fields })
const listOf = (...rows: readonly object[]): string => JSON.stringify(rows, null, 2)

test("mainline's prefills and its decodes at a depth are told apart", () => {
  expect(
    parseLlamaBench(listOf(row({ n_prompt: 512, n_gen: 0, n_depth: 0, avg_ts: 131.5 }), row({ n_prompt: 4096, n_gen: 0, n_depth: 0, avg_ts: 90 }))),
  ).toEqual({
    prefill: { 512: 131.5, 4096: 90 },
    decode: {},
  })
  expect(
    parseLlamaBench(listOf(row({ n_prompt: 0, n_gen: 64, n_depth: 512, avg_ts: 26 }), row({ n_prompt: 0, n_gen: 64, n_depth: 8192, avg_ts: 14 }))),
  ).toEqual({
    prefill: {},
    decode: { 512: 26, 8192: 14 },
  })
})

test("ik's decode after a prompt is a decode at that depth", () => {
  const output = listOf(
    row({ n_prompt: 512, n_gen: 0, test: 'pp512', avg_ts: 200 }),
    row({ n_prompt: 8192, n_gen: 64, test: 'tg64@pp8192', avg_ts: 17 }),
  )
  expect(parseLlamaBench(output)).toEqual({ prefill: { 512: 200 }, decode: { 8192: 17 } })
})

test('lines of the loader before the list are passed over', () => {
  expect(parseLlamaBench(`repacking 154 tensors [ok]\n${listOf(row({ n_prompt: 8, n_gen: 0, test: 'pp8', avg_ts: 5 }))}`)).toEqual({
    prefill: { 8: 5 },
    decode: {},
  })
})

test.each([
  ['a prompt timed together with its answer', row({ n_prompt: 512, n_gen: 64, test: 'pp512+tg64', avg_ts: 9 })],
  ['a prefill at a depth', row({ n_prompt: 512, n_gen: 0, n_depth: 8192, avg_ts: 9 })],
  ['a test without a time', row({ n_prompt: 512, n_gen: 0, n_depth: 0, avg_ts: 0 })],
])('%s is refused', (_, unasked) => {
  expect(() => parseLlamaBench(listOf(unasked))).toThrow('llama-bench')
})

test('an output without a list is refused with what was printed', () => {
  expect(() => parseLlamaBench('error: failed to load model')).toThrow('failed to load model')
})
