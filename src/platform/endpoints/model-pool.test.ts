import { expect, test } from 'vitest'
import { FakeClock, settle } from '#base/fake-clock'
import { InferdError, toErrorRecord } from '#contract/errors'
import type { EmbedRequest, GenerateEvent, GenerateRequest, ModelFacts } from '#contract/generate'
import type { EngineOptions, EnginePlan } from '#engine/engine'
import type { CallId, ToWorker } from '#platform/replicas/messages'
import type { WorkerListeners } from '#platform/replicas/worker-process'
import { DEFAULT_LIFECYCLE_OPTIONS, type LifecycleOptions } from './lifecycle.ts'
import { ModelPool } from './model-pool.ts'
import type { PooledModel } from './pooled-model.ts'

const MIB = 2 ** 20
const FACTS = { architecture: 'llama', contextLength: 64, vocabSize: 0 } as ModelFacts
const PLAN: EnginePlan = { facts: FACTS, memory: { weightsBytes: 2 * MIB, kvCacheBytes: MIB, activationBytes: MIB } }
const REQUEST = { requestId: 'r', numChoices: 1 } as GenerateRequest
const USAGE = { promptTokens: 3, cachedTokens: 0, cacheWriteTokens: 0, completionTokens: 1, reasoningTokens: 0 }
const START: GenerateEvent = { type: 'response-start', promptTokens: 3, cachedTokens: 0 }
const DELTA: GenerateEvent = { type: 'text-delta', choice: 0, text: 'a', logprobs: null }
const END: GenerateEvent = { type: 'response-end', usage: USAGE }
const NEVER = new AbortController().signal
const IDLE_MS = 10_000

/** A worker that the test plays; it ends when it is told to. */
interface PlayedWorker {
  readonly listeners: WorkerListeners
  readonly sent: ToWorker[]
}

class PlayedPool {
  readonly clock = new FakeClock()
  readonly workers: PlayedWorker[] = []
  readonly told: string[] = []
  plan: EnginePlan | InferdError = PLAN
  readonly pool: ModelPool

  constructor(options: Partial<LifecycleOptions> = {}) {
    const tell = (words: string): void => void this.told.push(words)
    this.pool = new ModelPool({
      options: { ...DEFAULT_LIFECYCLE_OPTIONS, ...options },
      clock: this.clock,
      askPlan: async () => {
        if (this.plan instanceof InferdError) throw this.plan
        return this.plan
      },
      observer: {
        onCall: (model, found) => tell(`${model} ${found}`),
        onStop: (model, reason) => tell(`${model} ends: ${reason}`),
        onProblem: (model, { code }) => tell(`${model} ${code}`),
        onColdStart: (model, phase) => tell(`${model} ${phase}`),
      },
    })
  }

  add(name: string, wanted: 'awake' | 'on-demand' = 'on-demand'): PooledModel {
    const replicasOf = (engine: EngineOptions) => [{ engine, clock: this.clock, spawn: (listeners: WorkerListeners) => this.spawn(listeners) }]
    const engine = { modelPath: name, kvCacheBytes: null } as EngineOptions
    return this.pool.add({ name, engine, numReplicas: 1, wanted, isPinned: false, idleTimeoutMs: IDLE_MS, isSurveyedAtStart: true, replicasOf })
  }

  async started(): Promise<this> {
    this.pool.start()
    await settle()
    return this
  }

  get last(): PlayedWorker {
    return this.workers.at(-1)!
  }

  async ready(): Promise<void> {
    this.last.listeners.onMessage({ type: 'progress', loadedBytes: 0, totalBytes: 0 })
    this.last.listeners.onMessage({ type: 'ready', facts: FACTS })
    await settle()
  }

  /** Every call that the last worker has. */
  async answerAll(...events: readonly GenerateEvent[]): Promise<void> {
    const calls = this.last.sent.splice(0).flatMap((message) => (message.type === 'generate' ? [message.call] : []))
    for (const call of calls) this.emit(call, ...events)
    await settle()
  }

