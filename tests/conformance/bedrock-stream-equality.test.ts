/** For any legal course of events: a Bedrock stream put together again is the answer that was not streamed, wherever its bytes are cut. */
import { EventStreamMarshaller } from '@smithy/core/event-streams'
import { Readable } from 'node:stream'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { OutcomeCollector } from '#server/generate-outcome'
import type { GenerateCall, Incoming, JsonObject, ProtocolRoute } from '#server/operation'
import { PROTOCOL_FAMILIES } from '#server/protocol-families'
import { DECODE_CONTEXT, EMPTY_REPORT, incomingOf } from './decode-call.ts'
import { type Course, coursesOf } from './event-courses.ts'

type Body = Readonly<Record<string, unknown>>

interface Frame {
  readonly type: string
  readonly body: Body
}

const marshaller = new EventStreamMarshaller({
  utf8Encoder: (bytes) => Buffer.from(bytes as Uint8Array).toString('utf8'),
  utf8Decoder: (text) => Buffer.from(text, 'utf8'),
})
const bedrock = PROTOCOL_FAMILIES.find(({ name }) => name === 'bedrock')!

async function decode(operation: string, body: JsonObject): Promise<GenerateCall> {
  const path = `/model/:modelId/${operation}`
  const incoming: Incoming = incomingOf(path, body, { params: { modelId: 'm' } })
  const route = bedrock.routes.find((one) => one.path === path)!
  const chosen: ProtocolRoute = route.kind === 'dispatch' ? route.choose(incoming) : route
  return chosen.kind === 'generate' ? chosen.decode(incoming, DECODE_CONTEXT) : expect.fail(`${operation} generates`)
}

function wholeOf(call: GenerateCall, { events, numChoices, logprobs }: Course): Body {
  const collector = new OutcomeCollector({ numChoices, logprobs })
  for (const event of events) collector.add(event)
  const { body } = call.encodeResponse(collector.finish(), EMPTY_REPORT)
  return JSON.parse(typeof body === 'string' ? body : Buffer.from(body as Uint8Array).toString()) as Body
}

function bytesOf(call: GenerateCall, { events }: Course): Buffer {
  const { encode } = call.startStream(EMPTY_REPORT)
  return Buffer.concat(events.map((event) => Buffer.from(encode(event) as Uint8Array)))
}

/** The clients' decoder, fed piece by piece. */
async function framesOf(pieces: readonly Uint8Array[]): Promise<readonly Frame[]> {
  const events = marshaller.deserialize(Readable.from(pieces), async (message): Promise<Frame> => {
    const [type, { body }] = Object.entries(message)[0]!
    return { type, body: JSON.parse(Buffer.from(body as Uint8Array).toString()) as Body }
  })
  return Array.fromAsync(events)
}

/** A chunk's own JSON. */
function chunkOf({ body }: Frame): Body {
  return JSON.parse(Buffer.from(String(body['bytes']), 'base64').toString()) as Body
}

interface Delta {
  readonly text?: string
  readonly reasoningContent?: { readonly text: string }
  readonly toolUse?: { readonly input: string }
}

interface Block {
  text?: string
  reasoning?: string
  toolUse?: { readonly toolUseId: string; readonly name: string; input: unknown }
}

/** As the API reference says that a client puts a message together. */
function messageOf(frames: readonly Frame[]): Body {
  const blocks: Block[] = []
  let ending: Body = {}
  for (const { type, body } of frames) {
    const index = body['contentBlockIndex'] as number
    if (type === 'contentBlockStart') {
      expect(index).toBe(blocks.length)
      blocks.push({ toolUse: { ...(body['start'] as { toolUse: { toolUseId: string; name: string } }).toolUse, input: '' } })
    }
    if (type === 'contentBlockDelta') {
      const { text, reasoningContent, toolUse } = body['delta'] as Delta
      if (index === blocks.length) blocks.push({})
      const block = blocks[index]!
      expect(index).toBe(blocks.length - 1)
      if (text !== undefined) block.text = (block.text ?? '') + text
      if (reasoningContent !== undefined) block.reasoning = (block.reasoning ?? '') + reasoningContent.text
      if (toolUse !== undefined) block.toolUse!.input = String(block.toolUse!.input) + toolUse.input
    }
    if (type === 'messageStop' || type === 'metadata') ending = { ...ending, ...body }
  }
  return {
    ...ending,
    ...joined(blocks.map((block) => (block.toolUse === undefined ? block : { toolUse: { ...block.toolUse, input: parsed(block.toolUse.input) } }))),
  }
}

