/** For any legal course of events: a stream put together again is the answer that was not streamed. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { FinishReason, GenerateEvent, TokenLogprob } from '#contract/generate'
import { OutcomeCollector } from '#server/generate-outcome'
import { DEFAULT_SERVER_OPTIONS } from '#server/http/server-options'
import type { DecodeContext, GenerateCall, JsonObject, ProtocolRoute } from '#server/operation'
import { openaiFamily } from '#server/protocols/openai/routes'
import { FAKE_FACTS, fakeLogprob } from './fake-model.ts'

const CONTEXT: DecodeContext = {
  responseId: 'id-1',
  createdSeconds: 1_700_000_000,
  systemFingerprint: 'fp_test',
  facts: FAKE_FACTS,
  limits: DEFAULT_SERVER_OPTIONS.limits,
}

interface Course {
  readonly numChoices: number
  readonly logprobs: boolean
  readonly events: readonly GenerateEvent[]
}

interface WireChoice {
  readonly index: number
  readonly text?: string
  readonly delta?: { readonly content?: string; readonly role?: string }
  readonly message?: { readonly content: string }
  readonly logprobs: Readonly<Record<string, readonly unknown[] | null>> | null
  readonly finish_reason: string | null
}

interface WireBody {
  readonly choices: readonly WireChoice[]
  readonly usage?: unknown
}

/** Deltas of all choices interleaved in any way; some carry only logprobs, some only text. */
const courses: fc.Arbitrary<Course> = fc
  .record({
    numChoices: fc.integer({ min: 1, max: 4 }),
    logprobs: fc.boolean(),
    steps: fc.array(fc.record({ choice: fc.nat({ max: 3 }), text: fc.string({ unit: 'binary', maxLength: 6 }) }), { maxLength: 40 }),
    reasons: fc.array(fc.constantFrom<FinishReason>('stop', 'length'), { minLength: 4, maxLength: 4 }),
    counts: fc.tuple(fc.nat(1000), fc.nat(1000), fc.nat(1000)),
  })
  .map(({ numChoices, logprobs, steps, reasons, counts: [promptTokens, cachedTokens, completionTokens] }) => ({
    numChoices,
    logprobs,
    events: [
      { type: 'response-start', promptTokens, cachedTokens },
      ...steps.map(({ choice, text }, position): GenerateEvent => ({
        type: 'text-delta',
        choice: choice % numChoices,
        text,
        logprobs: logprobs ? logprobsOf(text, position) : null,
      })),
      ...Array.from({ length: numChoices }, (_, choice): GenerateEvent => ({
        type: 'choice-end',
        choice,
        finishReason: reasons[choice] ?? 'stop',
        stopString: null,
      })),
      { type: 'response-end', usage: { promptTokens, cachedTokens, completionTokens, reasoningTokens: 0 } },
    ],
  }))

function logprobsOf(text: string, position: number): TokenLogprob[] {
  return [fakeLogprob(text, position, position % 3)]
}

function decode(path: string, body: JsonObject): GenerateCall {
  const route = openaiFamily.routes.find((one): one is Extract<ProtocolRoute, { kind: 'generate' }> => one.kind === 'generate' && one.path === path)
  if (route === undefined) throw new Error(`no route ${path}`)
  return route.decode(body, CONTEXT)
}

function wholeOf(call: GenerateCall, { numChoices, logprobs, events }: Course): WireBody {
  const collector = new OutcomeCollector({ numChoices, logprobs })
  for (const event of events) collector.add(event)
  return JSON.parse(call.encodeResponse(collector.finish())) as WireBody
}

function streamOf(call: GenerateCall, { events }: Course): readonly WireBody[] {
  const { encode } = call.startStream()
  const wire = events.map((event) => encode(event)).join('')
  expect(wire.endsWith('data: [DONE]\n\n')).toBe(true)
  const frames = wire.split('\n\n').slice(0, -1)
  expect(frames.every((frame) => frame.startsWith('data: ') && !frame.includes('\n'))).toBe(true)
  return frames.slice(0, -1).map((frame) => JSON.parse(frame.slice('data: '.length)) as WireBody)
}

/** A choice put together from its chunks: text, logprob lists joined key by key, the only finish reason. */
function joined(chunks: readonly WireBody[], index: number): object {
  const parts = chunks.flatMap(({ choices }) => choices.filter((choice) => choice.index === index))
  const lists: Record<string, unknown[]> = {}
  for (const { logprobs } of parts) {
    for (const [key, list] of Object.entries(logprobs ?? {})) if (list !== null) (lists[key] ??= []).push(...list)
  }
  return {
    text: parts.map((part) => part.text ?? part.delta?.content ?? '').join(''),
    lists,
    finishReasons: parts.flatMap(({ finish_reason }) => finish_reason ?? []),
  }
}

function whole({ text, message, logprobs, finish_reason }: WireChoice): object {
  const lists = Object.fromEntries(Object.entries(logprobs ?? {}).filter(([, list]) => list !== null && list.length > 0))
  return { text: text ?? message?.content, lists, finishReasons: [finish_reason] }
}

function expectEqual(call: GenerateCall, course: Course): void {
  const answer = wholeOf(call, course)
  const chunks = streamOf(call, course)
  expect(answer.choices.map(({ index }) => index)).toEqual(Array.from({ length: course.numChoices }, (_, index) => index))
  for (const choice of answer.choices) expect(joined(chunks, choice.index)).toEqual(whole(choice))
  expect(chunks.at(-1)).toMatchObject({ choices: [], usage: answer.usage })
}

const STREAM = { stream: true, stream_options: { include_usage: true } }

test('chat: the chunks of any course of events make the whole answer', () => {
  fc.assert(
    fc.property(courses, (course) => {
      const body = { model: 'm', messages: [{ role: 'user', content: 'hi' }], n: course.numChoices, logprobs: course.logprobs, ...STREAM }
      expectEqual(decode('/v1/chat/completions', body), course)
    }),
    { seed: 20261122, numRuns: 300 },
  )
})

test('completions: the chunks of any course of events make the whole answer', () => {
  fc.assert(
    fc.property(courses, (course) => {
      const body = { model: 'm', prompt: 'hi', n: course.numChoices, ...(course.logprobs ? { logprobs: 0 } : {}), ...STREAM }
      expectEqual(decode('/v1/completions', body), course)
    }),
    { seed: 20261122, numRuns: 300 },
  )
})
