/**
 * Prompts with tools, calls and results, as transformers renders them (tests/fixtures/chat-templates/make-expected.py), and what becomes of
 * special tokens in the parts that a caller wrote.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import type { Clock } from '#base/clock'
import { InferdError } from '#contract/errors'
import type { ChatMessage, JsonRecord, ToolDefinition } from '#contract/generate'
import { ChatTemplate } from '#engine/chat-format/chat-template'
import { renderChat } from '#engine/chat-format/render-chat'
import { findToolSyntax } from '#engine/chat-format/tool-syntaxes/find-tool-syntax'
import { byteCharacter } from '#engine/tokenizers/byte-alphabet'
import { loadTokenizerFromFolder } from '#engine/tokenizers/load-tokenizer'

const FOLDER = new URL('../../fixtures/chat-templates/', import.meta.url)
const readFixture = (name: string): string => readFileSync(new URL(name, FOLDER), 'utf8')

interface WireMessage {
  readonly role: ChatMessage['role']
  readonly content: string
  readonly name?: string
  readonly reasoning_content?: string
  readonly tool_call_id?: string
  readonly tool_calls?: readonly { readonly id: string; readonly function: { readonly name: string; readonly arguments: string } }[]
}
interface Given {
  readonly tools: readonly { readonly function: { readonly name: string; readonly description: string; readonly parameters: JsonRecord } }[]
  readonly conversations: Readonly<Record<string, readonly WireMessage[]>>
  readonly variables: readonly JsonRecord[]
}
type Expected = Readonly<Record<string, Readonly<Record<string, Readonly<Record<'with-tools' | 'without-tools', readonly (string | null)[]>>>>>>

const given = JSON.parse(readFixture('conversations.json')) as Given
const expected = JSON.parse(readFixture('expected.json')) as Expected

const TOOLS: readonly ToolDefinition[] = given.tools.map(({ function: { name, description, parameters } }) => ({
  name,
  description,
  parameters,
  strict: false,
}))

function messageOf({ role, content, name, reasoning_content: reasoning, tool_call_id: toolCallId, tool_calls: calls }: WireMessage): ChatMessage {
  const toolCalls = calls?.map((call) => ({ id: call.id, name: call.function.name, arguments: call.function.arguments }))
  const fields = { role, content, name, reasoning, toolCallId, toolCalls }
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as unknown as ChatMessage
}

/** Steps and lengths bound these templates, not a busy machine's clock. */
const STILL: Clock = { nowMs: () => 0, wallMs: () => 0, sleep: () => Promise.resolve() }
const FAMILIES = readdirSync(FOLDER)
  .filter((file) => file.endsWith('.jinja'))
  .map((file) => ({ family: file.slice(0, -'.jinja'.length), template: ChatTemplate.compile(readFixture(file), {}, STILL) }))
/** Their templates have no place for tools. */
const WITHOUT_TOOLS = ['gemma3', 'phi4-mini']

/** Byte level, so that any text can be spelled; every mark of every family is a special token. */
const MARKS = (
  '<s> </s> <|im_start|> <|im_end|> <tool_call> </tool_call> <tool_response> ' +
  '</tool_response> <think> </think> <|start_header_id|> <|end_header_id|> <|eot_id|> <|python_tag|> ' +
  '[INST] [/INST] [AVAILABLE_TOOLS] [/AVAILABLE_TOOLS] [TOOL_CALLS] [TOOL_RESULTS] [/TOOL_RESULTS] ' +
  '<start_of_turn> <end_of_turn> <escape> <start_function_call> <end_function_call> <start_function_response> <end_function_response> ' +
  '<start_function_declaration> <end_function_declaration> <|system|> <|user|> <|assistant|> <|tool|> <|/tool|> ' +
  '<|end|>'
).split(' ')
const tokenizer = loadTokenizerFromFolder({
  tokenizerJson: {
    added_tokens: MARKS.map((content, index) => ({ id: 256 + index, content, special: true })),
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false },
    model: { type: 'BPE', vocab: Object.fromEntries(Array.from({ length: 256 }, (_, byte) => [byteCharacter(byte), byte])), merges: [] },
  },
  tokenizerConfig: { bos_token: '<s>', eos_token: '</s>' },
  extraEosTokenIds: [],
})

function marksIn(template: ChatTemplate, messages: readonly ChatMessage[], tools: readonly ToolDefinition[] | null): string[] {
  const { tokenIds } = renderChat(template, tokenizer, messages, { tools })
  return tokenIds.filter((tokenId) => tokenId >= 256).map((tokenId) => MARKS[tokenId - 256]!)
}

