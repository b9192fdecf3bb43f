/** Conversations written in the marks of three templates are read back; what is not wholly of such a form stays a text. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { ChatMessage } from '#contract/generate'
import { readInstructPrompt } from './instruct-prompt.ts'

type Turn = Pick<ChatMessage, 'role' | 'content'>

function writeLlama3(messages: readonly Turn[]): string {
  const turns = messages.map(({ role, content }) => `<|start_header_id|>${role}<|end_header_id|>\n\n${content}<|eot_id|>`)
  return `<|begin_of_text|>${turns.join('\n')}\n<|start_header_id|>assistant<|end_header_id|>\n\n`
}

function writeInst(messages: readonly Turn[]): string {
  return messages.map(({ role, content }) => (role === 'user' ? `[INST] ${content} [/INST]` : ` ${content}</s>`)).join('')
}

const word = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }).map((text) => text.trim() || 'x')
const dialogue = fc.array(fc.tuple(word, word), { maxLength: 4 }).chain((pairs) =>
  word.map((last): Turn[] => [
    ...pairs.flatMap(([question, answer]): Turn[] => [
      { role: 'user', content: question },
      { role: 'assistant', content: answer },
    ]),
    { role: 'user', content: last },
  ]),
)

describe('a prompt in the marks of a template', () => {
  it('of Llama 3 is read as the messages that it was written from', () => {
    fc.assert(
      fc.property(fc.option(word), dialogue, (system, turns) => {
        const messages: Turn[] = system === null ? turns : [{ role: 'system', content: system }, ...turns]
        expect(readInstructPrompt(writeLlama3(messages))).toEqual(messages)
      }),
      { seed: 1, numRuns: 300 },
    )
  })

  it('of Mistral is read as the messages that it was written from', () => {
    fc.assert(
      fc.property(dialogue, (messages) => {
        expect(readInstructPrompt(`<s>${writeInst(messages)}`)).toEqual(messages)
      }),
      { seed: 1, numRuns: 300 },
    )
  })

  it('of Llama 2 has its system message apart', () => {
    const prompt = '<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHi. [/INST] Hello. </s><s>[INST] And? [/INST]'
    expect(readInstructPrompt(prompt)).toEqual([
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'Hi.' },
      { role: 'assistant', content: 'Hello.' },
      { role: 'user', content: 'And?' },
    ])
  })
})

describe('a prompt stays a text', () => {
  it.each([
    'Once upon a time',
    '[INST] no end',
    'before [INST] x [/INST]',
    '[INST] x [/INST] an answer',
    '[INST] one [INST] two [/INST]',
    '<|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|>',
    '<|start_header_id|>tool<|end_header_id|>\n\nhi<|eot_id|><|start_header_id|>assistant<|end_header_id|>',
    '<|start_header_id|>user<|end_header_id|>\n\na<|eot_id|>b<|eot_id|><|start_header_id|>assistant<|end_header_id|>',
    '<|start_header_id|>user<|end_header_id|>\n\na<|eot_id|><|start_header_id|>system<|end_header_id|>b<|eot_id|><|start_header_id|>assistant<|end_header_id|>',
    '<|start_header_id|>assistant<|end_header_id|>',
  ])('when it is %j', (prompt) => {
    expect(readInstructPrompt(prompt)).toBeNull()
  })
})

it('is read in linear time, whatever it repeats', () => {
  for (const mark of ['[INST]', '[/INST]', '<|start_header_id|>', '<|eot_id|>', '<<SYS>>', '<s>']) {
    expect(readInstructPrompt(`[INST]${mark.repeat(200_000)}[/INST]`), mark).toBeNull()
    expect(readInstructPrompt(`<|start_header_id|>${mark.repeat(200_000)}`), mark).toBeNull()
  }
  expect(readInstructPrompt(`[INST]${'[INST] x [/INST] y</s>'.slice(6).repeat(200_000)}`)).toBeNull()
  expect(readInstructPrompt(`${'[INST] x [/INST] y</s>'.repeat(200_000)}[INST] z [/INST]`)).toHaveLength(400_001)
})