/** The whole answer has one block of thoughts and one of text; a stream has one for each run of them. */
function joined(blocks: readonly Block[]): Body {
  const join = (key: 'text' | 'reasoning'): string => blocks.map((block) => block[key] ?? '').join('')
  return { text: join('text'), reasoning: join('reasoning'), calls: blocks.flatMap(({ toolUse }) => toolUse ?? []) }
}

function parsed(text: unknown): unknown {
  try {
    return JSON.parse(String(text))
  } catch {
    return {}
  }
}

interface WireWhole {
  readonly output: {
    readonly message: { readonly content: readonly (Block & { readonly reasoningContent?: { readonly reasoningText: { readonly text: string } } })[] }
  }
}

test('Converse: the frames of any course of events make the whole answer', async () => {
  await fc.assert(
    fc.asyncProperty(coursesOf('chat', 1), async (course) => {
      const body = { messages: [{ role: 'user', content: [{ text: 'hi' }] }] }
      const { output, ...ending } = wholeOf(await decode('converse', body), course) as Body & WireWhole
      const blocks = output.message.content.map((block) => ({ ...block, reasoning: block.reasoningContent?.reasoningText.text ?? '' }))
      const frames = await framesOf([bytesOf(await decode('converse-stream', body), course)])
      expect(frames.at(0)!.type).toBe('messageStart')
      expect(frames.slice(-2).map(({ type }) => type)).toEqual(['messageStop', 'metadata'])
      expect(messageOf(frames)).toEqual({ ...ending, ...joined(blocks) })
      const { totalTokens, ...parts } = ending['usage'] as Readonly<Record<string, number>>
      expect(Object.values(parts).reduce((sum, count) => sum + count, 0)).toBe(totalTokens)
    }),
    { seed: 20261201, numRuns: 400 },
  )
})

test.each([
  ['Llama', { prompt: 'x', max_gen_len: 9 }, (chunk: Body) => chunk['generation'], (whole: Body) => whole['generation']],
  ['Mistral', { prompt: 'x', max_tokens: 9 }, textOfOutput, textOfOutput],
] as const)('%s: the chunks of any course of events make the whole text', async (_name, body, textOfChunk, textOfWhole) => {
  await fc.assert(
    fc.asyncProperty(coursesOf('raw', 1), async (course) => {
      const whole = wholeOf(await decode('invoke', body), course)
      const frames = await framesOf([bytesOf(await decode('invoke-with-response-stream', body), course)])
      const chunks = frames.map(chunkOf)
      expect(chunks.map(textOfChunk).join('')).toBe(textOfWhole(whole))
      expect(chunks.filter((chunk) => 'amazon-bedrock-invocationMetrics' in chunk)).toEqual(chunks.slice(-1))
    }),
    { seed: 20261201, numRuns: 200 },
  )
})

function textOfOutput(body: Body): unknown {
  return (body['outputs'] as { readonly text: string }[])[0]!.text
}

test('a stream is read alike wherever the network cuts it', async () => {
  const [course] = fc.sample(coursesOf('chat', 1), { seed: 7, numRuns: 1 })
  const wire = bytesOf(await decode('converse-stream', { messages: [{ role: 'user', content: [{ text: 'hi' }] }] }), course!)
  const whole = await framesOf([wire])
  for (let cut = 1; cut < wire.length; cut++) expect(await framesOf([wire.subarray(0, cut), wire.subarray(cut)])).toEqual(whole)
  expect(await framesOf(Array.from(wire, (byte) => Uint8Array.of(byte)))).toEqual(whole)
})