  emit(call: CallId, ...events: readonly GenerateEvent[]): void {
    this.last.listeners.onMessage({ type: 'events', calls: events.map(() => call), events })
  }

  private spawn(listeners: WorkerListeners) {
    const sent: ToWorker[] = []
    this.workers.push({ listeners, sent })
    const send = (message: ToWorker): void => {
      sent.push(message)
      if (message.type === 'close') listeners.onExit('exit code 0')
    }
    return { pid: this.workers.length, send, kill: () => listeners.onExit('signal SIGKILL') }
  }
}

async function outcomeOf(events: AsyncIterable<GenerateEvent>): Promise<string> {
  let last = ''
  try {
    for await (const event of events) last = event.type
    return last
  } catch (error) {
    const { code, retryAfterMs } = error as InferdError
    return `${code} ${retryAfterMs}`
  }
}

test('a herd that meets a sleeping model has one start, and all of it is answered', async () => {
  const played = new PlayedPool()
  const model = played.add('m')
  await played.started()
  expect([model.state, played.workers.length]).toEqual([{ kind: 'asleep', facts: FACTS, waking: null, problem: null }, 0])
  const answers = Array.from({ length: 1000 }, () => outcomeOf(model.generate(REQUEST, NEVER)))
  await settle()
  expect([played.workers.length, model.state.kind, played.pool.figures.numHeld]).toEqual([1, 'asleep', 1000])
  expect(played.last.sent[0]).toMatchObject({ type: 'load', options: { kvCacheBytes: MIB } })
  await played.ready()
  await played.answerAll(START, DELTA, END)
  expect(new Set(await Promise.all(answers))).toEqual(new Set(['response-end']))
  expect([played.workers.length, model.state.kind]).toEqual([1, 'ready'])
  expect(played.told.filter((words) => !words.endsWith('miss'))).toEqual(['m wait', 'm spawn', 'm load', 'm first_token', 'm total'])
})

test('an idle model sleeps after its time and gives its memory back; a stream that runs keeps it up', async () => {
  const played = new PlayedPool()
  const model = played.add('m')
  await played.started()
  const answer = outcomeOf(model.generate(REQUEST, NEVER))
  await settle()
  await played.ready()
  const used = played.pool.figures.usedBytes
  await played.clock.advance(3 * IDLE_MS)
  expect([model.state.kind, used]).toEqual(['ready', 100 * MIB])
  await played.answerAll(START, END)
  expect(await answer).toBe('response-end')
  await played.clock.advance(IDLE_MS + 200)
  expect([model.state.kind, played.pool.figures.usedBytes, played.told.at(-1)]).toEqual(['asleep', 0, 'm ends: idle'])
})

test('a start that fails fails who is held with its reason; the next ones are refused until it has rested', async () => {
  const played = new PlayedPool()
  const model = played.add('m')
  await played.started()
  const held = [outcomeOf(model.generate(REQUEST, NEVER)), outcomeOf(model.generate(REQUEST, NEVER))]
  await settle()
  const error = toErrorRecord(new InferdError('invalid_model_file', 'damaged'))
  played.last.listeners.onMessage({ type: 'load-failed', error })
  await settle()
  expect(await Promise.all(held)).toEqual(['invalid_model_file 1000', 'invalid_model_file 1000'])
  expect(model.state).toMatchObject({ kind: 'asleep', problem: error })
  await played.clock.advance(400)
  expect([await outcomeOf(model.generate(REQUEST, NEVER)), played.workers.length]).toEqual(['invalid_model_file 600', 1])
  await played.clock.advance(700)
  const answer = outcomeOf(model.generate(REQUEST, NEVER))
  await settle()
  await played.ready()
  await played.answerAll(START, END)
  expect([await answer, played.workers.length, model.state.kind]).toEqual(['response-end', 2, 'ready'])
})

