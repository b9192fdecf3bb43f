import { expect, test } from 'vitest'
import { FakeClock, settle } from '#base/fake-clock'
import type { EmbedRequest, GenerateEvent, GenerateRequest, ModelFacts } from '#contract/generate'
import type { EngineOptions } from '#engine/engine'
import type { CallId, ToWorker } from '#platform/replicas/messages'
import type { WorkerListeners } from '#platform/replicas/worker-process'
import { ModelRegistry } from './model-registry.ts'
import type { ReplicaModel } from './replica-model.ts'

const FACTS = { architecture: 'llama' } as ModelFacts
const REQUEST = { requestId: 'r', numChoices: 1 } as GenerateRequest
const START: GenerateEvent = { type: 'response-start', promptTokens: 3, cachedTokens: 0 }
const END: GenerateEvent = {
  type: 'response-end',
  usage: { promptTokens: 3, cachedTokens: 0, cacheWriteTokens: 0, completionTokens: 0, reasoningTokens: 0 },
}
const NEVER = new AbortController().signal

/** A model whose worker is played by the test. */
class PlayedModel {
  readonly clock = new FakeClock()
  readonly registry = new ModelRegistry()
  readonly sent: ToWorker[] = []
  readonly model: ReplicaModel
  worker!: WorkerListeners

  constructor() {
    this.model = this.registry.add('m', { engine: {} as EngineOptions, clock: this.clock, spawn: (listeners) => this.spawn(listeners) })
  }

  async loaded(): Promise<this> {
    this.worker.onMessage({ type: 'ready', facts: FACTS })
    await settle()
    return this
  }

  async crash(): Promise<void> {
    this.worker.onExit('signal SIGKILL')
    await settle()
  }

  calls(type: 'generate' | 'embed'): CallId[] {
    return this.sent.flatMap((message) => (message.type === type ? [message.call] : []))
  }

  private spawn(listeners: WorkerListeners) {
    this.worker = listeners
    return { pid: 1, send: (message: ToWorker) => void this.sent.push(message), kill: () => listeners.onExit('signal SIGKILL') }
  }
}

async function typesOf(events: AsyncIterable<GenerateEvent>): Promise<string[]> {
  const types: string[] = []
  for await (const event of events) types.push(event.type === 'response-error' ? event.error.code : event.type)
  return types
}

test('a request whose worker dies before the first event runs again on the next worker', async () => {
  const played = await new PlayedModel().loaded()
  const answer = typesOf(played.model.generate(REQUEST, NEVER))
  await settle()
  await played.crash()
  await played.clock.advance(100)
  await played.loaded()
  const [, second] = played.calls('generate')
  played.worker.onMessage({ type: 'events', calls: [second!, second!], events: [START, END] })
  expect(await answer).toEqual(['response-start', 'response-end'])
})

test('a request is run again only once, and never after its first event', async () => {
  const played = await new PlayedModel().loaded()
  const unlucky = typesOf(played.model.generate(REQUEST, NEVER)).catch((error: { code: string }) => error.code)
  const begun = typesOf(played.model.generate(REQUEST, NEVER))
  await settle()
  const [, call] = played.calls('generate')
  played.worker.onMessage({ type: 'events', calls: [call!], events: [START] })
  await played.crash()
  expect(await begun).toEqual(['response-start', 'replica_lost'])
  await played.clock.advance(100)
  await played.loaded()
  await played.crash()
  expect(await unlucky).toBe('replica_lost')
  expect(played.calls('generate')).toHaveLength(3)
})

test('an embedding whose worker dies is asked for again', async () => {
  const played = await new PlayedModel().loaded()
  const answer = played.model.embed({ requestId: 'e' } as EmbedRequest, NEVER)
  await settle()
  await played.crash()
  await played.clock.advance(100)
  await played.loaded()
  const result = { vectors: [], usage: { promptTokens: 1, cachedTokens: 0, cacheWriteTokens: 0, completionTokens: 0, reasoningTokens: 0 } }
  played.worker.onMessage({ type: 'embedded', call: played.calls('embed')[1]!, result })
  expect(await answer).toBe(result)
})

test('a request that meets a loading model waits for it, and is told to come back when that takes too long', async () => {
  const played = new PlayedModel()
  const impatient = typesOf(played.model.generate(REQUEST, NEVER)).catch((error: { code: string }) => error.code)
  await played.clock.advance(10_000)
  expect(await impatient).toBe('model_loading')
  const patient = played.model.whileLoading(NEVER)
  await played.loaded()
  await patient
  expect(played.model.state.kind).toBe('ready')
})

test('of very many requests that meet a loading model the last are told to come back at once', async () => {
  const played = new PlayedModel()
  const held = Array.from({ length: 1024 }, () => played.model.whileLoading(NEVER))
  await played.model.whileLoading(NEVER)
  await expect(typesOf(played.model.generate(REQUEST, NEVER))).rejects.toMatchObject({ code: 'model_loading' })
  await played.loaded()
  await Promise.all(held)
})

test('a caller that leaves while the model loads is let go with its own reason', async () => {
  const caller = new AbortController()
  const waiting = new PlayedModel().model.whileLoading(caller.signal)
  caller.abort(new RangeError('gone'))
  await expect(waiting).rejects.toThrow('gone')
})

test('a model that could not be loaded does not exist for its callers', async () => {
  const played = new PlayedModel()
  played.worker.onMessage({ type: 'load-failed', error: { code: 'invalid_model_file', message: 'secret path', param: null, retryAfterMs: null } })
  await expect(typesOf(played.model.generate(REQUEST, NEVER))).rejects.toMatchObject({
    code: 'model_not_found',
    message: expect.not.stringContaining('secret') as string,
  })
})

test('two models of one name are refused', () => {
  const { registry } = new PlayedModel()
  expect(() => registry.add('m', {} as never)).toThrow("two models have the name 'm'")
})
