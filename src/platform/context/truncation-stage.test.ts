/** What is left out of a conversation, and what never is. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { DEFAULT_CALL_OPTIONS, newCallReport, type OnlineCall, type TruncationStrategy } from '#contract/call'
import { type ChatMessage, type GenerateEvent, type GenerateRequest, NO_USAGE, PLAIN_REQUEST } from '#contract/generate'
import { InferdError } from '#contract/errors'
import { LOCAL_PRINCIPAL } from '#contract/principal'
import { fitMessages } from './fit-messages.ts'
import { truncationStage } from './truncation-stage.ts'
import { dropOrder, withoutTurns } from './turns.ts'

const system = (content: string): ChatMessage => ({ role: 'system', content })
const user = (content: string): ChatMessage => ({ role: 'user', content })
const assistant = (content: string): ChatMessage => ({ role: 'assistant', content })
const calls = (...ids: string[]): ChatMessage => ({
  role: 'assistant',
  content: '',
  toolCalls: ids.map((id) => ({ id, name: 'look', arguments: '{}' })),
})
const result = (toolCallId: string): ChatMessage => ({ role: 'tool', content: 'r', toolCallId })

const TALK = [
  system('s'),
  user('u1'),
  assistant('a1'),
  user('u2'),
  calls('c1', 'c2'),
  result('c2'),
  result('c1'),
  assistant('a2'),
  system('t'),
  user('u3'),
  assistant('a3'),
  user('u4'),
]

function label(message: ChatMessage): string {
  return message.content === '' || message.content === 'r' ? message.role : message.content
}

/** What is left with one turn less each time, from all of them on. */
function courses(messages: readonly ChatMessage[], strategy: TruncationStrategy): string[] {
  const order = dropOrder(messages, strategy)
  return Array.from({ length: order.length + 1 }, (_, count) => withoutTurns(messages, order.slice(0, count)).map(label).join(' '))
}

describe('the order of turns', () => {
  test('oldest-turns takes the oldest first; system messages and the last turn stay', () => {
    expect(courses(TALK, 'oldest-turns')).toEqual([
      's u1 a1 u2 assistant tool tool a2 t u3 a3 u4',
      's u2 assistant tool tool a2 t u3 a3 u4',
      's t u3 a3 u4',
      's t u4',
    ])
  })

  test('middle-out takes the middle first and keeps how it began', () => {
    expect(courses(TALK, 'middle-out')).toEqual(['s u1 a1 u2 assistant tool tool a2 t u3 a3 u4', 's u1 a1 t u3 a3 u4', 's u1 a1 t u4', 's t u4'])
  })

  test.each([
    ['only a last turn', [system('s'), user('u'), calls('c'), result('c')], []],
    ['a greeting before any user', [assistant('hello'), user('u')], [[0]]],
    ['several users in a row', [user('u1'), user('u2'), assistant('a'), user('u3')], [[0, 1, 2]]],
    ['no user at all', [assistant('a'), assistant('b')], []],
    ['nothing', [], []],
  ] as const)('of %s', (_name, messages, expected) => {
    expect(dropOrder(messages, 'oldest-turns')).toEqual(expected)
  })

  test('none takes nothing', () => {
    expect(dropOrder(TALK, 'none')).toEqual([])
  })
})

/** Turns of several shapes, system messages between them. */
const conversation = fc
  .array(
    fc.record({
      system: fc.boolean(),
      length: fc.integer({ min: 1, max: 40 }),
      numCalls: fc.integer({ min: 0, max: 3 }),
      answers: fc.boolean(),
    }),
    { minLength: 1, maxLength: 24 },
  )
  .map((turns) =>
    turns.flatMap(({ system: hasSystem, length, numCalls, answers }, index): ChatMessage[] => {
      const ids = Array.from({ length: numCalls }, (_, call) => `${index}-${call}`)
      return [
        ...(hasSystem ? [system(`s${index}`)] : []),
        user('x'.repeat(length)),
        ...(numCalls === 0 ? [] : [calls(...ids), ...ids.map(result)]),
        ...(answers || numCalls === 0 ? [assistant('y'.repeat(length))] : []),
      ]
    }),
  )
const strategies = fc.constantFrom<TruncationStrategy>('oldest-turns', 'middle-out')
const count = (messages: readonly ChatMessage[]): number => messages.reduce((sum, { content }) => sum + content.length + 2, 0)

