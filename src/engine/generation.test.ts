import { expect, test } from 'vitest'
import { SeededRandom } from '#base/random'
import { InferdError } from '#contract/errors'
import type { GenerateEvent, GenerateRequest, PromptInput, Usage } from '#contract/generate'
import { Generation } from './generation.ts'
import type { TokenLogprobs } from './scheduler/token-request.ts'
import { TokenSpeller } from './token-speller.ts'
import type { Tokenizer } from './tokenizers/tokenizer.ts'

/** Token i is the i-th of these pieces; the emoji is split over two tokens. */
const EMOJI = new TextEncoder().encode('🙂')
const PIECES: readonly Uint8Array[] = [
  ...[' a', ' b', 'STOP', ' ST', 'OP!'].map((text) => new TextEncoder().encode(text)),
  EMOJI.slice(0, 2),
  EMOJI.slice(2),
  ...['The', ' capital', '\ufeff'].map((text) => new TextEncoder().encode(text)),
  new Uint8Array(0),
]

const tokenizer: Tokenizer = {
  vocabSize: PIECES.length,
  bosTokenId: null,
  eosTokenIds: [],
  stripsLeadingSpace: true,
  encode: () => [],
  tokenBytes: (tokenId) => PIECES[tokenId]!,
  tokenKind: () => 'normal',
  tokenText: (tokenId) => `<${tokenId}>`,
  tokenId: () => null,
}

const TEXT: PromptInput = { kind: 'text', text: 'x' }
const CHAT: PromptInput = { kind: 'messages', messages: [] }
const USAGE = { promptTokens: 1, cachedTokens: 0, cacheWriteTokens: 0, completionTokens: 2, reasoningTokens: 0 }

/** Answers that nobody reads. */
const PLAIN = { answerFormat: null, randomAlphanumerics: (length: number) => 'x'.repeat(length) }

function startGeneration(overrides: Partial<GenerateRequest> = {}, echoText = '', onAborted: (usage: Usage) => void = () => {}) {
  const events: GenerateEvent[] = []
  const finished: number[] = []
  const request = { input: TEXT, stopStrings: [], includeStopString: false, numChoices: 1, ...overrides } as GenerateRequest
  const generation = new Generation({
    ...PLAIN,
    cachePointTokens: 0,
    request,
    tokenizer,
    speller: new TokenSpeller(tokenizer),
    echoText,
    emit: (event) => events.push(event),
    onAborted,
  })
  let numAborts = 0
  generation.attach({ abort: () => numAborts++, adjust: () => {}, finishChoice: (choice) => void finished.push(choice) })
  const text = (choice = 0): string => events.map((event) => (event.type === 'text-delta' && event.choice === choice ? event.text : '')).join('')
  return { generation, events, finished, text, numAborts: () => numAborts }
}

test('a raw prompt is continued with its space, a chat turn begins without', () => {
  const raw = startGeneration()
  raw.generation.onToken(0, 0, null)
  const chat = startGeneration({ input: CHAT })
  chat.generation.onToken(0, 0, null)
  expect([raw.text(), chat.text()]).toEqual([' a', 'a'])
})

test('a stop string over two tokens ends the choice, and later tokens are dropped', () => {
  const { generation, events, finished, text } = startGeneration({ stopStrings: ['STOP'] })
  for (const tokenId of [0, 3, 4, 1]) generation.onToken(0, tokenId, null)
  generation.onChoiceEnd(0, 'length', null)
  expect(text()).toBe(' a ')
  expect(finished).toEqual([0])
  expect(events.at(-1)).toEqual({ type: 'choice-end', choice: 0, finishReason: 'stop', stopString: 'STOP' })
})

test('what was held back for a stop string goes out when the choice ends without it', () => {
  const { generation, events, text } = startGeneration({ stopStrings: ['STOP!!'] })
  generation.onToken(0, 2, null)
  expect(text()).toBe('')
  generation.onChoiceEnd(0, 'length', null)
  expect(text()).toBe('STOP')
  expect(events.at(-1)).toEqual({ type: 'choice-end', choice: 0, finishReason: 'length', stopString: null })
})

test('half a code point waits for its other half, and becomes U+FFFD when the answer ends before it', () => {
  const whole = startGeneration()
  for (const tokenId of [5, 6]) whole.generation.onToken(0, tokenId, null)
  const cut = startGeneration()
  cut.generation.onToken(0, 5, null)
  expect([whole.text(), cut.text()]).toEqual(['🙂', ''])
  cut.generation.onChoiceEnd(0, 'length', null)
  expect(cut.text()).toBe('\u{fffd}')
})

