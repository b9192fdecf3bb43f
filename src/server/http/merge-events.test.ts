import fc from 'fast-check'
import { expect, test } from 'vitest'
import { InferdError } from '#contract/errors'
import { type GenerateEvent, type GenerateRequest, NO_USAGE, PLAIN_REQUEST } from '#contract/generate'
import { generateAll } from './merge-events.ts'

type Source = (signal: AbortSignal) => AsyncIterable<GenerateEvent>

const NUM_CHOICES = 2

function requestOf(index: number): GenerateRequest {
  return {
    ...PLAIN_REQUEST,
    requestId: String(index),
    input: { kind: 'text', text: 'hi' },
    maxTokens: 1,
    numChoices: NUM_CHOICES,
  }
}

function merge(sources: readonly Source[], signal = new AbortController().signal): AsyncIterable<GenerateEvent> {
  return generateAll(
    (request, _index, aborted) => sources[Number(request.requestId)]!(aborted),
    sources.map((_, index) => requestOf(index)),
    signal,
  )
}

async function collect(events: AsyncIterable<GenerateEvent>): Promise<GenerateEvent[]> {
  const all: GenerateEvent[] = []
  for await (const event of events) all.push(event)
  return all
}

/** One source that says its words to choice 1, taking `turns[i]` turns of the microtask queue before word `i`. */
function speaker(prompt: number, turns: readonly number[]): Source {
  return async function* () {
    yield { type: 'response-start', promptTokens: 1, cachedTokens: 0 }
    for (const [index, numTurns] of turns.entries()) {
      for (let turn = 0; turn < numTurns; turn++) await Promise.resolve()
      yield { type: 'text-delta', choice: 1, text: `${prompt}.${index} `, logprobs: null }
    }
    for (let choice = 0; choice < NUM_CHOICES; choice++) yield { type: 'choice-end', choice, finishReason: 'stop', stopString: null }
    yield {
      type: 'response-end',
      usage: { promptTokens: 1, cachedTokens: 1, cacheWriteTokens: 0, completionTokens: turns.length, reasoningTokens: 2 },
    }
  }
}

test('in any interleaving every prompt keeps its order and its choices, and usage is the sum', async () => {
  const plans = fc.array(fc.array(fc.nat(7), { maxLength: 6 }), { minLength: 2, maxLength: 8 })
  await fc.assert(
    fc.asyncProperty(plans, async (turns) => {
      const events = await collect(merge(turns.map((plan, prompt) => speaker(prompt, plan))))
      expect(events[0]?.type).toBe('response-start')
      expect(events.filter(({ type }) => type === 'response-start')).toHaveLength(1)
      for (const [prompt, plan] of turns.entries()) {
        const texts = events.flatMap((event) => (event.type === 'text-delta' && event.choice === prompt * NUM_CHOICES + 1 ? [event.text] : []))
        expect(texts).toEqual(plan.map((_, index) => `${prompt}.${index} `))
      }
      const ended = events.flatMap((event) => (event.type === 'choice-end' ? [event.choice] : []))
      expect(ended.toSorted((left, right) => left - right)).toEqual(Array.from({ length: turns.length * NUM_CHOICES }, (_, choice) => choice))
      const completionTokens = turns.reduce((sum, plan) => sum + plan.length, 0)
      const usage = { ...NO_USAGE, promptTokens: turns.length, cachedTokens: turns.length, completionTokens, reasoningTokens: 2 * turns.length }
      expect(events.at(-1)).toEqual({ type: 'response-end', usage })
    }),
    { seed: 20261122, numRuns: 100 },
  )
})

test('every event of a choice passes with the choice that it has in the whole', async () => {
  const own: GenerateEvent[] = [
    { type: 'reasoning-delta', choice: 1, text: 'hm', logprobs: null },
    { type: 'text-delta', choice: 1, text: 'so', logprobs: null },
    { type: 'tool-call-start', choice: 1, toolCall: 0, id: 'call-1', name: 'look' },
    { type: 'tool-call-delta', choice: 1, toolCall: 0, argumentsText: '{}' },
    { type: 'tool-call-end', choice: 1, toolCall: 0 },
    { type: 'choice-end', choice: 1, finishReason: 'tool-calls', stopString: null },
  ]
  const usage = { promptTokens: 1, cachedTokens: 0, cacheWriteTokens: 0, completionTokens: 1, reasoningTokens: 1 }
  const speaking: Source = async function* () {
    yield { type: 'response-start', promptTokens: 1, cachedTokens: 0 }
    yield* own
    yield { type: 'response-end', usage }
  }
  const silent: Source = async function* () {
    yield { type: 'response-start', promptTokens: 1, cachedTokens: 0 }
    yield { type: 'response-end', usage }
  }
  const events = await collect(merge([silent, speaking]))
  expect(events.slice(1, -1)).toEqual(own.map((event) => ({ ...event, choice: NUM_CHOICES + 1 })))
})

test('a call that is refused on the spot ends the others, whose signals abort', async () => {
  const signals: AbortSignal[] = []
  const waiting: Source = async function* (signal) {
    signals.push(signal)
    yield { type: 'response-start', promptTokens: 1, cachedTokens: 0 }
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
  }
  const refusing: Source = () => {
    throw new InferdError('overloaded', 'full')
  }
  await expect(collect(merge([waiting, refusing, waiting]))).rejects.toMatchObject({ code: 'overloaded' })
  expect(signals.map(({ aborted }) => aborted)).toEqual([true, true])
})

test('a source that ends without its terminal event is an internal error', async () => {
  const silent: Source = async function* () {
    yield { type: 'response-start', promptTokens: 1, cachedTokens: 0 }
  }
  await expect(collect(merge([silent, speaker(1, [1])]))).rejects.toMatchObject({ code: 'internal' })
})

test('a reader that leaves stops every source', async () => {
  const signals: AbortSignal[] = []
  const endless: Source = async function* (signal) {
    signals.push(signal)
    for (;;) yield { type: 'text-delta', choice: 0, text: 'on', logprobs: null }
  }
  for await (const event of merge([endless, endless])) if (event.type === 'text-delta') break
  expect(signals.map(({ aborted }) => aborted)).toEqual([true, true])
})
