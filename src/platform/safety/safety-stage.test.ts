import { expect, test } from 'vitest'
import { FakeClock } from '#base/fake-clock'
import type { GuardrailChoice } from '#contract/call'
import { InferdError } from '#contract/errors'
import type { GenerateEvent, TokenLogprob } from '#contract/generate'
import type { Guardrail, GuardrailPolicy } from '#contract/guardrail'
import { EMPTY_POLICY, NO_MODELS, piiPolicy, POLICIES } from '../../../tests/safety/policies.ts'
import { answerOf, ask, callOf, eventsOf, requestOf, targetOf, textOf } from '../../../tests/safety/stage-calls.ts'
import { PolicyCache } from './compiled-policy.ts'
import type { SafetyPorts } from './safety-ports.ts'
import { guardEmbedCall, makeSafetyStage, type SafetyOptions } from './safety-stage.ts'

const CHOICE: GuardrailChoice = { guardrail: 'g', version: '1', trace: true, streaming: 'sync', content: null }
const WORDS: GuardrailPolicy = { ...EMPTY_POLICY, words: [{ text: 'kill switch', input: 'block', output: 'block' }] }

function optionsOf(
  policies: Readonly<Record<string, GuardrailPolicy>>,
  ports: SafetyPorts = NO_MODELS,
  set: GuardrailChoice | null = null,
): SafetyOptions {
  const resolve = async ({ guardrail, version, team }: { guardrail: string; version: string; team: string }): Promise<Guardrail> => {
    const policy = policies[guardrail]
    if (policy === undefined) throw new InferdError('resource_not_found', 'no guardrail')
    const words = { description: '', blockedInputMessage: 'NO INPUT', blockedOutputMessage: 'NO OUTPUT' }
    return { name: guardrail, id: guardrail, version, team, createdMs: 0, updatedMs: 0, policy, ...words }
  }
  return { resolve, defaultOf: () => set, policies: new PolicyCache(ports), clock: new FakeClock() }
}

test('a call without a guardrail is the next handler itself', () => {
  const inner = targetOf([])
  const events = inner.handler(callOf(requestOf(ask('x'))), new AbortController().signal)
  expect(makeSafetyStage(optionsOf({}))(() => events)(callOf(requestOf(ask('x'))), new AbortController().signal)).toBe(events)
})

test('blocked input is answered with the message, and no model is asked', async () => {
  const target = targetOf(answerOf(['never']))
  const call = callOf(requestOf(ask('where is the Kill  Switch?'), { numChoices: 2 }), CHOICE)
  const events = await eventsOf(makeSafetyStage(optionsOf({ g: WORDS }))(target.handler), call)
  expect(target.requests).toEqual([])
  expect(textOf(events)).toBe('NO INPUTNO INPUT')
  expect(events.filter(({ type }) => type === 'choice-end').map((event) => event.type === 'choice-end' && event.finishReason)).toEqual([
    'content-filter',
    'content-filter',
  ])
  expect(events.at(-1)).toMatchObject({ type: 'response-end', usage: { promptTokens: 0, completionTokens: 0 } })
  expect(call.report.guardrail).toMatchObject({
    guardrailId: 'g',
    intervened: true,
    assessments: [{ findings: [{ rule: 'kill switch', match: 'Kill  Switch', start: 13 }] }],
  })
})

test('masked input goes on masked, in earlier turns too; system messages stay', async () => {
  const target = targetOf(answerOf(['ok']))
  const messages = [
    { role: 'system', content: 'mail a@example.com' },
    { role: 'user', content: 'I am b@example.com' },
    { role: 'assistant', content: 'hello' },
    { role: 'tool', content: 'c@example.com', toolCallId: '1' },
  ] as const
  const call = callOf(requestOf({ kind: 'messages', messages }), CHOICE)
  await eventsOf(makeSafetyStage(optionsOf({ g: piiPolicy(['EMAIL'], 'mask') }))(target.handler), call)
  const { input } = target.requests[0]!
  expect(input.kind === 'messages' && input.messages.map(({ content }) => content)).toEqual([
    'mail a@example.com',
    'I am {EMAIL}',
    'hello',
    '{EMAIL}',
  ])
})