test('choices keep their own text, and the echo opens each of them', () => {
  const { generation, text } = startGeneration({ numChoices: 2, echo: true }, 'x')
  generation.onStart(1, 0)
  generation.onToken(1, 1, null)
  generation.onToken(0, 0, null)
  expect([text(0), text(1)]).toEqual(['x a', 'x b'])
})

const LOGPROBS: TokenLogprobs = { logprob: -0.5, numTop: 1, topTokenIds: Int32Array.of(6), topLogprobs: Float32Array.of(-0.25) }

/** What an observer of the events knows after each of them: text, and the bytes of all logprobs read as text. */
function told(events: readonly GenerateEvent[]): (readonly [string, string])[] {
  const deltas = events.filter((event) => event.type === 'text-delta')
  const spelled = (count: number) =>
    Buffer.from(deltas.slice(0, count).flatMap(({ logprobs }) => (logprobs ?? []).flatMap(({ bytes }) => bytes))).toString()
  return deltas.map((_, index) => [
    deltas
      .slice(0, index + 1)
      .map(({ text }) => text)
      .join(''),
    spelled(index + 1),
  ])
}

test('logprobs come with the text that their tokens spell, parts of a code point together', () => {
  const { generation, events } = startGeneration({ numTopLogprobs: 1 })
  generation.onToken(0, 5, LOGPROBS)
  expect(events).toEqual([])
  generation.onToken(0, 6, LOGPROBS)
  const top = [{ tokenId: 6, text: '\u{fffd}\u{fffd}', bytes: Array.from(EMOJI.slice(2)), logprob: -0.25 }]
  const token = (tokenId: number, text: string, bytes: Uint8Array) => ({ tokenId, text, bytes: [...bytes], logprob: -0.5, top })
  const logprobs = [token(5, '\u{fffd}', EMOJI.slice(0, 2)), token(6, '\u{fffd}\u{fffd}', EMOJI.slice(2))]
  expect(events).toEqual([{ type: 'text-delta', choice: 0, text: '🙂', logprobs }])
})

test('logprobs tell nothing that a stop string hides, at no time', () => {
  for (const [stop, text, spelled] of [
    ['ap', 'The c', 'The'],
    [' cap', 'The', 'The'],
    ['e c', 'Th', ''],
    ['The', '', ''],
    ['l', 'The capita', 'The'],
  ] as const) {
    const { generation, events } = startGeneration({ stopStrings: [stop], numTopLogprobs: 1 })
    for (const tokenId of [7, 8, 0]) generation.onToken(0, tokenId, LOGPROBS)
    generation.onChoiceEnd(0, 'length', null)
    expect(told(events).at(-1) ?? ['', '']).toEqual([text, spelled])
    for (const [shown, bytes] of told(events)) expect(shown.startsWith(bytes)).toBe(true)
  }
})

test('a kept stop string keeps the tokens that spell it', () => {
  const { generation, events } = startGeneration({ stopStrings: ['ap'], includeStopString: true, numTopLogprobs: 1 })
  for (const tokenId of [7, 8, 0]) generation.onToken(0, tokenId, LOGPROBS)
  generation.onChoiceEnd(0, 'length', null)
  expect(told(events).at(-1)).toEqual(['The cap', 'The capital'])
})

test('text and logprobs leave together, at token borders, and spell the same in the end', () => {
  for (const input of [TEXT, CHAT]) {
    const { generation, events } = startGeneration({ input, stopStrings: ['al!', 'ST!'], numTopLogprobs: 1 })
    for (const tokenId of [0, 7, 8, 5, 6, 9, 3, 10, 1]) generation.onToken(0, tokenId, LOGPROBS)
    generation.onChoiceEnd(0, 'length', null)
    const whole = `${input === TEXT ? ' ' : ''}aThe capital🙂\ufeff ST b`
    expect(told(events).at(-1)).toEqual([whole, whole])
    for (const [text, spelled] of told(events)) expect(spelled).toBe(text)
  }
})

