import { expect, test } from 'vitest'
import { readWholeAnswer, refusalWords, StreamedAnswer } from './answer-reader.ts'
import type { ReadAnswer } from './answer-reader.ts'
import type { RequestError } from './request-outcome.ts'

const DONE = 'data: [DONE]\n\n'

function frame(body: object): string {
  return `data: ${JSON.stringify(body)}\n\n`
}

function piece(content: string): string {
  return frame({ choices: [{ delta: { content }, finish_reason: null }] })
}

/** Frames with the times at which they come. */
function read(...frames: readonly (readonly [number, string])[]): ReadAnswer | RequestError {
  const answer = new StreamedAnswer()
  for (const [atMs, text] of frames) answer.push(Buffer.from(text), atMs)
  return answer.end()
}

const USAGE = frame({ choices: [], usage: { prompt_tokens: 12, completion_tokens: 7 } })

test('the first piece, the gaps behind it and the usage', () => {
  const role = frame({ choices: [{ delta: { role: 'assistant', content: '' } }] })
  expect(read([5, role], [10, piece('a')], [30, piece('b') + piece('c')], [31, USAGE], [32, DONE])).toEqual({
    firstMs: 10,
    gapsMs: [20, 0],
    numPromptTokens: 12,
    numOutputTokens: 7,
    isUsageTold: true,
  })
})

test('bytes may be cut anywhere', () => {
  const bytes = Buffer.from(piece('wörld 🦊') + USAGE + DONE)
  const answer = new StreamedAnswer()
  for (let at = 0; at < bytes.length; at++) answer.push(bytes.subarray(at, at + 1), at)
  expect(answer.end()).toMatchObject({ firstMs: Buffer.byteLength(piece('wörld 🦊')) - 1, gapsMs: [], numOutputTokens: 7 })
})

test('text completions, reasoning and tool calls are pieces too', () => {
  const pieces = [{ text: 'a' }, { delta: { reasoning_content: 'b' } }, { delta: { reasoning: 'c' } }, { delta: { tool_calls: [{ index: 0 }] } }]
  expect(read(...pieces.map((choice, index) => [index, frame({ choices: [choice] })] as const), [9, DONE])).toMatchObject({
    firstMs: 0,
    gapsMs: [1, 1, 1],
  })
})

test('without usage pieces are counted', () => {
  expect(read([1, piece('a') + piece('b') + DONE])).toMatchObject({ numPromptTokens: 0, numOutputTokens: 2, isUsageTold: false })
  const nonsense = frame({ choices: [], usage: { prompt_tokens: 'many', completion_tokens: 2 } })
  expect(read([1, piece('a') + nonsense + DONE])).toMatchObject({ numOutputTokens: 1, isUsageTold: false })
})

test('a finish reason ends a stream of a server that sends no [DONE]', () => {
  expect(read([1, piece('a')], [2, frame({ choices: [{ delta: {}, finish_reason: 'length' }] })])).toMatchObject({ firstMs: 1 })
})

test.each([
  ['a stream that is cut', [[1, piece('a')]], 'broken stream', 'the stream ended before its end'],
  ['a stream without a token', [[1, USAGE + DONE]], 'no tokens', 'the answer ended without a token'],
  ['an error in the stream', [[1, piece('a') + frame({ error: { message: 'out of memory' } })]], 'error in stream', 'out of memory'],
  ['an error without a message', [[1, frame({ error: 503 }) + DONE]], 'error in stream', '503'],
  [
    'what is no JSON',
    [
      [1, 'data: <html>\n\n'],
      [2, DONE],
    ],
    'unreadable',
    '<html>',
  ],
  [
    'what is no object',
    [
      [1, 'data: [1]\n\n'],
      [2, DONE],
    ],
    'unreadable',
    '[1]',
  ],
  [
    'choices of nonsense',
    [
      [1, 'data: {"choices":[null,3]}\n\n'],
      [2, DONE],
    ],
    'no tokens',
    'the answer ended without a token',
  ],
] as const)('%s is an error of a kind', (_, frames, kind, words) => {
  expect(read(...frames)).toEqual({ kind, words })
})

test('a whole answer has its usage and no first token', () => {
  const text = JSON.stringify({ choices: [{ message: { content: 'hi' } }], usage: { prompt_tokens: 3, completion_tokens: 2 } })
  expect(readWholeAnswer(text)).toEqual({ firstMs: null, gapsMs: [], numPromptTokens: 3, numOutputTokens: 2, isUsageTold: true })
  expect(readWholeAnswer('{}')).toEqual({ kind: 'unreadable', words: '{}' })
  expect(readWholeAnswer('{"choices":[]}')).toMatchObject({ kind: 'no tokens' })
})

test('refusals are told in the words of the server, cut', () => {
  expect(refusalWords('{"error":{"message":"slow down"}}')).toBe('slow down')
  expect(refusalWords('{"error":"nope"}')).toBe('nope')
  expect(refusalWords('{"object":"error"}')).toBe('{"object":"error"}')
  expect(refusalWords(`<h1>${'x'.repeat(1000)}`)).toHaveLength(303)
})
