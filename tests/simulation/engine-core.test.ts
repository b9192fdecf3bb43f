import { expect, test } from 'vitest'
import { SMALL_CORE, startNullCore } from './null-core.ts'
import { expectedEmbedding, expectedTokens } from './oracle.ts'
import { GREEDY, RecordedSink, generateRequest } from './recorded-sink.ts'
import type { EngineCore } from '#engine/engine-core'
import type { GenerateTokensRequest, RequestHandle, TokenRequest } from '#engine/scheduler/token-request'

const PROMPT = [5, 9, 13, 21, 7, 3, 11, 30, 2, 44]
const expected = (request: GenerateTokensRequest, choice: number, maxTokens: number): number[] =>
  expectedTokens(request, choice, maxTokens, SMALL_CORE)

function start(core: EngineCore, request: TokenRequest, sink?: RecordedSink): { readonly sink: RecordedSink; readonly handle: RequestHandle } {
  const used = sink ?? new RecordedSink(request.kind === 'generate' ? request.numChoices : 0)
  return { sink: used, handle: core.submit(request, used) }
}

async function complete(core: EngineCore, request: TokenRequest): Promise<RecordedSink> {
  const { sink } = start(core, request)
  await sink.ended
  return sink
}

/** Every block free, nothing left over. */
function expectBaseline(core: EngineCore): void {
  core.checkInvariants()
  expect(core.stats()).toMatchObject({ numFreeBlocks: SMALL_CORE.numBlocks, numRunning: 0, numWaiting: 0, numSinkFailures: 0 })
}

test('a request gets its tokens, one start and one end with usage', async () => {
  const core = await startNullCore()
  const request = generateRequest(PROMPT, { ignoreEos: true })
  const sink = await complete(core, request)
  expect(sink.error).toBeNull()
  expect(sink.choices[0]!.tokenIds).toEqual(expected(request, 0, 8))
  expect(sink.choices[0]!.end).toEqual({ reason: 'length', stopTokenId: null })
  expect(sink.start).toEqual({ promptTokens: 10, cachedTokens: 0 })
  expect(sink.usage).toEqual({ promptTokens: 10, cachedTokens: 0, completionTokens: 8 })
  expectBaseline(core)
  await core.close()
})

test('choices share the prompt: it is computed once and its last block is copied for all but one', async () => {
  const core = await startNullCore()
  const request = generateRequest(PROMPT, { ignoreEos: true, numChoices: 4, sampling: { ...GREEDY, temperature: 1, seed: 7 } })
  const sink = await complete(core, request)
  for (let choice = 0; choice < 4; choice++) expect(sink.choices[choice]!.tokenIds).toEqual(expected(request, choice, 8))
  expect(core.stats()).toMatchObject({ computedTokens: 10 + 4 * 7, numCopiedBlocks: 3, completionTokens: 32 })
  expectBaseline(core)
  await core.close()
})

test('a stop token ends its choice, counts in usage and is not delivered as a token', async () => {
  const core = await startNullCore()
  const tokens = expected(generateRequest(PROMPT, { ignoreEos: true }), 0, 8)
  const sink = await complete(core, generateRequest(PROMPT, { ignoreEos: true, stopTokenIds: [tokens[3]!] }))
  expect(sink.choices[0]!.tokenIds).toEqual(tokens.slice(0, 3))
  expect(sink.choices[0]!.end).toEqual({ reason: 'stop', stopTokenId: tokens[3] })
  expect(sink.usage!.completionTokens).toBe(4)
  await core.close()
})

test('a stop token cannot come before minTokens', async () => {
  const core = await startNullCore()
  const tokens = expected(generateRequest(PROMPT, { ignoreEos: true }), 0, 8)
  const request = generateRequest(PROMPT, { ignoreEos: true, stopTokenIds: [tokens[1]!], minTokens: 4, maxTokens: 6 })
  const sink = await complete(core, request)
  expect(sink.choices[0]!.tokenIds).toEqual(expected(request, 0, 6))
  expect(sink.choices[0]!.tokenIds.length).toBeGreaterThanOrEqual(4)
  await core.close()
})

test('logprobs arrive with as many alternatives as asked for', async () => {
  const core = await startNullCore()
  const sink = await complete(core, generateRequest(PROMPT, { ignoreEos: true, numTopLogprobs: 2, maxTokens: 3 }))
  const { tokenIds, logprobs } = sink.choices[0]!
  expect(logprobs).toEqual(tokenIds.map((tokenId) => ({ logprob: -0.25, topTokenIds: [tokenId, (tokenId + 1) % SMALL_CORE.vocabSize] })))
  await core.close()
})

