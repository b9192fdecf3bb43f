/** For any legal course of events: a stream put together again is the answer that was not streamed. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { OutcomeCollector } from '#server/generate-outcome'
import type { GenerateCall, JsonObject } from '#server/operation'
import { openaiFamily } from '#server/protocols/openai/routes'
import { decodeCall, EMPTY_REPORT, incomingOf } from './decode-call.ts'
import { type Course, coursesOf } from './event-courses.ts'

interface WireCall {
  readonly index?: number
  readonly id?: string
  readonly type?: string
  readonly function?: { readonly name?: string; readonly arguments?: string }
}

interface WireMessage {
  readonly role?: string
  readonly content?: string | null
  readonly refusal?: null
  readonly reasoning_content?: string
  readonly tool_calls?: readonly WireCall[]
}

interface WireChoice {
  readonly index: number
  readonly text?: string
  readonly delta?: WireMessage
  readonly message?: WireMessage
  readonly logprobs: Readonly<Record<string, readonly unknown[] | null>> | null
  readonly finish_reason: string | null
}

interface WireBody {
  readonly choices: readonly WireChoice[]
  readonly usage?: unknown
}

function decode(path: string, body: JsonObject): Promise<GenerateCall> {
  return decodeCall(openaiFamily, path, incomingOf(path, body))
}

function wholeOf(call: GenerateCall, { numChoices, logprobs, events }: Course): WireBody {
  const collector = new OutcomeCollector({ numChoices, logprobs })
  for (const event of events) collector.add(event)
  return JSON.parse(String(call.encodeResponse(collector.finish(), EMPTY_REPORT).body)) as WireBody
}

function streamOf(call: GenerateCall, { events }: Course): readonly WireBody[] {
  const { encode } = call.startStream(EMPTY_REPORT)
  const wire = events.map((event) => encode(event)).join('')
  expect(wire.endsWith('data: [DONE]\n\n')).toBe(true)
  const frames = wire.split('\n\n').slice(0, -1)
  expect(frames.every((frame) => frame.startsWith('data: ') && !frame.includes('\n'))).toBe(true)
  return frames.slice(0, -1).map((frame) => JSON.parse(frame.slice('data: '.length)) as WireBody)
}

/** A choice put together from its chunks: its message, logprob lists joined key by key, the only finish reason. */
function joined(chunks: readonly WireBody[], index: number): object {
  const parts = chunks.flatMap(({ choices }) => choices.filter((choice) => choice.index === index))
  const lists: Record<string, unknown[]> = {}
  for (const { logprobs } of parts) {
    for (const [key, list] of Object.entries(logprobs ?? {})) if (list !== null) (lists[key] ??= []).push(...list)
  }
  const isChat = parts.some(({ delta }) => delta !== undefined)
  return {
    message: isChat ? joinedMessage(parts.map(({ delta }) => delta ?? {})) : parts.map(({ text }) => text ?? '').join(''),
    lists,
    finishReasons: parts.flatMap(({ finish_reason }) => finish_reason ?? []),
  }
}

/** As the clients do it: texts are appended, null and absent add nothing, calls are told apart by their index. */
function joinedMessage(deltas: readonly WireMessage[]): WireMessage {
  expect(deltas.filter(({ role }) => role !== undefined)).toEqual(deltas.slice(0, 1))
  const append = (left: string | null | undefined, right: string | null | undefined): string | null =>
    typeof right === 'string' ? (left ?? '') + right : (left ?? null)
  const calls: WireCall[] = []
  for (const { index = -1, ...part } of deltas.flatMap(({ tool_calls }) => tool_calls ?? [])) {
    const call = calls[index]
    if (call === undefined) expect([index, part.function?.arguments]).toEqual([calls.length, ''])
    calls[index] = {
      ...call,
      ...part,
      function: { ...call?.function, ...part.function, arguments: append(call?.function?.arguments, part.function?.arguments) ?? '' },
    }
  }
  const reasoning = deltas.reduce<string | null>((text, delta) => append(text, delta.reasoning_content), null)
  return {
    role: deltas[0]?.role ?? '',
    content: deltas.reduce<string | null>((text, { content }) => append(text, content), null),
    refusal: null,
    ...(reasoning === null ? {} : { reasoning_content: reasoning }),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
  }
}

function whole({ text, message, logprobs, finish_reason }: WireChoice): object {
  const lists = Object.fromEntries(Object.entries(logprobs ?? {}).filter(([, list]) => list !== null && list.length > 0))
  return { message: text ?? message, lists, finishReasons: [finish_reason] }
}

function expectEqual(call: GenerateCall, course: Course): void {
  const answer = wholeOf(call, course)
  const chunks = streamOf(call, course)
  expect(answer.choices.map(({ index }) => index)).toEqual(Array.from({ length: course.numChoices }, (_, index) => index))
  for (const choice of answer.choices) expect(joined(chunks, choice.index)).toEqual(whole(choice))
  expect(chunks.at(-1)).toMatchObject({ choices: [], usage: answer.usage })
}

const STREAM = { stream: true, stream_options: { include_usage: true } }

test('chat: the chunks of any course of events make the whole answer', async () => {
  await fc.assert(
    fc.asyncProperty(coursesOf('chat'), async (course) => {
      const body = { model: 'm', messages: [{ role: 'user', content: 'hi' }], n: course.numChoices, logprobs: course.logprobs, ...STREAM }
      expectEqual(await decode('/v1/chat/completions', body), course)
    }),
    { seed: 20261122, numRuns: 300 },
  )
})

test('completions: the chunks of any course of events make the whole answer', async () => {
  await fc.assert(
    fc.asyncProperty(coursesOf('raw'), async (course) => {
      const body = { model: 'm', prompt: 'hi', n: course.numChoices, ...(course.logprobs ? { logprobs: 0 } : {}), ...STREAM }
      expectEqual(await decode('/v1/completions', body), course)
    }),
    { seed: 20261122, numRuns: 300 },
  )
})