function refusalOf(work: () => unknown): InferdError {
  try {
    work()
  } catch (error) {
    expect(error).toBeInstanceOf(InferdError)
    return error as InferdError
  }
  throw new Error('was not refused')
}

test('every family has its template, and every template its expectations', () => {
  expect(FAMILIES.map(({ family }) => family).sort()).toEqual(Object.keys(expected).sort())
})

for (const { family, template } of FAMILIES) {
  describe(family, () => {
    for (const [name, conversation] of Object.entries(given.conversations)) {
      for (const key of ['with-tools', 'without-tools'] as const) {
        test(`${name} ${key} is rendered as by transformers`, () => {
          given.variables.forEach((templateVariables, index) => {
            const tools = key === 'with-tools' ? TOOLS : null
            const input = {
              messages: conversation.map(messageOf),
              tools,
              templateVariables,
              addGenerationPrompt: true,
              bosToken: '<s>',
              eosToken: '</s>',
            }
            const text = expected[family]![name]![key][index]!
            if (tools !== null && WITHOUT_TOOLS.includes(family)) {
              expect(refusalOf(() => template.render(input))).toMatchObject({ code: 'invalid_parameter', param: 'output.tools' })
            } else if (text === null) {
              // What Python fails on, we may print as nothing.
              if (family !== 'hermes') expect(refusalOf(() => template.render(input)).param).toBe('messages')
            } else expect(template.render(input)).toBe(text)
          })
        })
      }
    }

    test('no special token comes of names, descriptions, keys, values, arguments and results', () => {
      const evil = MARKS.join(' x ')
      const properties = (key: string) => ({ [key]: { type: 'string', description: key, enum: [key, 'b'] } })
      const toolNamed = (text: string): ToolDefinition => ({
        name: `f${text}`,
        description: text,
        parameters: { type: 'object', properties: properties(`k${text}`), required: [text], [text]: text },
        strict: false,
      })
      const talk = (text: string): ChatMessage[] => [
        { role: 'user', content: text },
        {
          role: 'assistant',
          content: text,
          reasoning: text,
          toolCalls: [{ id: 'abcdefgh1', name: `f${text}`, arguments: JSON.stringify({ [`k${text}`]: text, n: [text, { [text]: 1 }] }) }],
        },
        { role: 'tool', content: text, toolCallId: 'abcdefgh1', name: `f${text}` },
      ]
      const withTools = !WITHOUT_TOOLS.includes(family)
      const asked = (text: string) => (family === 'gemma3' ? talk(text).slice(0, 1) : talk(text))
      const marks = (text: string) => marksIn(template, asked(text), withTools ? [toolNamed(text)] : null)
      expect(marks('a').length).toBeGreaterThan(2)
      expect(marks(evil)).toEqual(marks('a'))
    })

    if (!WITHOUT_TOOLS.includes(family)) {
      test('a tool with 10,000 parameters is rendered, and its schema without parameters is an empty object', () => {
        const properties = Object.fromEntries(
          Array.from({ length: 10_000 }, (_, index) => [`p${index}`, { type: 'string', description: 'A parameter' }]),
        )
        const tools: ToolDefinition[] = [
          { name: 'f', description: null, parameters: { type: 'object', properties }, strict: false },
          { name: 'g', description: null, parameters: null, strict: false },
        ]
        const text = template.render({ messages: [{ role: 'user', content: 'x' }], tools, addGenerationPrompt: true, bosToken: '', eosToken: '' })
        expect(text).toContain('p9999')
        if (!['functiongemma', 'hermes', 'llama3.1'].includes(family)) {
          expect(text).toContain('"name": "g", "parameters": {"type": "object", "properties": {}}')
        }
      })
    }
  })
}

test('the syntax of calls is found from the template', () => {
  const found = FAMILIES.map(({ family, template }) => [family, findToolSyntax(template.source, tokenizer)?.name ?? null])
  // The last two know no tools; what the vocabulary says of them is asked only for templates that do.
  expect(Object.fromEntries(found)).toMatchObject({
    functiongemma: 'gemma',
    hermes: 'hermes',
    'llama3.1': 'llama3',
    'mistral-nemo': 'mistral-array',
    'mistral-v3': 'mistral-array',
    'qwen2.5': 'hermes',
    qwen3: 'hermes',
  })
})
