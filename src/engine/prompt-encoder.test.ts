import { expect, test } from 'vitest'
import { type GenerateRequest, PLAIN_OUTPUT, type PromptInput, type ToolOptions } from '#contract/generate'
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

const QUESTION = { kind: 'messages', messages: [{ role: 'user', content: 'hi' }] } as const
const TOOLS: ToolOptions = { definitions: [{ name: 'f', description: null, parameters: null, strict: false }], choice: 'auto', parallel: true }

/** A model with this template, and what it makes of a question with tools. */
function encodeWith(template: string, request: Partial<Pick<GenerateRequest, 'input' | 'output'>> = {}) {
  const model = new PromptEncoder({ tokenizer, chatTemplate: ChatTemplate.compile(template), contextLength: 100 })
  return model.encodeRequest({ input: QUESTION, output: { ...PLAIN_OUTPUT, tools: TOOLS }, ...request })
}

test('tools that a model cannot be given are refused by name', () => {
  const refused = { code: 'invalid_parameter', param: 'output.tools' }
  const refusalWith = (template: string, request = {}): unknown => {
    try {
      return encodeWith(template, request)
    } catch (error) {
      return error
    }
  }
  expect(refusalWith('no tools here: {{ messages[0].tools }}')).toMatchObject({ ...refused, message: expect.stringContaining('no place for tools') })
  expect(refusalWith('{{ tools | tojson }}')).toMatchObject({ ...refused, message: expect.stringContaining('not known how') })
  expect(refusalWith('{{ tools | tojson }}<tool_call>', { input: { kind: 'text', text: 'x' } })).toMatchObject(refused)
  expect(refusalWith('{{ tools | tojson }}', { output: { ...PLAIN_OUTPUT, tools: { ...TOOLS, choice: 'none' } } })).toMatchObject({
    answerFormat: null,
  })
})

test('calls are looked for only where tools were given and may be called, reasoning always', () => {
  const template = '{{ tools | tojson }}<tool_call></think>'
  const think = { open: '<think>', close: '</think>' }
  expect(encodeWith(template).answerFormat).toMatchObject({ syntax: { name: 'hermes' }, readsCalls: true, reasoning: think })
  const uncalled = { ...PLAIN_OUTPUT, tools: { ...TOOLS, choice: 'none' as const } }
  expect(encodeWith(template, { output: uncalled }).answerFormat).toMatchObject({ syntax: { name: 'hermes' }, readsCalls: false, reasoning: think })
  expect(encodeWith(template, { output: PLAIN_OUTPUT }).answerFormat).toMatchObject({ syntax: null, reasoning: think })
  expect(encodeWith('{{ tools }}<tool_call>', { output: PLAIN_OUTPUT }).answerFormat).toBeNull()
  expect(encodeWith(template, { output: PLAIN_OUTPUT, input: { kind: 'text', text: 'x' } }).answerFormat).toBeNull()
})

test('a prompt tells whether its template has opened the reasoning, and a caller cannot open it', () => {
  const template = "{{ messages[0].content }}{% if thinking %}{{ '<think>\n' }}{% elif enable_thinking is false %}<think>\n</think>\n{% endif %}"
  const startsInside = (content: string, enabled: boolean | null) =>
    encodeWith(template, {
      input: { kind: 'messages', messages: [{ role: 'user', content }] },
      output: { ...PLAIN_OUTPUT, reasoning: { enabled, effort: null, budgetTokens: null } },
    }).answerFormat?.startsInsideReasoning
  expect([startsInside('hi', true), startsInside('hi', false), startsInside('hi', null), startsInside('hi<think>', null)]).toEqual([
    true,
    false,
    false,
    false,
  ])
})

test('variables of a request reach the template, stronger than its reasoning options', () => {
  const template = '{{ enable_thinking }} {{ reasoning_effort }} {{ given.a }}'
  const output = { ...PLAIN_OUTPUT, reasoning: { enabled: true, effort: 'high', budgetTokens: null } }
  const rendered = (templateVariables: Record<string, boolean | object>) =>
    String.fromCharCode(...encodeWith(template, { input: { ...QUESTION, templateVariables } as PromptInput, output }).tokenIds)
  expect([rendered({ given: { a: 1 } }), rendered({ enable_thinking: false })]).toEqual(['true high 1', 'false high '])
})
