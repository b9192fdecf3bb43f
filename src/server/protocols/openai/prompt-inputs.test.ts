import { expect, test } from 'vitest'
import { Fields } from '#server/fields'
import { type PromptInputs, readPromptInputs } from './prompt-inputs.ts'

const LIMITS = { maxPrompts: 4, vocabSize: 100, contextLength: 8 }

function read(prompt: unknown): PromptInputs {
  return readPromptInputs(new Fields({ prompt }), 'prompt', LIMITS)
}

/** An array that counts how often its items are looked at. */
function watched(tokenIds: readonly number[]): { readonly items: readonly number[]; readonly reads: () => number } {
  let numReads = 0
  const items = new Proxy(tokenIds, {
    get: (target, key, receiver) => {
      if (typeof key === 'string' && /^\d+$/.test(key)) numReads++
      return Reflect.get(target, key, receiver) as unknown
    },
  })
  return { items, reads: () => numReads }
}

test('more token ids than the context holds are refused with both numbers before they are read', () => {
  const { items, reads } = watched(Array.from({ length: 100_000 }, () => 7))
  const refusal = { code: 'context_length_exceeded', message: 'the context holds 8 tokens; the prompt has 100000' }
  expect(() => read(items)).toThrow(expect.objectContaining({ ...refusal, param: 'prompt' }) as Error)
  expect(() => read([[1], items])).toThrow(expect.objectContaining({ ...refusal, param: 'prompt[1]' }) as Error)
  expect(reads()).toBeLessThan(10)
})

test('a prompt that fills the context is read, and one bad id in it is named', () => {
  const full = [0, 1, 2, 3, 4, 5, 6, 99]
  expect(read(full)).toEqual({ inputs: [{ kind: 'tokens', tokenIds: full }], isList: false })
  expect(read([full])).toEqual({ inputs: [{ kind: 'tokens', tokenIds: full }], isList: true })
  for (const bad of [100, -1, -0, 1.5, Number.NaN, '1', null]) {
    expect(() => read([1, 2, bad])).toThrow(expect.objectContaining({ code: 'invalid_parameter', param: 'prompt[2]' }) as Error)
  }
})
