/** For any legal course of events: the stream of a response, put together again, is the response that was not streamed. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { OutcomeCollector } from '#server/generate-outcome'
import type { GenerateEvent } from '#contract/generate'
import type { GenerateCall, JsonObject } from '#server/operation'
import { openaiFamily } from '#server/protocols/openai/routes'
import { DECODE_CONTEXT, decodeCall, EMPTY_REPORT, incomingOf } from './decode-call.ts'
import { type Course, coursesOf } from './event-courses.ts'

const PATH = '/v1/responses'
const TOOLS = [{ type: 'function', name: 'look', parameters: { type: 'object' } }]

interface WireEvent {
  readonly type: string
  readonly sequence_number: number
  readonly output_index?: number
  readonly item_id?: string
  readonly delta?: string
  readonly logprobs?: readonly unknown[]
  readonly item?: WireItem
  readonly response?: { readonly output: readonly WireItem[]; readonly status: string }
}

interface WireItem {
  readonly id: string
  readonly type: string
  readonly arguments?: string
  readonly summary?: readonly { readonly text: string }[]
  readonly content?: readonly { readonly text: string; readonly logprobs?: readonly unknown[] }[]
}

function decode(body: JsonObject): Promise<GenerateCall> {
  return decodeCall(openaiFamily, PATH, incomingOf(PATH, body), { ...DECODE_CONTEXT, responseId: 'resp_1' })
}

function framesOf(call: GenerateCall, events: readonly GenerateEvent[]): readonly string[] {
  const { encode } = call.startStream(EMPTY_REPORT)
  return events
    .map((event) => String(encode(event)))
    .join('')
    .split('\n\n')
    .slice(0, -1)
}

function eventsOf(frames: readonly string[]): readonly WireEvent[] {
  return frames.map((frame) => {
    const [name, data, ...rest] = frame.split('\n')
    const event = JSON.parse(data?.slice('data: '.length) ?? '') as WireEvent
    expect([name, rest]).toEqual([`event: ${event.type}`, []])
    return event
  })
}

/** What the deltas of an item make, in the place where the item has it. */
function checkItem(item: WireItem, deltas: readonly WireEvent[]): void {
  const text = deltas.map(({ delta }) => delta).join('')
  if (item.type === 'function_call') return expect(text).toBe(item.arguments)
  const parts = item.type === 'reasoning' && item.content === undefined ? item.summary : item.content
  expect(parts?.map((part) => part.text).join('')).toBe(text)
}

test('every item is added, filled and done in its turn; the end is the whole response', async () => {
  const summaries = fc.constantFrom(null, 'detailed')
  await fc.assert(
    fc.asyncProperty(coursesOf('chat', 1), summaries, async ({ logprobs, events }: Course, summary) => {
      const include = logprobs ? ['message.output_text.logprobs'] : []
      const call = await decode({ model: 'm', input: 'x', tools: TOOLS, include, stream: true, reasoning: { summary } })
      const collector = new OutcomeCollector({ numChoices: 1, logprobs })
      for (const event of events) collector.add(event)
      const whole = JSON.parse(String(call.encodeResponse(collector.finish(), EMPTY_REPORT).body)) as NonNullable<WireEvent['response']>
      const wire = eventsOf(framesOf(call, events))
      expect(wire.map(({ sequence_number: number }) => number)).toEqual(wire.map((_, index) => index))
      expect(wire.slice(0, 2).map(({ type }) => type)).toEqual(['response.created', 'response.in_progress'])
      const last = wire.at(-1)
      expect(last?.type).toBe(`response.${whole.status}`)
      expect(last?.response).toEqual(whole)
      const done = wire.flatMap(({ type, item }) => (type === 'response.output_item.done' && item !== undefined ? [item] : []))
      expect(done).toEqual(whole.output)
      const indexes = wire.flatMap(({ output_index: index }) => index ?? [])
      expect(indexes).toEqual(indexes.toSorted((a, b) => a - b))
      for (const [index, item] of done.entries()) {
        const own = wire.filter(({ output_index: at }) => at === index)
        expect(own.at(0)?.type).toBe('response.output_item.added')
        expect(own.every(({ item_id: id }) => id === undefined || id === item.id)).toBe(true)
        checkItem(
          item,
          own.filter(({ delta }) => delta !== undefined),
        )
      }
    }),
    { seed: 11, numRuns: 400 },
  )
})

const ANSWER: readonly GenerateEvent[] = [
  { type: 'response-start', promptTokens: 3, cachedTokens: 1 },
  { type: 'text-delta', choice: 0, text: 'Hé\n', logprobs: null },
  { type: 'choice-end', choice: 0, finishReason: 'length', stopString: null },
  { type: 'response-end', usage: { promptTokens: 3, cachedTokens: 1, cacheWriteTokens: 0, completionTokens: 2, reasoningTokens: 0 } },
]

/** With the response objects left out, which the test above holds. */
test('a stream to the byte', async () => {
  const frames = framesOf(await decode({ model: 'm', input: 'x', stream: true }), ANSWER)
  const place = '"item_id":"msg_1_0","output_index":0,"content_index":0'
  const part = (text: string): string => `{"type":"output_text","text":${JSON.stringify(text)},"annotations":[],"logprobs":[]}`
  const item = (status: string, content: string): string =>
    `{"id":"msg_1_0","type":"message","status":"${status}","role":"assistant","content":[${content}]}`
  const names = [
    'created',
    'in_progress',
    'output_item.added',
    'content_part.added',
    'output_text.delta',
    'output_text.done',
    'content_part.done',
    'output_item.done',
    'incomplete',
  ]
  const fields = [
    null,
    null,
    `"output_index":0,"item":${item('in_progress', '')}`,
    `${place},"part":${part('')}`,
    `${place},"delta":"Hé\\n","logprobs":[]`,
    `${place},"text":"Hé\\n","logprobs":[]`,
    `${place},"part":${part('Hé\n')}`,
    `"output_index":0,"item":${item('incomplete', part('Hé\n'))}`,
    null,
  ]
  const expected = names.map((name, index) => {
    const head = `event: response.${name}\ndata: {"type":"response.${name}","sequence_number":${index},`
    return fields[index] === null ? head : `${head}${fields[index]}}`
  })
  expect(frames.map((frame, index) => (fields[index] === null ? frame.slice(0, expected[index]?.length) : frame))).toEqual(expected)
})

test('a failure in the middle is the end, with what was done before it', async () => {
  const error = { code: 'replica_lost' as const, message: 'gone', param: null, retryAfterMs: null }
  const usage = { promptTokens: 0, cachedTokens: 0, cacheWriteTokens: 0, completionTokens: 0, reasoningTokens: 0 }
  const wire = eventsOf(
    framesOf(await decode({ model: 'm', input: 'x', stream: true }), [...ANSWER.slice(0, 2), { type: 'response-error', error, usage }]),
  )
  expect(wire.at(-1)).toMatchObject({
    type: 'response.failed',
    response: { status: 'failed', error: { code: 'server_error', message: 'gone' }, output: [] },
  })
})