test('a worker that dies while its model wakes is replaced; one that never gets up is given up after four', async () => {
  const played = new PlayedPool()
  const model = played.add('m')
  await played.started()
  const answer = outcomeOf(model.generate(REQUEST, NEVER))
  await settle()
  played.last.listeners.onExit('signal SIGKILL')
  await played.clock.advance(100)
  await played.ready()
  await played.answerAll(START, END)
  expect([await answer, played.workers.length]).toEqual(['response-end', 2])
  await played.clock.advance(IDLE_MS + 200)
  const hopeless = outcomeOf(model.generate(REQUEST, NEVER))
  await settle()
  for (let crash = 0; crash < 4; crash++) {
    played.last.listeners.onExit('signal SIGKILL')
    await played.clock.advance(1000)
  }
  expect([await hopeless, played.workers.length, played.told.includes('m replica_lost')]).toEqual(['replica_lost 1000', 6, true])
})

test('a caller that gives up while it is held gets its own reason and leaves the others alone', async () => {
  const played = new PlayedPool()
  const model = played.add('m')
  await played.started()
  const leaving = new AbortController()
  const left = outcomeOf(model.generate(REQUEST, leaving.signal))
  const stays = model.embed({ inputs: [] } as unknown as EmbedRequest, NEVER)
  await settle()
  leaving.abort(new InferdError('cancelled', 'left'))
  await played.ready()
  const [embed] = played.last.sent.flatMap((message) => (message.type === 'embed' ? [message.call] : []))
  played.last.listeners.onMessage({ type: 'embedded', call: embed!, result: { vectors: [] } as never })
  expect([await left, await stays]).toEqual(['cancelled null', { vectors: [] }])
  await played.clock.advance(IDLE_MS + 200)
  expect(model.state.kind).toBe('asleep')
})

test('no more than so many calls are held, and none for longer than so long', async () => {
  const played = new PlayedPool({ maxHeldCalls: 2, holdMs: 5_000 })
  const model = played.add('m')
  await played.started()
  const held = [1, 2, 3].map(() => outcomeOf(model.generate(REQUEST, NEVER)))
  expect(await held[2]).toBe('overloaded 1000')
  await played.clock.advance(5_200)
  expect(await Promise.all(held.slice(0, 2))).toEqual(['model_loading 1000', 'model_loading 1000'])
})

test('files that cannot be read fail their callers, and are read again later', async () => {
  const played = new PlayedPool()
  const model = played.add('m')
  played.plan = new InferdError('invalid_model_file', 'damaged')
  await played.started()
  expect([model.state.kind, await outcomeOf(model.generate(REQUEST, NEVER))]).toEqual(['failed', 'invalid_model_file null'])
  played.plan = PLAN
  await played.clock.advance(6_000)
  await model.whileLoading(NEVER)
  expect([model.state.kind, played.workers.length]).toEqual(['asleep', 0])
})

test('a model that is always on starts under the same memory, and is waited for at the door', async () => {
  const played = new PlayedPool({ budgetBytes: 150 * MIB })
  const [always, other] = [played.add('always', 'awake'), played.add('other')]
  await played.started()
  expect([always.state.kind, played.workers.length]).toEqual(['loading', 1])
  const waiting = always.whileLoading(NEVER)
  await played.ready()
  await waiting
  expect(always.state.kind).toBe('ready')
  await played.clock.advance(2 * IDLE_MS)
  expect(always.state.kind).toBe('ready')
  expect(await outcomeOf(other.generate(REQUEST, NEVER))).toBe('insufficient_memory 5000')
})

test('the end of the server refuses who is held and ends the workers', async () => {
  const played = new PlayedPool()
  const model = played.add('m')
  await played.started()
  const held = outcomeOf(model.generate(REQUEST, NEVER))
  await settle()
  const stopping = played.pool.stop()
  expect(await held).toBe('shutting_down null')
  await stopping
  expect([await outcomeOf(model.generate(REQUEST, NEVER)), played.clock.numSleepers]).toEqual(['shutting_down null', 0])
})