describe('fitting', () => {
  const fit = (messages: readonly ChatMessage[], strategy: TruncationStrategy, maxPromptTokens: number, onCount = (): void => {}) =>
    fitMessages({
      messages,
      strategy,
      maxPromptTokens,
      countTokens: async (candidate) => {
        onCount()
        return count(candidate) > 2 * maxPromptTokens ? null : count(candidate)
      },
    })

  test('it fits if it can, keeps system messages and the last turn, parts no call from its result, and drops no turn too many', async () => {
    await fc.assert(
      fc.asyncProperty(conversation, strategies, fc.integer({ min: 1, max: 900 }), async (messages, strategy, maxPromptTokens) => {
        let numCounts = 0
        const fitted = await fit(messages, strategy, maxPromptTokens, () => void numCounts++)
        const order = dropOrder(messages, strategy)
        expect(numCounts).toBeLessThanOrEqual(2 + Math.ceil(Math.log2(Math.max(1, order.length))))
        expect([count(messages), null]).toContain(fitted.promptTokensBefore)
        expect([count(fitted.messages), null]).toContain(fitted.promptTokensAfter)
        expect(fitted.numDroppedMessages).toBe(messages.length - fitted.messages.length)
        const least = withoutTurns(messages, order)
        if (fitted.promptTokensAfter === null || fitted.promptTokensAfter > maxPromptTokens) expect(fitted.messages).toEqual(least)
        const systems = (all: readonly ChatMessage[]): unknown[] => all.filter(({ role }) => role === 'system')
        expect(systems(fitted.messages)).toEqual(systems(messages))
        const lastUser = messages.findLastIndex(({ role }) => role === 'user')
        expect(fitted.messages.slice(lastUser - messages.length)).toEqual(messages.slice(lastUser))
        const made = fitted.messages.flatMap((message) => (message.role === 'assistant' ? (message.toolCalls ?? []).map(({ id }) => id) : []))
        const answered = fitted.messages.flatMap((message) => (message.role === 'tool' ? [message.toolCallId] : []))
        expect(answered).toEqual(made)
        const numTurns = order.findIndex((_, index) => count(withoutTurns(messages, order.slice(0, index))) <= maxPromptTokens)
        if (numTurns >= 0) expect(fitted.messages).toEqual(withoutTurns(messages, order.slice(0, numTurns)))
      }),
      { seed: 7, numRuns: 400 },
    )
  })

  test('with more room nothing more is left out', async () => {
    await fc.assert(
      fc.asyncProperty(
        conversation,
        strategies,
        fc.integer({ min: 1, max: 600 }),
        fc.integer({ min: 0, max: 300 }),
        async (messages, strategy, room, more) => {
          const small = await fit(messages, strategy, room)
          const large = await fit(messages, strategy, room + more)
          expect(large.numDroppedMessages).toBeLessThanOrEqual(small.numDroppedMessages)
          for (const message of small.messages) expect(large.messages).toContain(message)
        },
      ),
      { seed: 8, numRuns: 200 },
    )
  })

  test('roles alternate behind a cut wherever they did before it', async () => {
    const pairs = fc.integer({ min: 1, max: 30 }).map((numTurns) => Array.from({ length: numTurns }, () => [user('q'), assistant('a')]).flat())
    await fc.assert(
      fc.asyncProperty(pairs, strategies, fc.integer({ min: 1, max: 100 }), async (messages, strategy, room) => {
        const roles = (await fit([...messages, user('last')], strategy, room)).messages.map(({ role }) => role)
        expect(roles).toEqual(roles.map((_, index) => (index % 2 === 0 ? 'user' : 'assistant')))
      }),
      { seed: 9, numRuns: 100 },
    )
  })
})

const REQUEST: GenerateRequest = {
  ...PLAIN_REQUEST,
  requestId: 'r',
  input: { kind: 'messages', messages: TALK },
}

function callOf(truncation: TruncationStrategy, change: Partial<GenerateRequest> = {}): OnlineCall {
  return {
    requestId: 'r',
    principal: LOCAL_PRINCIPAL,
    dialect: 'openai',
    model: 'm',
    options: { ...DEFAULT_CALL_OPTIONS, truncation },
    arrivedMs: 0,
    report: newCallReport(),
    operation: 'chat',
    request: { ...REQUEST, ...change },
    isBuffered: true,
  }
}

