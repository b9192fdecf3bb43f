import { expect, test } from 'vitest'
import { SeededRandom } from '#base/random'
import type { GenerateEvent, GenerateRequest, PromptInput } from '#contract/generate'
import type { AnswerFormat } from './chat-format/answer-format.ts'
import { hermesSyntax } from './chat-format/tool-syntaxes/hermes.ts'
import { mistralArraySyntax } from './chat-format/tool-syntaxes/mistral.ts'
import { Generation } from './generation.ts'
import type { TokenLogprobs } from './scheduler/token-request.ts'
import { TokenSpeller } from './token-speller.ts'
import type { Tokenizer } from './tokenizers/tokenizer.ts'

/** Marks are special tokens; token 0 is one that is never seen. Other texts become tokens as they are asked for. */
const MARKS = ['<|end|>', '<think>', '</think>', '<tool_call>', '</tool_call>', '[TOOL_CALLS]']
const pieces: Uint8Array[] = MARKS.map(() => new Uint8Array(0))
const texts = [...MARKS]

function tokenOf(text: string): number {
  const known = texts.indexOf(text)
  if (known >= 0) return known
  pieces.push(new TextEncoder().encode(text))
  return texts.push(text) - 1
}

const tokenizer: Tokenizer = {
  vocabSize: 100_000,
  bosTokenId: null,
  eosTokenIds: [0],
  stripsLeadingSpace: false,
  encode: () => [],
  tokenBytes: (tokenId) => pieces[tokenId]!,
  tokenKind: (tokenId) => (tokenId < MARKS.length ? 'control' : 'normal'),
  tokenText: (tokenId) => texts[tokenId]!,
  tokenId: (text) => (texts.includes(text) ? texts.indexOf(text) : null),
}

const CHAT: PromptInput = { kind: 'messages', messages: [] }
const HERMES: AnswerFormat = {
  syntax: hermesSyntax,
  readsCalls: true,
  reasoning: { open: '<think>', close: '</think>' },
  startsInsideReasoning: false,
  mayOpenReasoning: true,
  markTexts: new Map(MARKS.slice(1, 5).map((mark, index) => [index + 1, mark])),
  stopTokenIds: [],
}
const LOGPROBS: TokenLogprobs = { logprob: -0.5, numTop: 0, topTokenIds: new Int32Array(0), topLogprobs: new Float32Array(0) }

interface Told {
  readonly answerFormat?: AnswerFormat
  readonly request?: Partial<GenerateRequest>
  readonly logprobs?: TokenLogprobs
  readonly reason?: 'stop' | 'length'
}

function tell(words: readonly string[], { answerFormat = HERMES, request = {}, logprobs, reason = 'stop' }: Told = {}): GenerateEvent[] {
  const events: GenerateEvent[] = []
  const generation = new Generation({
    request: { input: CHAT, stopStrings: [], includeStopString: false, numChoices: 1, ...request } as GenerateRequest,
    tokenizer,
    speller: new TokenSpeller(tokenizer),
    cachePointTokens: 0,
    echoText: '',
    answerFormat,
    randomAlphanumerics: (length) => 'r'.repeat(length),
    emit: (event) => events.push(event),
  })
  generation.attach({ abort: () => {}, adjust: () => {}, finishChoice: () => {} })
  for (const word of words) generation.onToken(0, tokenOf(word), logprobs ?? null)
  generation.onChoiceEnd(0, reason, null)
  generation.onEnd({ promptTokens: 1, cachedTokens: 0, completionTokens: words.length })
  return events
}

/** Everything said of one kind, joined. */
function said(events: readonly GenerateEvent[]): { text: string; reasoning: string; calls: string[]; finish: unknown; reasoningTokens: number } {
  const of = (type: string): string => events.map((event) => (event.type === type && 'text' in event ? event.text : '')).join('')
  const calls: string[] = []
  for (const event of events) {
    if (event.type === 'tool-call-start') calls.push(`${event.name}`)
    if (event.type === 'tool-call-delta') calls[event.toolCall] += event.argumentsText
    if (event.type === 'tool-call-end') calls[event.toolCall] += '.'
  }
  const end = events.find((event) => event.type === 'choice-end')
  const response = events.find((event) => event.type === 'response-end')
  return {
    text: of('text-delta'),
    reasoning: of('reasoning-delta'),
    calls,
    finish: end?.finishReason,
    reasoningTokens: response?.usage.reasoningTokens ?? -1,
  }
}