test('any tokens and stop strings: logprobs change no text, and never spell more than was shown', () => {
  const random = new SeededRandom(7)
  const stops = ['a', ' a b', 'STOP', 'T T', 'apital', '🙂', ' S', 'l a', 'OP! b']
  for (let round = 0; round < 3000; round += 1) {
    const stopStrings = Array.from({ length: random.nextInt(3) }, () => stops[random.nextInt(stops.length)]!)
    const tokenIds = Array.from({ length: 1 + random.nextInt(8) }, () => [[0], [1], [2], [3], [4], [5, 6], [7], [8], [10]][random.nextInt(9)]!).flat()
    const request = { stopStrings, input: round % 2 === 0 ? TEXT : CHAT }
    const [plain, spelled] = [null, LOGPROBS].map((logprobs) => {
      const started = startGeneration(request)
      for (const tokenId of tokenIds) started.generation.onToken(0, tokenId, logprobs)
      started.generation.onChoiceEnd(0, 'length', null)
      return started
    })
    expect(spelled!.text()).toBe(plain!.text())
    expect(spelled!.events.at(-1)).toEqual(plain!.events.at(-1))
    const endsWhole = told(spelled!.events).map(([text, bytes]) => [text.startsWith(bytes), text === bytes])
    expect(endsWhole.every(([isPrefix]) => isPrefix)).toBe(true)
    if (plain!.finished.length === 0) expect(endsWhole.every(([, isEqual]) => isEqual)).toBe(true)
  }
})

test('a token that begins an answer with U+FEFF is spelled with it', () => {
  const { generation, events } = startGeneration({ numTopLogprobs: 0 })
  generation.onToken(0, 9, { ...LOGPROBS, numTop: 0 })
  expect(events).toMatchObject([{ text: '\ufeff', logprobs: [{ text: '\ufeff', bytes: [0xef, 0xbb, 0xbf] }] }])
})

test('a token is spelled once', () => {
  let numReads = 0
  const speller = new TokenSpeller({ ...tokenizer, tokenText: (tokenId) => `<${(numReads += 1)} ${tokenId}>` })
  const spellings = [10, 10, 10].map((tokenId) => speller.describe(tokenId, LOGPROBS, false).text)
  expect([spellings, numReads]).toEqual([['<1 10>', '<1 10>', '<1 10>'], 1])
})

test('an aborted request emits nothing more', () => {
  const { generation, events, numAborts } = startGeneration()
  generation.abort()
  generation.onToken(0, 0, null)
  generation.onError(new InferdError('cancelled', 'the request was cancelled'), USAGE)
  expect([events.length, numAborts()]).toEqual([0, 1])
})

test('an aborted request says once, beside the events, what it had computed', () => {
  const told: object[] = []
  const { generation, events } = startGeneration({}, '', (usage) => told.push(usage))
  generation.abort()
  generation.onError(new InferdError('cancelled', 'the request was cancelled'), USAGE)
  expect([events, told]).toEqual([[], [USAGE]])
})

test('a failure becomes the terminal event, with its usage', () => {
  const { generation, events } = startGeneration()
  generation.onError(new InferdError('non_finite_logits', 'not finite'), USAGE)
  expect(events).toEqual([
    { type: 'response-error', error: { code: 'non_finite_logits', message: 'not finite', param: null, retryAfterMs: null }, usage: USAGE },
  ])
})

test('text that waits with its logprobs is never cut between the halves of a surrogate pair', () => {
  const [first, second] = [new TextEncoder().encode('😂'), new TextEncoder().encode('😂')]
  const pieces = [first.slice(0, 3), new Uint8Array([...first.slice(3), ...second.slice(0, 2)]), second.slice(2)]
  const straddling = { ...tokenizer, vocabSize: pieces.length, tokenBytes: (tokenId: number) => pieces[tokenId]! }
  const events: GenerateEvent[] = []
  const request = { input: TEXT, stopStrings: [], includeStopString: false, numChoices: 1, numTopLogprobs: 0 } as unknown as GenerateRequest
  const generation = new Generation({
    ...PLAIN,
    cachePointTokens: 0,
    request,
    tokenizer: straddling,
    echoText: '',
    emit: (event) => events.push(event),
    speller: new TokenSpeller(straddling),
  })
  generation.attach({ abort: () => {}, adjust: () => {}, finishChoice: () => {} })
  const logprobs: TokenLogprobs = { logprob: -1, numTop: 0, topTokenIds: new Int32Array(0), topLogprobs: new Float32Array(0) }
  for (const tokenId of [0, 1, 2]) generation.onToken(0, tokenId, logprobs)
  generation.onChoiceEnd(0, 'length', null)
  const texts = events.flatMap((event) => (event.type === 'text-delta' ? [event.text] : []))
  expect(texts.join('')).toBe('😂😂')
  expect(texts.every((text) => text.isWellFormed())).toBe(true)
})
