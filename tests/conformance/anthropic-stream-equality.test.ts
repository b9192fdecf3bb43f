/** For any legal course of events: an Anthropic stream put together again is the message that was not streamed. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { OutcomeCollector } from '#server/generate-outcome'
import { anthropicFamily } from '#server/protocols/anthropic/routes'
import { signThinking } from '#server/protocols/anthropic/thinking-signature'
import { startMessageStream, stepMessageStream } from '#server/protocols/anthropic/messages/encode-stream'
import { decodeCall, EMPTY_REPORT, incomingOf } from './decode-call.ts'
import { coursesOf } from './event-courses.ts'

const CALL: Parameters<typeof startMessageStream>[0] = {
  responseId: 'msg',
  requestId: 'req',
  model: 'm',
  stream: true,
  request: undefined as never,
  options: undefined as never,
}

interface Block {
  readonly type: string
  text?: string
  thinking?: string
  signature?: string
  input?: unknown
}

interface Frame {
  readonly type: string
  readonly message: Record<string, unknown>
  readonly index: number
  readonly content_block: Block
  readonly delta: Record<string, unknown>
  readonly usage: Record<string, unknown>
}

/** As the Messages API reference says that a client puts a message together. */
function joined(wire: string): Record<string, unknown> {
  let message: Record<string, unknown> = {}
  const blocks: Block[] = []
  const inputs: string[] = []
  for (const text of wire.split('\n\n').slice(0, -1)) {
    const [, name, json] = /^event: (\w+)\ndata: (.*)$/.exec(text)!
    const frame = JSON.parse(json!) as Frame
    expect(frame.type).toBe(name)
    const block = blocks[frame.index]
    if (name === 'message_start') message = frame.message
    if (name === 'content_block_start') {
      expect(frame.index).toBe(blocks.length)
      blocks.push({ ...frame.content_block })
      inputs.push('')
    }
    if (name === 'content_block_delta') {
      expect(frame.index).toBe(blocks.length - 1)
      for (const key of ['text', 'thinking', 'signature'] as const) if (key in frame.delta) block![key] += String(frame.delta[key])
      if ('partial_json' in frame.delta) inputs[frame.index] += String(frame.delta['partial_json'])
    }
    if (name === 'message_delta') message = { ...message, ...frame.delta, usage: { ...(message['usage'] as object), ...frame.usage } }
  }
  const content = blocks.map((block, index) => (block.type === 'tool_use' ? { ...block, input: parsed(inputs[index]!) } : block))
  return { ...message, content }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return {}
  }
}

/** The whole answer has one block of thoughts and one of text; a stream has one for each run of them. */
function merged(content: readonly Block[]): object {
  const join = (type: string, key: 'text' | 'thinking'): string => content.flatMap((block) => (block.type === type ? [block[key]] : [])).join('')
  return { thinking: join('thinking', 'thinking'), text: join('text', 'text'), calls: content.filter(({ type }) => type === 'tool_use') }
}

test('the events of any course make the whole message', async () => {
  await fc.assert(
    fc.asyncProperty(coursesOf('chat', 1), async ({ events, numChoices, logprobs }) => {
      const body = { model: 'm', max_tokens: 100, stream: true, messages: [{ role: 'user', content: 'hi' }] }
      const call = await decodeCall(anthropicFamily, '/v1/messages', incomingOf('/v1/messages', body))
      const collector = new OutcomeCollector({ numChoices, logprobs })
      for (const event of events) collector.add(event)
      const whole = JSON.parse(String(call.encodeResponse(collector.finish(), EMPTY_REPORT).body)) as Record<string, unknown>
      const { encode } = call.startStream(EMPTY_REPORT)
      const wire = events.map((event) => encode(event)).join('')
      expect(wire.endsWith('event: message_stop\ndata: {"type":"message_stop"}\n\n')).toBe(true)
      const streamed = joined(wire)
      expect({ ...streamed, content: null }).toEqual({ ...whole, content: null })
      for (const { type, thinking, signature } of streamed['content'] as Block[]) {
        if (type === 'thinking') expect(signature).toBe(signThinking(thinking ?? ''))
      }
      expect(merged(streamed['content'] as Block[])).toEqual(merged(whole['content'] as Block[]))
    }),
    { seed: 20261201, numRuns: 400 },
  )
})

test('a step of a stream leaves the state that it was given as it was', () => {
  const [started] = stepMessageStream(startMessageStream(CALL, EMPTY_REPORT), { type: 'response-start', promptTokens: 1, cachedTokens: 0 })
  const [thinking] = stepMessageStream(started, { type: 'reasoning-delta', choice: 0, text: 'A', logprobs: null })
  stepMessageStream(thinking, { type: 'reasoning-delta', choice: 0, text: 'another course', logprobs: null })
  const [, frames] = stepMessageStream(thinking, { type: 'choice-end', choice: 0, finishReason: 'stop', stopString: null })
  expect(frames).toContain(signThinking('A'))
})