const CALL = ['<tool_call>', '\n{"name": "f", ', '"arguments": {"a"', ': 1}}', '\n', '</tool_call>']

test('reasoning, text and calls come as events of their own, in order', () => {
  const events = tell(['<think>', '\nhm', '\n', '</think>', '\n\n', 'Ok', '.\n', ...CALL])
  expect(events).toEqual([
    { type: 'reasoning-delta', choice: 0, text: 'hm', logprobs: null },
    { type: 'text-delta', choice: 0, text: 'Ok', logprobs: null },
    { type: 'text-delta', choice: 0, text: '.', logprobs: null },
    { type: 'tool-call-start', choice: 0, toolCall: 0, id: `call_${'r'.repeat(24)}`, name: 'f' },
    { type: 'tool-call-delta', choice: 0, toolCall: 0, argumentsText: '{"a"' },
    { type: 'tool-call-delta', choice: 0, toolCall: 0, argumentsText: ': 1}' },
    { type: 'tool-call-end', choice: 0, toolCall: 0 },
    { type: 'choice-end', choice: 0, finishReason: 'tool-calls', stopString: null },
    { type: 'response-end', usage: { promptTokens: 1, cachedTokens: 0, cacheWriteTokens: 0, completionTokens: 13, reasoningTokens: 4 } },
  ])
})

test('calls are numbered, and ids have the form that the family takes back', () => {
  const answerFormat = { ...HERMES, syntax: mistralArraySyntax, markTexts: new Map([[5, '[TOOL_CALLS]']]) }
  const events = tell(['[TOOL_CALLS]', '[{"name":"f","arguments":{}},', ' {"name":"g","arguments":{}}]'], { answerFormat })
  expect(events.filter((event) => event.type === 'tool-call-start')).toMatchObject([
    { toolCall: 0, id: 'rrrrrrrrr', name: 'f' },
    { toolCall: 1, id: 'rrrrrrrrr', name: 'g' },
  ])
})

test('a choice that was cut ends with its reason, and inside its call', () => {
  const events = tell(CALL.slice(0, 3), { reason: 'length' })
  expect(said(events)).toMatchObject({ calls: ['f{"a"'], finish: 'length' })
  expect(said(tell(CALL, { reason: 'length' }))).toMatchObject({ calls: ['f{"a": 1}.'], finish: 'length' })
  expect(said(tell(CALL.slice(0, 3)))).toMatchObject({ calls: ['f{"a"'], finish: 'stop' })
})

test('the head of a call that was cut is no text, what looks like less than a head is', () => {
  const [mark, head] = CALL
  expect(said(tell(['Ok', '.', '\n', mark!], { reason: 'length' }))).toMatchObject({ text: 'Ok.', calls: [] })
  expect(said(tell([...CALL, '\n', mark!, head!.slice(0, 9)], { reason: 'length' }))).toMatchObject({ text: '', calls: ['f{"a": 1}.'] })
  expect(said(tell(['Ok <tool_', 'ca'], { reason: 'length' }))).toMatchObject({ text: 'Ok <tool_ca' })
  expect(said(tell(['Ok', mark!, ' or not'], { reason: 'stop' })).text).toContain('<tool_call> or not')
})

test('special tokens that are no marks stay invisible, and marks are text where nothing is looked for', () => {
  expect(said(tell(['a', '<|end|>', '[TOOL_CALLS]', 'b'])).text).toBe('ab')
  expect(said(tell(['a', '<tool_call>', 'b', '</think>'])).text).toBe('a<tool_call>b</think>')
})

test('half a code point before a mark is U+FFFD before it', () => {
  pieces.push(new TextEncoder().encode('🙂').slice(0, 2))
  texts.push('half')
  expect(said(tell(['a', 'half', '<tool_call>', '!'])).text).toBe('a\ufffd<tool_call>!')
})

test('without a call syntax, the model may still think', () => {
  const answerFormat = { ...HERMES, syntax: null, startsInsideReasoning: true }
  expect(said(tell(['hm', '</think>', 'x <tool', '_call>{'], { answerFormat }))).toMatchObject({
    reasoning: 'hm',
    text: 'x <tool_call>{',
    reasoningTokens: 2,
  })
})

