import { expect, test } from 'vitest'
import type { PromptInput } from '#contract/generate'
import { ChatTemplate } from './chat-format/chat-template.ts'
import { PromptEncoder } from './prompt-encoder.ts'
import { byteCharacter } from './tokenizers/byte-alphabet.ts'
import { loadTokenizerFromFolder } from './tokenizers/load-tokenizer.ts'

const tokenizer = loadTokenizerFromFolder({
  tokenizerJson: {
    added_tokens: [
      { id: 256, content: '<tool>', special: false },
      { id: 257, content: 'STOP', special: false },
    ],
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false },
    model: { type: 'BPE', vocab: Object.fromEntries(Array.from({ length: 256 }, (_, byte) => [byteCharacter(byte), byte])), merges: [] },
  },
  tokenizerConfig: null,
  extraEosTokenIds: [257],
})
const chatTemplate = ChatTemplate.compile('{% for m in messages %}{{ m.content }}{% endfor %}')
const encoder = new PromptEncoder({ tokenizer, chatTemplate, contextLength: 100 })

function refusal(input: PromptInput): unknown {
  try {
    return encoder.encode(input)
  } catch (error) {
    return error
  }
}

test('prompts far beyond the context are refused unread: text and messages without their count, tokens with it', () => {
  const text = 'x'.repeat(70_000)
  const more = { code: 'context_length_exceeded', param: 'prompt', message: 'the context holds 100 tokens; the prompt has more' }
  expect(refusal({ kind: 'text', text })).toMatchObject(more)
  expect(refusal({ kind: 'messages', messages: [{ role: 'user', content: text }] })).toMatchObject(more)
  // Nobody looks at the tokens themselves: these are not even numbers of tokens.
  expect(refusal({ kind: 'tokens', tokenIds: new Array<number>(101).fill(-1) })).toMatchObject({
    code: 'context_length_exceeded',
    message: 'the context holds 100 tokens; the prompt has 101',
  })
})

test('a prompt that is a little too long is counted, so that the core can name both numbers', () => {
  expect(encoder.encode({ kind: 'text', text: 'x'.repeat(101) }).length).toBe(101)
})

test('the text of an end token stays text in a raw prompt, though its file calls it ordinary text', () => {
  expect(tokenizer.eosTokenIds).toEqual([257])
  const ids = encoder.encode({ kind: 'text', text: 'a STOP<tool>' })
  expect([ids.includes(257), ids.includes(256), ids.length]).toEqual([false, true, 7])
})