test('without maxTokens a choice runs to the end of the context', async () => {
  const core = await startNullCore()
  const sink = await complete(core, generateRequest(PROMPT, { ignoreEos: true, maxTokens: null }))
  expect(sink.choices[0]!.tokenIds.length).toBe(SMALL_CORE.contextLength - PROMPT.length)
  expect(sink.choices[0]!.end!.reason).toBe('length')
  expectBaseline(core)
  await core.close()
})

test('a prompt that fills the context gets the one token that nothing has to read', async () => {
  const core = await startNullCore()
  const sink = await complete(
    core,
    generateRequest(
      Array.from({ length: SMALL_CORE.contextLength }, () => 5),
      { ignoreEos: true, maxTokens: 7 },
    ),
  )
  expect(sink.choices[0]).toMatchObject({ tokenIds: [expect.any(Number)], end: { reason: 'length' } })
  expectBaseline(core)
  await core.close()
})

test('a second request with the same prompt hits its full blocks, but computes the last token again', async () => {
  const core = await startNullCore()
  const request = generateRequest(PROMPT.slice(0, 8), { ignoreEos: true })
  const first = await complete(core, request)
  const second = await complete(core, request)
  expect(second.start).toEqual({ promptTokens: 8, cachedTokens: 4 })
  expect(second.choices).toEqual(first.choices)
  expect(core.stats().computedTokens).toBe(8 + 7 + 4 + 7)
  await core.close()
})

test('another salt never hits', async () => {
  const core = await startNullCore()
  await complete(core, generateRequest(PROMPT, { cacheSalt: 'tenant-a' }))
  expect((await complete(core, generateRequest(PROMPT, { cacheSalt: 'tenant-b' }))).start!.cachedTokens).toBe(0)
  expect((await complete(core, generateRequest(PROMPT, { cacheSalt: 'tenant-a' }))).start!.cachedTokens).toBe(8)
  await core.close()
})

test('an embedding is the mean over all prompt tokens, in chunks and after hits by others', async () => {
  const core = await startNullCore()
  const prompt = Array.from({ length: 50 }, (_, index) => 3 + index)
  await complete(core, generateRequest(prompt))
  const sink = await complete(core, { kind: 'embed', promptTokenIds: prompt, priority: 0, lane: 'shared', cacheSalt: '' })
  expect([...sink.embedding!]).toEqual(expectedEmbedding(prompt, SMALL_CORE.hiddenSize))
  expect(sink.usage).toEqual({ promptTokens: 50, cachedTokens: 0, completionTokens: 0 })
  expectBaseline(core)
  await core.close()
})

test('an abort ends a waiting, a running and a finishing request with one error, and frees all blocks', async () => {
  const core = await startNullCore({ options: { maxSequences: 1 } })
  const running = start(core, generateRequest(PROMPT, { ignoreEos: true, maxTokens: null }))
  const waiting = start(core, generateRequest(PROMPT))
  await core.probe()
  waiting.handle.abort()
  await waiting.sink.ended
  expect(waiting.sink).toMatchObject({ start: null, error: { code: 'cancelled' } })
  expect(running.sink.usage).toBeNull()
  running.handle.abort()
  running.handle.abort()
  await core.probe()
  expect(running.sink.error!.code).toBe('cancelled')
  expect(running.sink.usage!.completionTokens).toBe(running.sink.choices[0]!.tokenIds.length)
  expectBaseline(core)
  await core.close()
})

test('a sink can finish a choice from its own callback, and no further token is computed for it', async () => {
  const core = await startNullCore()
  const request = generateRequest(PROMPT, { ignoreEos: true, numChoices: 2, maxTokens: 6 })
  const sink = new RecordedSink(2)
  const onToken = sink.onToken.bind(sink)
  sink.onToken = (choice, tokenId, logprobs) => {
    onToken(choice, tokenId, logprobs)
    if (choice === 1 && sink.choices[1]!.tokenIds.length === 2) handle.finishChoice(1)
  }
  const { handle } = start(core, request, sink)
  await sink.ended
  expect(sink.choices.map(({ tokenIds, end }) => [tokenIds.length, end!.reason])).toEqual([
    [6, 'length'],
    [2, 'stop'],
  ])
  expect(sink.usage!.completionTokens).toBe(8)
  expectBaseline(core)
  await core.close()
})

