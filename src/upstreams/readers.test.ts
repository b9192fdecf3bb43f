import { SignatureV4 } from '@smithy/signature-v4'
import { Sha256 } from '@aws-crypto/sha256-js'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { InferdError } from '#contract/errors'
import type { GenerateEvent, GenerateRequest, Usage } from '#contract/generate'
import { eventFrame } from '#server/aws-event-stream'
import { AnthropicStream } from './anthropic/decode-stream.ts'
import { BedrockStream } from './bedrock/decode-stream.ts'
import { FrameReader } from './frame-reader.ts'
import { OpenAiStream } from './openai/decode-stream.ts'
import { signRequest } from './sign-request.ts'
import { SseReader } from './sse-reader.ts'
import type { AnswerDecoder } from './upstream-dialect.ts'
import { refusalError } from './upstream-error.ts'

const REQUEST = { numChoices: 1 } as GenerateRequest

function cut(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const sorted = [0, ...places.map((place) => place % (bytes.length + 1)), bytes.length].toSorted((a, b) => a - b)
  return sorted.slice(1).map((end, index) => bytes.subarray(sorted[index]!, end))
}

const cuts = fc.array(fc.nat(100_000), { maxLength: 40 })

test('server-sent events are the same however the bytes are cut, with any end of line', () => {
  const text = ': hello\r\nevent: a\r\ndata: wörld 🦊\r\ndata:two\r\n\r\ndata: x\n\nevent: none\n\ndata\r\rdata: [DONE]\r\n\r\n'
  const whole = new SseReader().push(Buffer.from(text))
  expect(whole).toEqual([
    { name: 'a', data: 'wörld 🦊\ntwo' },
    { name: '', data: 'x' },
    { name: '', data: '' },
    { name: '', data: '[DONE]' },
  ])
  fc.assert(
    fc.property(cuts, (places) => {
      const reader = new SseReader()
      expect(cut(Buffer.from(text), places).flatMap((chunk) => reader.push(chunk))).toEqual(whole)
    }),
    { seed: 58 },
  )
})

test('an event without end is refused before it fills the memory', () => {
  const reader = new SseReader()
  expect(() => {
    for (let piece = 0; piece < 5; piece++) reader.push(Buffer.alloc(2 ** 20, 'a'))
  }).toThrow('too long')
})

test('frames are the same however the bytes are cut, and a flipped bit is seen', () => {
  const bytes = Buffer.concat([eventFrame('messageStart', '{"role":"assistant"}'), eventFrame('x', 'wörld'), eventFrame('y', '')])
  const read = (chunks: readonly Uint8Array[]) => {
    const reader = new FrameReader()
    const frames = chunks.flatMap((chunk) => reader.push(chunk))
    expect(reader.isWhole).toBe(true)
    return frames.map(({ headers, payload }) => [headers.get(':event-type'), Buffer.from(payload).toString()])
  }
  fc.assert(
    fc.property(cuts, (places) => {
      expect(read(cut(bytes, places))).toEqual([
        ['messageStart', '{"role":"assistant"}'],
        ['x', 'wörld'],
        ['y', ''],
      ])
    }),
    { seed: 58 },
  )
  fc.assert(
    fc.property(fc.nat(bytes.length * 8 - 1), (bit) => {
      const flipped = Buffer.from(bytes)
      flipped[bit >> 3]! ^= 1 << (bit & 7)
      expect(() => read([flipped])).toThrow()
    }),
    { seed: 58 },
  )
})

const ANSWERS: readonly (readonly [string, () => AnswerDecoder, Uint8Array])[] = [
  [
    'openai',
    () => new OpenAiStream('m', REQUEST),
    Buffer.from(
      'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":"a\\ud83e"}}]}\n\ndata: {"choices":[{"index":0,"delta":{"content":"\\udd8a"}}]}\n\n' +
        'data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"x","function":{"name":"f","arguments":"{"}}]}}]}\n\n' +
        'data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"}"}}]},"finish_reason":"tool_calls"}]}\n\n' +
        'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4,"prompt_tokens_details":{"cached_tokens":99}}}\n\ndata: [DONE]\n\n',
    ),
  ],
  [
    'anthropic',
    () => new AnthropicStream('m'),
    Buffer.from(
      'data: {"type":"message_start","message":{"usage":{"input_tokens":3,"cache_read_input_tokens":5,"output_tokens":1}}}\n\ndata: {"type":"ping"}\n\n' +
        'data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n' +
        'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hé"}}\n\ndata: {"type":"content_block_stop","index":0}\n\n' +
        'data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":7}}\n\ndata: {"type":"message_stop"}\n\n',
    ),
  ],
  [
    'bedrock',
    () => new BedrockStream('m'),
    Buffer.concat([
      eventFrame('messageStart', '{"role":"assistant"}'),
      eventFrame('contentBlockDelta', '{"contentBlockIndex":0,"delta":{"text":"hi"}}'),
      eventFrame('messageStop', '{"stopReason":"max_tokens"}'),
      eventFrame('metadata', '{"usage":{"inputTokens":3,"outputTokens":2,"totalTokens":5,"cacheReadInputTokens":4}}'),
    ]),
  ],
]

