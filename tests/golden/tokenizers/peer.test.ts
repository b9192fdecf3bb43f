/** Our ids against those of @huggingface/tokenizers on a large generated corpus, and the way back from ids to text. */
import { Tokenizer as PeerTokenizer } from '@huggingface/tokenizers'
import { describe, expect, test } from 'vitest'
import { SeededRandom } from '#base/random'
import { Detokenizer } from '#engine/tokenizers/detokenizer'
import type { Tokenizer } from '#engine/tokenizers/tokenizer'
import { loadJsonFixture, readFixture } from './fixtures.ts'
import { mixedText } from './mixed-text.ts'

const CHUNK_LENGTH = 600
const PLAIN = { parseSpecial: true, addSpecial: false }

/** The peer cuts only ASCII digits apart, so the SmolLM rules are checked by the recorded ids alone. Normalizers lose text on purpose. */
const CASES = [
  { name: 'bpe-llama3', length: 200_000, roundTrips: true },
  { name: 'bpe-qwen2', length: 200_000, roundTrips: false },
  { name: 'piece-llama2', length: 100_000, roundTrips: true },
  { name: 'piece-gemma', length: 100_000, roundTrips: true },
  { name: 'wordpiece', length: 100_000, roundTrips: false },
]

describe('a large mixed corpus', () => {
  for (const { name, length, roundTrips } of CASES) {
    test(`${name} agrees with @huggingface/tokenizers`, () => {
      const tokenizer = loadJsonFixture(name)
      const peer = new PeerTokenizer(readFixture<object>(`${name}.json`), {})
      const random = new SeededRandom(41)
      for (let done = 0; done < length; done += CHUNK_LENGTH) {
        const text = mixedText(random, CHUNK_LENGTH)
        const ids = tokenizer.encode(text, PLAIN)
        const expected = peer.encode(text, { add_special_tokens: false }).ids
        if (ids.join() !== expected.join()) expect({ text, ids }).toEqual({ text, ids: expected })
        if (roundTrips) expect(decode(tokenizer, ids)).toBe(text)
      }
    })
  }
})

function decode(tokenizer: Tokenizer, ids: readonly number[]): string {
  const detokenizer = new Detokenizer(tokenizer)
  return ids.map((id) => detokenizer.push(id)).join('') + detokenizer.finish()
}
