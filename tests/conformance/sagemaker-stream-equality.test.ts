/** For any legal course of events: a SageMaker stream put together again is the answer that was not streamed, part by part. */
import { EventStreamCodec } from '@smithy/core/event-streams'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { GenerateEvent } from '#contract/generate'
import { OutcomeCollector } from '#server/generate-outcome'
import type { EventStream, GenerateCall, Incoming, JsonObject, ProtocolRoute } from '#server/operation'
import { PROTOCOL_FAMILIES } from '#server/protocol-families'
import { DECODE_CONTEXT, EMPTY_REPORT, incomingOf } from './decode-call.ts'
import { type Course, coursesOf } from './event-courses.ts'

const codec = new EventStreamCodec(
  (input) => Buffer.from(input as Uint8Array).toString(),
  (input) => Buffer.from(input),
)

interface StreamFrame {
  readonly index: number
  readonly token: { readonly text: string; readonly id: number | null; readonly special: boolean }
  readonly generated_text: string | null
  readonly details: object | null
}

async function decode(path: string, body: JsonObject): Promise<GenerateCall> {
  const incoming: Incoming = incomingOf(path, body, { params: { endpoint: 'fake-model' } })
  const family = PROTOCOL_FAMILIES.find(({ name }) => name === 'sagemaker')
  const route = family?.routes.find((one): one is Extract<ProtocolRoute, { kind: 'dispatch' }> => one.kind === 'dispatch' && one.path === path)
  const chosen = route?.choose(incoming)
  if (chosen?.kind !== 'generate') throw new RangeError(`no route ${path}`)
  return chosen.decode(incoming, DECODE_CONTEXT)
}

/** The payloads of the parts, each checked by the codec of the clients. */
function payloadOf(bytes: Uint8Array): string {
  let text = ''
  for (let start = 0; start < bytes.length;) {
    const length = Buffer.from(bytes.buffer, bytes.byteOffset + start, 4).readUInt32BE()
    const { headers, body } = codec.decode(bytes.subarray(start, start + length))
    expect(headers[':event-type']?.value).toBe('PayloadPart')
    text += Buffer.from(body).toString()
    start += length
  }
  return text
}

function streamed({ encode }: EventStream, events: readonly GenerateEvent[]): string {
  return payloadOf(Buffer.concat(events.map((event) => Buffer.from(encode(event)))))
}

function framesOf(sse: string): StreamFrame[] {
  return sse
    .split('\n\n')
    .slice(0, -1)
    .map((frame) => JSON.parse(frame.slice(6)) as StreamFrame)
}

function outcomeOf({ numChoices, logprobs, events }: Course): ReturnType<OutcomeCollector['finish']> {
  const collector = new OutcomeCollector({ numChoices, logprobs })
  for (const event of events) collector.add(event)
  return collector.finish()
}

test('text generation: the frames of any course make the text and the details of the whole answer', async () => {
  await fc.assert(
    fc.asyncProperty(coursesOf('raw', 1), fc.boolean(), async (course, returnFullText) => {
      const parameters = { details: true, return_full_text: returnFullText, seed: 5 }
      const whole = await decode('/endpoints/:endpoint/invocations', { inputs: 'prompt', parameters })
      const [answer] = JSON.parse(whole.encodeResponse(outcomeOf(course), EMPTY_REPORT).body as string) as [
        { generated_text: string; details: object },
      ]
      const stream = await decode('/endpoints/:endpoint/invocations-response-stream', { inputs: 'prompt', parameters, stream: true })
      const frames = framesOf(streamed(stream.startStream(EMPTY_REPORT), course.events))
      const last = frames.at(-1)!
      expect(frames.map(({ index }) => index)).toEqual(frames.map((_, position) => position + 1))
      expect(frames.slice(0, -1).every(({ token, details }) => !token.special && details === null)).toBe(true)
      expect(last.generated_text).toBe(answer.generated_text)
      expect((returnFullText ? 'prompt' : '') + frames.map(({ token }) => token.text).join('')).toBe(answer.generated_text)
      const { prefill: _, tokens: __, ...details } = answer.details as Record<string, unknown>
      expect(last.details).toEqual({ ...details, input_length: expect.any(Number) })
    }),
    { seed: 20261201, numRuns: 300 },
  )
})

test('chat: the parts hold the stream of the chat route, byte for byte', async () => {
  await fc.assert(
    fc.asyncProperty(coursesOf('chat', 1), async ({ events }) => {
      const body = { stream: true, messages: [{ role: 'user', content: 'hi' }] }
      const bare = (await decode('/invocations', body)).startStream(EMPTY_REPORT)
      const parts = (await decode('/endpoints/:endpoint/invocations-response-stream', body)).startStream(EMPTY_REPORT)
      expect(streamed(parts, events)).toBe(events.map((event) => String(bare.encode(event))).join(''))
    }),
    { seed: 20261201, numRuns: 200 },
  )
})

test('an answer that is whole is the same in parts, however large', async () => {
  const body = { inputs: 'x' }
  const outcome = outcomeOf({
    numChoices: 1,
    logprobs: false,
    events: [
      { type: 'text-delta', choice: 0, text: '🦊'.repeat(200_000), logprobs: null },
      { type: 'choice-end', choice: 0, finishReason: 'stop', stopString: null },
      { type: 'response-end', usage: { promptTokens: 1, cachedTokens: 0, cacheWriteTokens: 0, completionTokens: 1, reasoningTokens: 0 } },
    ],
  })
  const bare = (await decode('/endpoints/:endpoint/invocations', body)).encodeResponse(outcome, EMPTY_REPORT)
  const parts = (await decode('/endpoints/:endpoint/invocations-response-stream', body)).encodeResponse(outcome, EMPTY_REPORT)
  const text = Buffer.from(bare.body as string)
  let numParts = 0
  let joined = Buffer.alloc(0)
  for (let rest = parts.body as Uint8Array; rest.length > 0; numParts++) {
    const length = Buffer.from(rest.buffer, rest.byteOffset, 4).readUInt32BE()
    joined = Buffer.concat([joined, codec.decode(rest.subarray(0, length)).body])
    rest = rest.subarray(length)
  }
  expect(joined.equals(text)).toBe(true)
  expect(numParts).toBe(Math.ceil(text.length / 2 ** 18))
})
