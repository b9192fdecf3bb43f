import { expect, test } from 'vitest'
import { InferdError } from '#contract/errors'
import { type EmbedRequest, type GenerateEvent, type GenerateRequest, type ModelFacts, PLAIN_OUTPUT } from '#contract/generate'
import type { EngineCore } from './engine-core.ts'
import type { PromptEncoder } from './prompt-encoder.ts'
import type { TokenRequest, TokenSink } from './scheduler/token-request.ts'
import type { Tokenizer } from './tokenizers/tokenizer.ts'
import { systemClock } from '#base/clock'
import { createReferenceVocabulary } from './grammar/reference-matcher.ts'
import { LocalEngine } from './local-engine.ts'
import { GrammarLibrary } from './structured-output/grammar-library.ts'

const NO_GRAMMARS = new GrammarLibrary({ makeVocabulary: () => createReferenceVocabulary([]), clock: systemClock, maxJobs: 64 })
const MEMORY = { weightsBytes: 0, kvCacheBytes: 0, activationBytes: 0 }

/** A core that holds requests until told to answer. */
class FakeCore {
  readonly waiting: { readonly request: TokenRequest; readonly sink: TokenSink }[] = []
  numAborts = 0
  maxWaiting = 0

  submit(request: TokenRequest, sink: TokenSink) {
    this.waiting.push({ request, sink })
    this.maxWaiting = Math.max(this.maxWaiting, this.waiting.length)
    return { abort: () => this.abort(sink), finishChoice: () => {}, adjust: () => {} }
  }

  answerAll(): void {
    for (const { request, sink } of this.waiting.splice(0)) {
      sink.onEmbedding(new Float64Array([request.promptTokenIds[0]!, 0]))
      sink.onEnd({ promptTokens: 1, cachedTokens: 0, completionTokens: 0 })
    }
  }

  private abort(sink: TokenSink): void {
    this.numAborts++
    sink.onError(new InferdError('cancelled', 'the request was cancelled'), { promptTokens: 0, cachedTokens: 0, completionTokens: 0 })
  }
}

function makeEngine(core: FakeCore): LocalEngine {
  const promptEncoder = { encode: (input: { tokenIds: number[] }) => input.tokenIds } as unknown as PromptEncoder
  return new LocalEngine({
    facts: {} as ModelFacts,
    core: core as unknown as EngineCore,
    tokenizer: {} as Tokenizer,
    promptEncoder,
    memory: MEMORY,
    grammars: NO_GRAMMARS,
  })
}

function embedRequest(count: number): EmbedRequest {
  const inputs = Array.from({ length: count }, (_, index) => ({ kind: 'tokens', tokenIds: [index + 1] }) as const)
  return { requestId: 'e', inputs, priority: 0, cacheSalt: '' }
}

test('a long list of texts never fills the queue, and its vectors keep their order', async () => {
  const core = new FakeCore()
  const result = makeEngine(core).embed(embedRequest(100), new AbortController().signal)
  for (let round = 0; round < 100 && core.waiting.length > 0; round++) {
    core.answerAll()
    await new Promise((resolve) => setImmediate(resolve))
  }
  const { vectors, usage } = await result
  expect(core.maxWaiting).toBe(16)
  expect(vectors).toHaveLength(100)
  expect(vectors.every((vector) => vector[0] === 1 && vector[1] === 0)).toBe(true)
  expect(usage.promptTokens).toBe(100)
})

test('an aborted call aborts what runs and starts nothing more', async () => {
  const core = new FakeCore()
  const controller = new AbortController()
  const result = makeEngine(core).embed(embedRequest(40), controller.signal)
  controller.abort()
  await expect(result).rejects.toMatchObject({ code: 'cancelled' })
  expect([core.numAborts, core.waiting.length]).toEqual([16, 16])
})

test('an echoed prompt is the text that the model saw', () => {
  const core = new FakeCore()
  const promptEncoder = { encodeRequest: () => ({ tokenIds: [1], answerFormat: null }) } as unknown as PromptEncoder
  const parts = {
    facts: {} as ModelFacts,
    core: core as unknown as EngineCore,
    tokenizer: {} as Tokenizer,
    promptEncoder,
    memory: MEMORY,
    grammars: NO_GRAMMARS,
  }
  const events: GenerateEvent[] = []
  const input = { kind: 'text', text: 'a\ud800b' } as const
  const request = {
    requestId: 'g',
    input,
    echo: true,
    numChoices: 1,
    stopStrings: [],
    stopTokenIds: [],
    includeStopString: false,
    sampling: { seed: 1 },
    output: PLAIN_OUTPUT,
  } as unknown as GenerateRequest
  new LocalEngine(parts).start(request, (event) => events.push(event))
  core.waiting[0]!.sink.onStart(1, 0)
  expect(events[1]).toMatchObject({ type: 'text-delta', text: 'a\ufffdb' })
})

test('a long list of texts is encoded over several turns of the event loop, and not beyond an abort', async () => {
  let numEncoded = 0
  const promptEncoder = { encode: () => [(numEncoded += 1)] } as unknown as PromptEncoder
  const parts = {
    facts: {} as ModelFacts,
    core: new FakeCore() as unknown as EngineCore,
    tokenizer: {} as Tokenizer,
    promptEncoder,
    memory: MEMORY,
    grammars: NO_GRAMMARS,
  }
  const inputs = Array.from({ length: 8 }, () => ({ kind: 'text', text: 'x'.repeat(20_000) }) as const)
  const controller = new AbortController()
  const result = new LocalEngine(parts).embed({ requestId: 'e', inputs, priority: 0, cacheSalt: '' }, controller.signal)
  expect(numEncoded).toBe(1)
  await new Promise((resolve) => setImmediate(resolve))
  expect(numEncoded).toBe(2)
  controller.abort()
  await expect(result).rejects.toThrow()
  expect(numEncoded).toBe(2)
})

test('an input that the core refuses is named by its place in the list', async () => {
  const core = new FakeCore()
  core.submit = () => {
    throw new InferdError('context_length_exceeded', 'the context holds 4 tokens; the prompt has 9', { param: 'input' })
  }
  await expect(makeEngine(core).embed(embedRequest(3), new AbortController().signal)).rejects.toMatchObject({ param: 'input[0]' })
})
