/** For any legal course of events: a stream put together again is the answer that was not streamed. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { FinishReason, GenerateEvent, TokenLogprob } from '#contract/generate'
import { OutcomeCollector } from '#server/generate-outcome'
import type { GenerateCall, JsonObject } from '#server/operation'
import { openaiFamily } from '#server/protocols/openai/routes'
import { decodeCall, EMPTY_REPORT, incomingOf } from './decode-call.ts'
import { fakeLogprob } from './fake-model.ts'

interface Course {
  readonly numChoices: number
  readonly logprobs: boolean
  readonly events: readonly GenerateEvent[]
}

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

/** A piece of a choice: what it thinks, what it says, the head of its next call, or a part of the arguments of that call. */
interface Step {
  readonly kind: 'reasoning' | 'text' | 'call' | 'arguments' | 'call-end'
  readonly choice: number
  readonly text: string
}

const KINDS = { raw: ['reasoning', 'text'], chat: ['reasoning', 'text', 'call', 'arguments', 'call-end'] } as const

/** Pieces of all choices interleaved in any way; some carry only logprobs, some only text. Of a raw prompt the reasoning comes first. */
function coursesOf(prompt: keyof typeof KINDS): fc.Arbitrary<Course> {
  const step: fc.Arbitrary<Step> = fc.record({
    kind: fc.constantFrom(...KINDS[prompt]),
    choice: fc.nat({ max: 3 }),
    text: fc.string({ unit: 'binary', maxLength: 6 }),
  })
  return fc
    .record({
      numChoices: fc.integer({ min: 1, max: 4 }),
      logprobs: fc.boolean(),
      steps: fc.array(step, { maxLength: 40 }),
      reasons: fc.array(fc.constantFrom<FinishReason>('stop', 'length'), { minLength: 4, maxLength: 4 }),
      counts: fc.tuple(fc.nat(1000), fc.nat(1000), fc.nat(1000), fc.nat(1000), fc.nat(1000)),
    })
    .map(({ numChoices, logprobs, steps, reasons, counts: [promptTokens, cachedTokens, completionTokens, reasoningTokens, cacheWriteTokens] }) => {
      const ordered = prompt === 'raw' ? steps.toSorted((left, right) => Number(left.kind === 'text') - Number(right.kind === 'text')) : steps
      const choices = Array.from({ length: numChoices }, (_, choice) => new LegalChoice(choice, logprobs))
      const said = ordered.flatMap((one, position) => choices[one.choice % numChoices]?.eventsOf(one, position) ?? [])
      return {
        numChoices,
        logprobs,
        events: [
          { type: 'response-start', promptTokens, cachedTokens },
          ...said,
          ...choices.map((choice, index) => choice.end(reasons[index] ?? 'stop')),
          { type: 'response-end', usage: { promptTokens, cachedTokens, cacheWriteTokens, completionTokens, reasoningTokens } },
        ],
      }
    })
}

/** Turns steps into the events that the contract allows: no text and no other call inside a call, no arguments outside one. */
class LegalChoice {
  private readonly choice: number
  private readonly logprobs: boolean
  private numCalls = 0
  private isInCall = false

  constructor(choice: number, logprobs: boolean) {
    this.choice = choice
    this.logprobs = logprobs
  }

  eventsOf({ kind, text }: Step, position: number): GenerateEvent[] {
    const { choice } = this
    const toolCall = this.numCalls - 1
    switch (kind) {
      case 'reasoning':
      case 'text': {
        const logprobs = this.logprobs ? logprobsOf(text, position) : null
        return [...this.closeCall(), { type: kind === 'text' ? 'text-delta' : 'reasoning-delta', choice, text, logprobs }]
      }
      case 'call': {
        const closing = this.closeCall()
        this.isInCall = true
        this.numCalls++
        return [...closing, { type: 'tool-call-start', choice, toolCall: toolCall + 1, id: `id-${choice}-${toolCall + 1}`, name: `tool_${position}` }]
      }
      case 'arguments':
        return this.isInCall ? [{ type: 'tool-call-delta', choice, toolCall, argumentsText: text }] : []
      case 'call-end':
        return this.closeCall()
    }
  }

  /** A choice whose last call is open was cut. */
  end(reason: FinishReason): GenerateEvent {
    const finishReason = this.isInCall ? 'length' : this.numCalls > 0 && reason === 'stop' ? 'tool-calls' : reason
    return { type: 'choice-end', choice: this.choice, finishReason, stopString: null }
  }

  private closeCall(): GenerateEvent[] {
    if (!this.isInCall) return []
    this.isInCall = false
    return [{ type: 'tool-call-end', choice: this.choice, toolCall: this.numCalls - 1 }]
  }
}

function logprobsOf(text: string, position: number): TokenLogprob[] {
  return [fakeLogprob(text, position, position % 3)]
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