describe('the stage', () => {
  const sent: GenerateRequest[] = []
  const end: GenerateEvent = { type: 'response-end', usage: NO_USAGE }
  const events = (async function* () {
    yield end
  })()
  const run = async (call: OnlineCall, contextLength: number | null): Promise<readonly ChatMessage[] | null> => {
    sent.length = 0
    const handler = truncationStage({
      countTokens: async (_call, { input }) => (input.kind === 'messages' ? count(input.messages) : 0),
      contextLengthOf: () => contextLength,
    })(async function* ({ request }) {
      sent.push(request)
      yield end
    })
    for await (const event of handler(call, new AbortController().signal)) expect(event).toBe(end)
    const input = sent[0]?.input
    return input?.kind === 'messages' ? input.messages : null
  }

  test('calls that did not ask, prompts without messages and models of unknown size get the next events themselves', () => {
    const handler = truncationStage({
      countTokens: () => Promise.reject(new RangeError('counted')),
      contextLengthOf: ({ model }) => (model === 'm' ? null : 8),
    })(() => events)
    const { signal } = new AbortController()
    expect(handler(callOf('none'), signal)).toBe(events)
    expect(handler(callOf('middle-out', { input: { kind: 'text', text: 'x' } }), signal)).toBe(events)
    expect(handler(callOf('middle-out'), signal)).toBe(events)
  })

  test('what fits is left alone and nothing is reported', async () => {
    const call = callOf('oldest-turns')
    expect(await run(call, 1000)).toEqual(TALK)
    expect(call.report.truncation).toBe(null)
  })

  test('what does not fit is cut, and the report has the numbers', async () => {
    const call = callOf('oldest-turns', { maxTokens: 4 })
    expect((await run(call, 24))?.map(label)).toEqual(['s', 't', 'u3', 'a3', 'u4'])
    expect(call.report.truncation).toEqual({
      strategy: 'oldest-turns',
      numDroppedMessages: 7,
      promptTokensBefore: count(TALK),
      promptTokensAfter: 18,
    })
  })

  test.each([
    ['without a limit an eighth of the context is kept for it', {}, 20, 5],
    ['its limit is kept for it', { maxTokens: 6 }, 24, 5],
    ['a limit that is only a ceiling takes at most half', { maxTokens: 2 ** 31 - 1 }, 35, 5],
    ['its least length is kept for it', { minTokens: 12 }, 30, 5],
  ] as const)('room for the answer: %s', async (_name, change, contextLength, numMessages) => {
    expect(await run(callOf('oldest-turns', change), contextLength)).toHaveLength(numMessages)
    expect((await run(callOf('oldest-turns', change), contextLength - 1))?.length).toBeLessThan(numMessages)
  })

  test('a prompt that the model does not count to its end is cut all the same; another fault of counting is that of the call', async () => {
    const failing = (code: 'context_length_exceeded' | 'replica_lost', limit: number): ReturnType<typeof truncationStage> =>
      truncationStage({
        countTokens: async (_call, { input }) => {
          const numTokens = input.kind === 'messages' ? count(input.messages) : 0
          if (numTokens > limit) throw new InferdError(code, 'no')
          return numTokens
        },
        contextLengthOf: () => 24,
      })
    const call = callOf('oldest-turns', { maxTokens: 4 })
    const { signal } = new AbortController()
    const next = async function* (): AsyncGenerator<GenerateEvent> {
      yield end
    }
    expect(await Array.fromAsync(failing('context_length_exceeded', 24)(next)(call, signal))).toEqual([end])
    expect(call.report.truncation).toMatchObject({ promptTokensBefore: null, promptTokensAfter: 18 })
    await expect(Array.fromAsync(failing('replica_lost', 24)(next)(callOf('oldest-turns'), signal))).rejects.toMatchObject({ code: 'replica_lost' })
    const hopeless = callOf('oldest-turns')
    expect(await Array.fromAsync(failing('context_length_exceeded', 2)(next)(hopeless, signal))).toEqual([end])
    expect(hopeless.report.truncation).toBe(null)
  })

  test('what must stay goes to the model even when it is too long: the refusal is the model’s own', async () => {
    expect((await run(callOf('middle-out'), 4))?.map(label)).toEqual(['s', 't', 'u4'])
  })
})