/** Cached tokens are never more than the prompt's; Anthropic and Bedrock count them apart. */
const USAGES: Readonly<Record<string, Partial<Usage>>> = {
  openai: { promptTokens: 9, cachedTokens: 9, completionTokens: 4 },
  anthropic: { promptTokens: 8, cachedTokens: 5, completionTokens: 7 },
  bedrock: { promptTokens: 7, cachedTokens: 4, completionTokens: 2 },
}

function readAll(decoder: AnswerDecoder, chunks: readonly Uint8Array[]): readonly GenerateEvent[] {
  return [...chunks.flatMap((chunk) => decoder.push(chunk)), ...decoder.end()]
}

test.each(ANSWERS)('an answer of %s is the same however it is cut; cut short it is an error', (name, open, bytes) => {
  const whole = readAll(open(), [bytes])
  expect(whole.at(-1)).toMatchObject({ type: 'response-end', usage: USAGES[name] })
  fc.assert(
    fc.property(cuts, (places) => {
      expect(readAll(open(), cut(bytes, places))).toEqual(whole)
    }),
    { seed: 58, numRuns: 50 },
  )
  expect(() => readAll(open(), [bytes.subarray(0, Math.floor(bytes.length / 2))])).toThrow(InferdError)
})

test.each(ANSWERS)('hostile bytes of %s end in upstream_failed or in legal events, never in anything else', (_name, open, bytes) => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 }), (changes) => {
      const changed = Buffer.from(bytes)
      for (const [place, value] of changes) changed[place] = value
      try {
        const events = readAll(open(), [changed])
        expect(events.filter(({ type }) => type === 'response-end')).toHaveLength(1)
        expect(events[0]?.type).toBe('response-start')
      } catch (error) {
        expect(error).toBeInstanceOf(InferdError)
      }
    }),
    { seed: 65, numRuns: 300 },
  )
})

test('requests are signed as the official signer does', async () => {
  const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'wJalrXUtnFEMI', sessionToken: null }
  const signer = new SignatureV4({
    credentials: { accessKeyId: credentials.accessKeyId, secretAccessKey: credentials.secretAccessKey },
    region: 'eu-west-1',
    service: 'bedrock',
    sha256: Sha256,
  })
  for (const model of ['anthropic.claude-v2:1', 'arn:aws:bedrock:eu-west-1:1:inference-profile/eu.a.b-v1:0', 'a!b(c)*']) {
    const url = new URL(`https://bedrock-runtime.eu-west-1.amazonaws.com/model/${encodeURIComponent(model)}/converse-stream`)
    const body = '{"messages":[]}'
    const ours = signRequest(
      {
        method: 'POST',
        url,
        headers: { 'content-type': 'application/json' },
        body,
        region: 'eu-west-1',
        service: 'bedrock',
        wallMs: 1_764_500_000_000,
      },
      credentials,
    )
    const { authorization: _, ...headers } = ours
    const theirs = await signer.sign(
      { method: 'POST', protocol: 'https:', hostname: url.hostname, path: url.pathname, headers, body },
      { signingDate: new Date(1_764_500_000_000) },
    )
    expect(ours['authorization']).toBe(theirs.headers['authorization'])
  }
})

test.each([
  [400, 'This model maximum context length is 8 tokens', 'context_length_exceeded'],
  [400, 'nope', 'invalid_parameter'],
  [401, 'bad key', 'upstream_failed'],
  [403, '', 'upstream_failed'],
  [404, '', 'upstream_failed'],
  [302, '', 'upstream_failed'],
  [413, '', 'payload_too_large'],
  [429, '', 'rate_limited'],
  [500, '', 'upstream_failed'],
  [503, '', 'overloaded'],
  [504, '', 'deadline_exceeded'],
  [529, '', 'overloaded'],
] as const)('status %i (%s) means %s', (status, text, code) => {
  const error = refusalError('m', { status, retryAfter: '2', text })
  expect(error.code).toBe(code)
  if (code === 'rate_limited') expect(error.retryAfterMs).toBe(2000)
  if (text !== '') expect(error.message).not.toContain(text)
})