test('only marked content is judged where the caller marks some', async () => {
  const target = targetOf(answerOf(['ok']))
  const content = [{ text: 'b@example.com', qualifiers: [] }]
  const call = callOf(requestOf(ask('a@example.com b@example.com')), { ...CHOICE, content })
  await eventsOf(makeSafetyStage(optionsOf({ g: piiPolicy(['EMAIL'], 'mask') }))(target.handler), call)
  expect(target.requests[0]!.input).toEqual(ask('a@example.com {EMAIL}'))
})

test('a prompt of token ids is refused: nobody can judge it', async () => {
  const call = callOf(requestOf({ kind: 'tokens', tokenIds: [1] }), CHOICE)
  await expect(eventsOf(makeSafetyStage(optionsOf({ g: WORDS }))(targetOf([]).handler), call)).rejects.toMatchObject({
    code: 'unsupported_parameter',
  })
})

test('a stream is cut before what is blocked; the model is stopped, its pieces are billed', async () => {
  const target = targetOf(answerOf(['all is well. ', 'the kill', ' switch', ' more', ' and more']))
  const call = callOf(requestOf(ask('hi')), CHOICE)
  const events = await eventsOf(makeSafetyStage(optionsOf({ g: WORDS }))(target.handler), call)
  expect(textOf(events)).toBe('all is well. the NO OUTPUT')
  expect(events.slice(-2)).toMatchObject([
    { type: 'choice-end', finishReason: 'content-filter' },
    { type: 'response-end', usage: { promptTokens: 7, cachedTokens: 2, completionTokens: 4 } },
  ])
  expect(target.isAborted).toBe(true)
  expect(target.numTaken).toBe(5)
  expect(call.report.guardrail).toMatchObject({ intervened: true })
})

test('a cut answer is billed with what the model says that it made', async () => {
  const real = { promptTokens: 7, cachedTokens: 3, cacheWriteTokens: 1, completionTokens: 23, reasoningTokens: 0 }
  const target = targetOf(answerOf(['all is well. ', 'the kill', ' switch', ' more', ' and more']), real)
  const call = callOf(requestOf(ask('hi')), CHOICE)
  const events = await eventsOf(makeSafetyStage(optionsOf({ g: WORDS }))(target.handler), call)
  expect(events.at(-1)).toEqual({ type: 'response-end', usage: real })
  expect(call.report.isUsageEstimated).toBe(false)
})

test('thoughts and arguments are judged; a cut call gets no words of ours', async () => {
  const events: GenerateEvent[] = [
    { type: 'response-start', promptTokens: 1, cachedTokens: 0 },
    { type: 'reasoning-delta', choice: 0, text: 'their mail is a@example.com ok', logprobs: null },
    { type: 'tool-call-start', choice: 0, toolCall: 0, id: 'c', name: 'f' },
    { type: 'tool-call-delta', choice: 0, toolCall: 0, argumentsText: String.raw`{"a":"kill\u0020switch"` },
    { type: 'tool-call-delta', choice: 0, toolCall: 0, argumentsText: '}' },
    { type: 'choice-end', choice: 0, finishReason: 'tool-calls', stopString: null },
    { type: 'response-end', usage: { promptTokens: 1, cachedTokens: 0, cacheWriteTokens: 0, completionTokens: 9, reasoningTokens: 3 } },
  ]
  const policy = { ...WORDS, pii: piiPolicy(['EMAIL'], 'mask').pii }
  const shown = await eventsOf(makeSafetyStage(optionsOf({ g: policy }))(targetOf(events).handler), callOf(requestOf(ask('hi')), CHOICE))
  expect(shown.map((event) => (event.type === 'reasoning-delta' ? event.text : '')).join('')).toMatch(/^their mail is/)
  expect(JSON.stringify(shown)).not.toMatch(/example|kill|u0020/)
  expect(shown.at(-2)).toMatchObject({ type: 'choice-end', finishReason: 'content-filter' })
})

test('log probabilities are shown only with exactly their text', async () => {
  const token = (text: string): TokenLogprob => ({ tokenId: 1, text, bytes: [], logprob: -1, top: [] })
  const delta = (text: string, tokens: readonly string[]): GenerateEvent => ({ type: 'text-delta', choice: 0, text, logprobs: tokens.map(token) })
  const [start, end, last] = answerOf([]) as [GenerateEvent, GenerateEvent, GenerateEvent]
  const target = targetOf([
    start,
    delta('all well ', ['all', ' well ']),
    delta('', ['a@']),
    delta('a@example.com', ['example.com']),
    delta(' x', [' x']),
    end,
    last,
  ])
  const events = await eventsOf(makeSafetyStage(optionsOf({ g: piiPolicy(['EMAIL'], 'mask') }))(target.handler), callOf(requestOf(ask('hi')), CHOICE))
  expect(textOf(events)).toBe('all well {EMAIL} x')
  expect(JSON.stringify(events)).not.toContain('example')
  expect(events.flatMap((event) => (event.type === 'text-delta' ? (event.logprobs ?? []).map(({ text }) => text) : []))).toEqual([
    'all',
    ' well ',
    ' x',
  ])
})