test('tokens of reasoning are counted with both marks, also while a stop string holds text back', () => {
  const spelledMarks = { ...HERMES, markTexts: new Map() }
  const words = ['<th', 'ink>', ' a', 'b ', 'c</th', 'ink>', ' d', 'e']
  for (const stopStrings of [[], ['ab c</think> dX'], ['hink> de!!']]) {
    expect(said(tell(words, { answerFormat: spelledMarks, request: { stopStrings } }))).toMatchObject({
      reasoning: 'ab c',
      text: 'de',
      reasoningTokens: 6,
    })
  }
  expect(said(tell(['<th', 'is']))).toMatchObject({ text: '<this', reasoningTokens: 0 })
  expect(said(tell(['<think>', 'a'], { reason: 'length' }))).toMatchObject({ reasoning: 'a', reasoningTokens: 2 })
})

test('a stop string acts on the raw text, wherever it stands', () => {
  const stopped = (stopStrings: string[]) => said(tell(['<think>', 'one ', '</think>', 'two ', ...CALL], { request: { stopStrings } }))
  expect(stopped(['ne'])).toMatchObject({ reasoning: 'o', text: '', calls: [], finish: 'stop', reasoningTokens: 2 })
  expect(stopped(['wo'])).toMatchObject({ reasoning: 'one', text: 't', finish: 'stop' })
  expect(stopped(['"a"'])).toMatchObject({ text: 'two', calls: ['f{'], finish: 'stop' })
  expect(stopped(['\n</tool'])).toMatchObject({ calls: ['f{"a": 1}.'], finish: 'tool-calls' })
})

/** What the logprobs of each kind of delta spell. */
function spelled(events: readonly GenerateEvent[], type: 'text-delta' | 'reasoning-delta'): string {
  return events.flatMap((event) => (event.type === type ? (event.logprobs ?? []).map(({ text }) => text) : [])).join('')
}

test('logprobs go with the text that their tokens spell, and those of marks and calls nowhere', () => {
  const events = tell(['<think>', 'a', 'b', '</think>', 'c', ' d', ' ', ...CALL], { logprobs: LOGPROBS })
  expect([spelled(events, 'reasoning-delta'), spelled(events, 'text-delta')]).toEqual(['ab', 'c d'])
  expect(events.filter((event) => 'text' in event && event.logprobs === null)).toEqual([])
})

test('logprobs of text that only looked like a mark come with it', () => {
  const events = tell(['a ', '<', 'tool', '_c', 'ab', '<tool_call>', '!'], { logprobs: LOGPROBS })
  expect(said(events).text).toBe('a <tool_cab<tool_call>!')
  expect(spelled(events, 'text-delta')).toBe('a <tool_cab<tool_call>!')
})

test('any tokens: logprobs change nothing else, and never spell more than was shown', () => {
  const random = new SeededRandom(11)
  const words = ['<think>', '</think>', ...CALL, 'a', ' b', '\n', '<tool_', 'call>', '</th', 'ink>', '{', '}', '🙂', '<|end|>']
  for (let round = 0; round < 4000; round += 1) {
    const told = Array.from({ length: random.nextInt(14) }, () => words[random.nextInt(words.length)]!)
    const stopStrings = random.nextInt(3) === 0 ? ['b\n', 'arg'] : []
    const answerFormat = { ...HERMES, startsInsideReasoning: random.nextInt(2) === 0 }
    const plain = tell(told, { answerFormat, request: { stopStrings } })
    const withLogprobs = tell(told, { answerFormat, request: { stopStrings }, logprobs: LOGPROBS })
    expect(said(withLogprobs)).toEqual(said(plain))
    for (const type of ['text-delta', 'reasoning-delta'] as const) {
      let shown = ''
      let bytes = ''
      for (const event of withLogprobs) {
        if (event.type !== type) continue
        shown += event.text
        bytes += (event.logprobs ?? []).map(({ text }) => text.replace('<|end|>', '')).join('')
        // A token whose end was dropped as white space is not told; the text goes on without it.
        expect(bytes.length).toBeLessThanOrEqual(shown.length)
      }
    }
  }
})

test('plain text under a format is the text without one, logprobs included', () => {
  const random = new SeededRandom(12)
  const words = ['a', ' b', '\n', ' ', '<tool_', '<t', '{"name"', '🙂', '<|end|>', '</think>x']
  for (let round = 0; round < 2000; round += 1) {
    const told = ['x', ...Array.from({ length: random.nextInt(12) }, () => words[random.nextInt(words.length)]!)]
    const [bare, formed] = [null, HERMES].map((format) => {
      const events = tell(told, { ...(format === null ? {} : { answerFormat: format }), logprobs: LOGPROBS })
      return [said(events).text, spelled(events, 'text-delta')]
    })
    expect(formed).toEqual(bare)
  }
})
