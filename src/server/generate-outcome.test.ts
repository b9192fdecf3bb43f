import { expect, test } from 'vitest'
import { InferdError } from '#contract/errors'
import type { GenerateEvent } from '#contract/generate'
import { type GenerateOutcome, OutcomeCollector } from './generate-outcome.ts'

const USAGE = { promptTokens: 1, cachedTokens: 0, cacheWriteTokens: 0, completionTokens: 2, reasoningTokens: 1 }
const END: GenerateEvent = { type: 'response-end', usage: USAGE }

const text = (said: string): GenerateEvent => ({ type: 'text-delta', choice: 0, text: said, logprobs: null })
const thought = (said: string): GenerateEvent => ({ type: 'reasoning-delta', choice: 0, text: said, logprobs: null })
const start = (toolCall: number, name = 'look'): GenerateEvent => ({ type: 'tool-call-start', choice: 0, toolCall, id: `call-${toolCall}`, name })
const delta = (toolCall: number, argumentsText: string): GenerateEvent => ({ type: 'tool-call-delta', choice: 0, toolCall, argumentsText })
const stop = (toolCall: number): GenerateEvent => ({ type: 'tool-call-end', choice: 0, toolCall })
const end = (finishReason: 'stop' | 'length' | 'tool-calls'): GenerateEvent => ({ type: 'choice-end', choice: 0, finishReason, stopString: null })

function fold(events: readonly GenerateEvent[]): GenerateOutcome {
  const collector = new OutcomeCollector({ numChoices: 1, logprobs: false })
  for (const event of events) collector.add(event)
  return collector.finish()
}

test('reasoning, text and calls are folded each by itself', () => {
  const events = [thought('h'), thought('m'), text('Wait'), start(0), delta(0, '{"a"'), text(''), delta(0, ':1}'), stop(0), start(1, 'go'), stop(1)]
  expect(fold([...events, end('tool-calls'), END])).toEqual({
    choices: [
      {
        reasoning: 'hm',
        text: 'Wait',
        toolCalls: [
          { id: 'call-0', name: 'look', arguments: '{"a":1}' },
          { id: 'call-1', name: 'go', arguments: '' },
        ],
        logprobs: null,
        runs: [
          { kind: 'reasoning', text: 'hm' },
          { kind: 'text', text: 'Wait', logprobs: [] },
          { kind: 'tool-call', toolCall: 0 },
          { kind: 'tool-call', toolCall: 1 },
        ],
        finishReason: 'tool-calls',
        stopString: null,
      },
    ],
    usage: USAGE,
  })
})

test('a call that was cut stays, with the beginning of its arguments', () => {
  expect(fold([start(0), delta(0, '{"a'), end('length'), END]).choices[0]?.toolCalls).toEqual([{ id: 'call-0', name: 'look', arguments: '{"a' }])
})

test('logprobs of reasoning and of text make one list, in order', () => {
  const token = (name: string): object => ({ tokenId: 1, text: name, bytes: [], logprob: -1, top: [] })
  const collector = new OutcomeCollector({ numChoices: 1, logprobs: true })
  for (const event of [{ ...thought('a'), logprobs: [token('a')] }, { ...text('b'), logprobs: [token('b')] }, end('stop'), END]) {
    collector.add(event as GenerateEvent)
  }
  const [choice] = collector.finish().choices
  expect(choice?.logprobs?.map((one) => one.text)).toEqual(['a', 'b'])
  expect(choice?.runs).toEqual([
    { kind: 'reasoning', text: 'a' },
    { kind: 'text', text: 'b', logprobs: [token('b')] },
  ])
})

const BROKEN: readonly (readonly [string, readonly GenerateEvent[], string])[] = [
  ['text inside a call', [start(0), text('x')], 'text inside a tool call'],
  ['reasoning inside a call', [start(0), thought('x')], 'text inside a tool call'],
  ['a call inside a call', [start(0), start(1)], 'a tool call inside another'],
  ['a call with the wrong number', [start(1)], 'tool calls out of order'],
  ['arguments without a call', [delta(0, 'x')], 'event for tool call 0, which is not open'],
  ['arguments of an earlier call', [start(0), stop(0), start(1), delta(0, 'x')], 'event for tool call 0, which is not open'],
  ['a call that ends twice', [start(0), stop(0), stop(0)], 'event for tool call 0, which is not open'],
  ['an end with tool calls but without one', [end('tool-calls')], 'has none, or an open one'],
  ['an end with tool calls inside one', [start(0), end('tool-calls')], 'has none, or an open one'],
  ['a call after the end of its choice', [end('stop'), start(0)], 'event after the end of a choice'],
  ['a choice that was not asked for', [{ ...start(0), choice: 1 } as GenerateEvent], 'event for choice 1 of 1'],
  ['an event after the end', [end('stop'), END, text('x')], 'event after the end of a response'],
]

test.each(BROKEN)('%s is a bug', (_name, events, message) => {
  expect(() => fold(events)).toThrow(message)
})

test('a failed response throws its error', () => {
  const error = { code: 'overloaded' as const, message: 'full', param: null, retryAfterMs: null }
  expect(() => fold([{ type: 'response-error', error, usage: USAGE }])).toThrow(InferdError)
})