test('asynchronous streaming lets text flow and cuts it', async () => {
  const target = targetOf(answerOf(['the k', 'ill', ' switch', ' is']))
  const events = await eventsOf(
    makeSafetyStage(optionsOf({ g: WORDS }))(target.handler),
    callOf(requestOf(ask('hi')), { ...CHOICE, streaming: 'async' }),
  )
  expect(events.filter(({ type }) => type === 'text-delta').length).toBeGreaterThan(2)
  expect(textOf(events)).toMatch(/^the kill.*NO OUTPUT$/)
  expect(events.at(-2)).toMatchObject({ finishReason: 'content-filter' })
})

test('what is not streamed is replaced as a whole', async () => {
  const call = callOf(requestOf(ask('hi')), CHOICE, { isBuffered: true })
  const events = await eventsOf(makeSafetyStage(optionsOf({ g: WORDS }))(targetOf(answerOf(['fine, ', 'the kill switch'])).handler), call)
  expect(textOf(events)).toBe('NO OUTPUT')
})

test("a caller's guardrail comes on top of the operator's", async () => {
  const options = optionsOf({ set: WORDS, mine: piiPolicy(['EMAIL'], 'mask') }, NO_MODELS, { ...CHOICE, guardrail: 'set', trace: false })
  const call = callOf(requestOf(ask('hi')), { ...CHOICE, guardrail: 'mine' })
  const events = await eventsOf(makeSafetyStage(options)(targetOf(answerOf(['a@example.com and ', 'the kill switch '])).handler), call)
  expect(textOf(events)).toBe('{EMAIL} and the NO OUTPUT')
  expect(call.report.guardrail).toMatchObject({ guardrailId: 'mine', intervened: true, shown: true })
  expect(JSON.stringify(call.report.guardrail)).not.toContain('kill')
})

test('what cannot be judged is not let through', async () => {
  const policy: GuardrailPolicy = {
    ...POLICIES.topic,
    topics: POLICIES.topic.topics.map((topic) => ({ ...topic, input: 'none' as const })),
    embeddingModel: 'gone',
  }
  const judged = optionsOf({ g: policy })
  await expect(eventsOf(makeSafetyStage(judged)(targetOf(answerOf(['secret'])).handler), callOf(requestOf(ask('hi')), CHOICE))).rejects.toThrow(
    'there is no model',
  )
  let asked = 0
  const flaky: SafetyPorts = {
    ...NO_MODELS,
    embed: async (_, texts) => (asked++ < 2 ? texts.map(() => Float32Array.of(1, 0)) : NO_MODELS.embed('', [], new AbortController().signal)),
  }
  const events = await eventsOf(
    makeSafetyStage(optionsOf({ g: policy }, flaky))(targetOf(answerOf(['secret'])).handler),
    callOf(requestOf(ask('hi')), CHOICE),
  )
  expect(textOf(events)).toBe('')
  expect(events.at(-1)).toMatchObject({ type: 'response-error', error: { code: 'model_not_found' } })
})

test('embeddings are refused or masked', async () => {
  const { request, operation: _, isBuffered: __, ...context } = callOf(requestOf(ask('')), CHOICE)
  const call = (text: string) => ({
    ...context,
    operation: 'embeddings' as const,
    request: { ...request, inputs: [{ kind: 'text' as const, text }] },
  })
  const options = optionsOf({ g: { ...WORDS, pii: piiPolicy(['EMAIL'], 'mask').pii } })
  const { signal } = new AbortController()
  await expect(guardEmbedCall(call('kill switch'), options, signal)).rejects.toMatchObject({ code: 'content_blocked' })
  expect((await guardEmbedCall(call('a@example.com'), options, signal)).request.inputs).toEqual([{ kind: 'text', text: '{EMAIL}' }])
})