test('a row that is not finite fails its request, and the others go on', async () => {
  const request = generateRequest(PROMPT, { ignoreEos: true })
  const poison = expected(request, 0, 8)[4]!
  const other = generateRequest([...PROMPT].reverse(), { ignoreEos: true })
  expect(expected(other, 0, 7)).not.toContain(poison)
  const core = await startNullCore({ faults: { nonFiniteAfterTokens: new Set([poison]) } })
  const [failed, sound] = await Promise.all([complete(core, request), complete(core, other)])
  expect(failed.error!.code).toBe('non_finite_logits')
  expect(failed.choices[0]!.tokenIds.at(-1)).toBe(poison)
  expect(sound.choices[0]!.tokenIds).toEqual(expected(other, 0, 8))
  expectBaseline(core)
  expect((await complete(core, generateRequest(PROMPT, { maxTokens: 1 }))).start!.cachedTokens).toBe(0)
  await core.close()
})

test("a bias that forbids every token fails its request as the asker's, and the prompt stays cached", async () => {
  const core = await startNullCore()
  const forbidden = Array.from({ length: SMALL_CORE.vocabSize }, (_, tokenId) => ({ tokenId, bias: -Infinity }))
  const failed = await complete(core, generateRequest(PROMPT, { numChoices: 2, sampling: { ...GREEDY, logitBias: forbidden } }))
  expect(failed.error).toMatchObject({ code: 'invalid_parameter', message: 'logit_bias forbids every token', param: 'logit_bias' })
  expectBaseline(core)
  const sound = await complete(core, generateRequest(PROMPT, { maxTokens: 1 }))
  expect(sound.start!.cachedTokens).toBeGreaterThan(0)
  await core.close()
})

test('an executor failure ends everything with replica_lost, and the core takes nothing more', async () => {
  const broken: unknown[] = []
  const failure = new Error('the device is gone')
  const core = await startNullCore({
    faults: { failingSteps: new Map([[2, failure]]) },
    onBroken: (error) => broken.push(error),
    options: { maxSequences: 1 },
  })
  const running = start(core, generateRequest(PROMPT, { ignoreEos: true }))
  const waiting = start(core, generateRequest(PROMPT))
  await Promise.all([running.sink.ended, waiting.sink.ended])
  expect([running.sink.error!.code, waiting.sink.error!.code]).toEqual(['replica_lost', 'replica_lost'])
  expect(broken).toEqual([failure])
  expect(core.stats().isBroken).toBe(true)
  expect(() => core.submit(generateRequest(PROMPT), new RecordedSink(1))).toThrow(expect.objectContaining({ code: 'replica_lost' }))
  await expect(core.probe()).rejects.toMatchObject({ code: 'replica_lost' })
  await core.close()
})

test('close ends every request with shutting_down after the step in flight', async () => {
  const core = await startNullCore({ options: { maxSequences: 1 } })
  const running = start(core, generateRequest(PROMPT, { ignoreEos: true, maxTokens: null }))
  const waiting = start(core, generateRequest(PROMPT))
  await core.probe()
  await Promise.all([core.close(), core.close()])
  expect([running.sink.error!.code, waiting.sink.error!.code]).toEqual(['shutting_down', 'shutting_down'])
  expectBaseline(core)
  expect(() => core.submit(generateRequest(PROMPT), new RecordedSink(1))).toThrow(expect.objectContaining({ code: 'shutting_down' }))
})

test('a sink that throws gets its end as internal and nothing more, and nobody else is touched', async () => {
  const failures: unknown[] = []
  const core = await startNullCore({ onSinkFailure: (error) => failures.push(error) })
  const failing = new RecordedSink(1)
  failing.onToken = () => {
    throw new Error('the sink is broken')
  }
  start(core, generateRequest(PROMPT, { ignoreEos: true }), failing)
  const request = generateRequest([...PROMPT].reverse(), { ignoreEos: true })
  const sound = await complete(core, request)
  expect(sound.choices[0]!.tokenIds).toEqual(expected(request, 0, 8))
  expect(failures.length).toBe(1)
  expect(failing.error).toMatchObject({ code: 'internal' })
  expect(core.stats()).toMatchObject({ numFreeBlocks: SMALL_CORE.numBlocks, numSinkFailures: 1 })
  await core.close()
})

test('an idle loop answers a probe', async () => {
  const core = await startNullCore()
  await core.probe()
  expect(core.stats().numSteps).toBe(0)
  await core.close()
})

test('a better priority starts first, and equal ones in order of arrival', async () => {
  const core = await startNullCore({ options: { maxSequences: 1 } })
  const started: string[] = []
  const named = (name: string, priority: number): Promise<void> => {
    const sink = new RecordedSink(1)
    const onStart = sink.onStart.bind(sink)
    sink.onStart = (promptTokens, cachedTokens) => {
      onStart(promptTokens, cachedTokens)
      started.push(name)
    }
    start(core, generateRequest(PROMPT, { priority }), sink)
    return sink.ended
  }
  await Promise.all([named('late', 1), named('first', 0), named('second', 0), named('early', -1)])
  expect(started).toEqual(['early', 'first', 'second', 'late'])
  await core.close()
})

test('a flood of better priorities holds a request up for priorityAgingSteps and no longer', async () => {
  const core = await startNullCore({ options: { maxSequences: 1, priorityAgingSteps: 50 } })
  const patient = start(core, generateRequest(PROMPT, { priority: 1 }))
  const flood = (): void => {
    const sink = new RecordedSink(1)
    start(core, generateRequest(PROMPT, { priority: 0, ignoreEos: true, maxTokens: 4 }), sink)
  }
  for (let turn = 0; patient.sink.usage === null; turn++) {
    expect(turn).toBeLessThan(300)
    if (core.stats().numWaiting < 3) flood()
    await core.probe()
  }
  expect(core.stats().numSteps).toBeGreaterThan(50)
  await core.close()
})

test.each<[string, TokenRequest, string]>([
  ['an empty prompt', generateRequest([]), 'invalid_parameter'],
  ['a prompt longer than the context', generateRequest(Array.from({ length: 97 }, () => 5)), 'context_length_exceeded'],
  ['a token outside of the vocabulary', generateRequest([64]), 'invalid_parameter'],
  ['a negative token', generateRequest([-1]), 'invalid_parameter'],
  ['more choices than places', generateRequest(PROMPT, { numChoices: 9 }), 'invalid_parameter'],
  ['no output at all', generateRequest(PROMPT, { maxTokens: 0 }), 'invalid_parameter'],
  ['more minimum than maximum', generateRequest(PROMPT, { minTokens: 9, maxTokens: 8 }), 'invalid_parameter'],
  ['too many alternatives', generateRequest(PROMPT, { numTopLogprobs: 21 }), 'invalid_parameter'],
  ['a temperature that is not a number', generateRequest(PROMPT, { sampling: { ...GREEDY, temperature: NaN } }), 'invalid_parameter'],
  [
    'a bias on a token that does not exist',
    generateRequest(PROMPT, { sampling: { ...GREEDY, logitBias: [{ tokenId: 64, bias: 1 }] } }),
    'invalid_parameter',
  ],
  ['a fractional priority', generateRequest(PROMPT, { priority: 0.5 }), 'invalid_parameter'],
])('refused before it queues: %s', async (_name, request, code) => {
  const core = await startNullCore()
  expect(() => core.submit(request, new RecordedSink(1))).toThrow(expect.objectContaining({ code }))
  expect(core.stats().numWaiting).toBe(0)
  await core.close()
})

test('a prompt that the whole KV cache cannot hold is refused with need and have', async () => {
  const core = await startNullCore({ options: { numBlocks: 2 } })
  const refusal = { code: 'insufficient_memory', message: expect.stringMatching(/10 tokens.*holds 8/) }
  expect(() => core.submit(generateRequest(PROMPT), new RecordedSink(1))).toThrow(expect.objectContaining(refusal))
  await core.close()
})

test('an embedding may fill the context', async () => {
  const core = await startNullCore()
  const promptTokenIds = Array.from({ length: 96 }, () => 5)
  expect((await complete(core, { kind: 'embed', promptTokenIds, priority: 0, lane: 'shared', cacheSalt: '' })).embedding).not.toBeNull()
  await core.close()
})

test('a full queue refuses with overloaded, and has room again when a request starts', async () => {
  const core = await startNullCore({ options: { maxWaitingRequests: 2, maxSequences: 1 } })
  start(core, generateRequest(PROMPT))
  start(core, generateRequest(PROMPT))
  expect(() => core.submit(generateRequest(PROMPT), new RecordedSink(1))).toThrow(expect.objectContaining({ code: 'overloaded' }))
  await core.probe()
  start(core, generateRequest(PROMPT))
  await core.close()
})

test('preemption changes no token', async () => {
  const options = { numBlocks: 12, admissionWatermarkBlocks: 0 }
  const core = await startNullCore({ options })
  const requests = [1, 2, 3, 4].map((seed) =>
    generateRequest([...PROMPT, seed], { ignoreEos: true, maxTokens: 25, sampling: { ...GREEDY, temperature: 1, seed, presencePenalty: 1 } }),
  )
  const sinks = await Promise.all(requests.map((request) => complete(core, request)))
  expect(core.stats().numPreemptions).toBeGreaterThan(0)
  for (const [index, request] of requests.entries()) expect(sinks[index]!.choices[0]!.tokenIds).toEqual(expected(request, 0, 25))
  core.checkInvariants()
  await core.close()
})
