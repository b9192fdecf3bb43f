import { expect, test } from 'vitest'
import { FakeClock, settle } from '#base/fake-clock'
import type { InferdError } from '#contract/errors'
import type { GenerateEvent, GenerateRequest, ModelFacts } from '#contract/generate'
import type { EngineOptions } from '#engine/engine'
import type { CallId, ToWorker } from './messages.ts'
import { Replica, type ReplicaState } from './replica.ts'
import type { WorkerListeners } from './worker-process.ts'

const FACTS: ModelFacts = {
  architecture: 'llama',
  parameters: 1,
  weightsBytes: 1,
  quantization: 'q8_0',
  contextLength: 64,
  vocabSize: 8,
  hiddenSize: 4,
  hasChatTemplate: true,
  chatTemplateProblem: null,
}
const ENGINE = { modelPath: 'none' } as EngineOptions
const REQUEST = { requestId: 'r', numChoices: 1 } as GenerateRequest
const START: GenerateEvent = { type: 'response-start', promptTokens: 3, cachedTokens: 0 }
const DELTA: GenerateEvent = { type: 'text-delta', choice: 0, text: 'a', logprobs: null }
const END: GenerateEvent = {
  type: 'response-end',
  usage: { promptTokens: 3, cachedTokens: 0, cacheWriteTokens: 0, completionTokens: 1, reasoningTokens: 0 },
}

class FakeWorkers {
  readonly sent: ToWorker[][] = []
  readonly listeners: WorkerListeners[] = []
  numKills = 0
  killsAtOnce = true

  readonly spawn = (listeners: WorkerListeners) => {
    const messages: ToWorker[] = []
    this.sent.push(messages)
    this.listeners.push(listeners)
    return {
      pid: this.sent.length,
      send: (message: ToWorker) => void messages.push(message),
      kill: () => {
        this.numKills++
        if (this.killsAtOnce) listeners.onExit('signal SIGKILL')
      },
    }
  }

  get last(): WorkerListeners {
    return this.listeners.at(-1)!
  }

  lastCall(): CallId {
    const message = this.sent.at(-1)!.at(-1)!
    if (!('call' in message)) expect.unreachable(`the last message is ${message.type}`)
    return message.call
  }

  emit(call: CallId, ...events: GenerateEvent[]): void {
    this.last.onMessage({ type: 'events', calls: events.map(() => call), events })
  }
}

function startReplica(): { workers: FakeWorkers; clock: FakeClock; replica: Replica; states: ReplicaState['kind'][] } {
  const workers = new FakeWorkers()
  const clock = new FakeClock()
  const states: ReplicaState['kind'][] = []
  const replica = new Replica({ engine: ENGINE, spawn: workers.spawn, clock, onStateChange: (state) => states.push(state.kind) })
  replica.start()
  return { workers, clock, replica, states }
}

function openStream(replica: Replica, workers: FakeWorkers, signal = new AbortController().signal) {
  const events = replica.generate(REQUEST, signal)
  return { events, call: workers.lastCall() }
}

async function collect(events: AsyncIterable<GenerateEvent>): Promise<GenerateEvent['type'][]> {
  const types: GenerateEvent['type'][] = []
  for await (const event of events) types.push(event.type)
  return types
}

test('a stream yields its own events and ends with the terminal one', async () => {
  const { workers, replica } = startReplica()
  workers.last.onMessage({ type: 'ready', facts: FACTS })
  const { events, call } = openStream(replica, workers)
  workers.emit(call, START, DELTA, END)
  expect(await collect(events)).toEqual(['response-start', 'text-delta', 'response-end'])
  expect(replica.numCalls).toBe(1) // the watch's probe
})

test('a worker that dies ends begun streams with an error event, throws for the others, and is started again', async () => {
  const { workers, clock, replica, states } = startReplica()
  workers.last.onMessage({ type: 'ready', facts: FACTS })
  const begun = openStream(replica, workers)
  workers.emit(begun.call, START)
  const waiting = openStream(replica, workers)
  workers.last.onExit('signal SIGSEGV')
  expect(await collect(begun.events)).toEqual(['response-start', 'response-error'])
  await expect(collect(waiting.events)).rejects.toMatchObject({ code: 'replica_lost' })
  expect(replica.state.kind).toBe('waiting')
  await clock.advance(100)
  expect(workers.sent.length).toBe(2)
  workers.last.onMessage({ type: 'ready', facts: FACTS })
  expect(states).toEqual(['starting', 'ready', 'waiting', 'starting', 'ready'])
  expect(replica.numCalls).toBe(1)
})

test('a worker that crashes at every start is given up after a bounded number of tries', async () => {
  const { workers, clock, replica } = startReplica()
  for (let crash = 0; crash < 20 && replica.state.kind !== 'failed'; crash++) {
    workers.last.onExit('exit code 1')
    await clock.advance(60_000)
  }
  expect(workers.sent.length).toBe(9)
  expect(replica.state).toMatchObject({ kind: 'failed', error: { code: 'replica_lost' } })
})

test('a model that has served is started again for ever: no caller can take it down for good', async () => {
  const { workers, clock, replica } = startReplica()
  for (let crash = 0; crash < 30; crash++) {
    workers.last.onMessage({ type: 'ready', facts: FACTS })
    workers.last.onExit('signal SIGSEGV')
    await clock.advance(30_000)
  }
  expect(replica.state.kind).toBe('starting')
  expect(workers.sent.length).toBe(31)
})

test('a broken worker gets no call any more, even before it is gone', async () => {
  const { workers, clock, replica } = startReplica()
  workers.last.onMessage({ type: 'ready', facts: FACTS })
  workers.killsAtOnce = false
  workers.last.onMessage({ type: 'broken', reason: 'step 4 failed' })
  expect(replica.state).toEqual({ kind: 'ending', reason: 'step 4 failed' })
  expect(() => replica.generate(REQUEST, new AbortController().signal)).toThrow('not running')
  expect(replica.numCalls).toBe(1) // the watch's probe
  workers.last.onExit('signal SIGKILL')
  expect(replica.state).toMatchObject({ kind: 'waiting', reason: 'step 4 failed' })
  await clock.advance(100)
  expect(replica.state.kind).toBe('starting')
})

test('a model that cannot be loaded is not tried again', async () => {
  const { workers, clock, replica, states } = startReplica()
  workers.last.onMessage({ type: 'load-failed', error: { code: 'invalid_model_file', message: 'bad magic', param: null, retryAfterMs: null } })
  await clock.advance(600_000)
  expect(workers.sent.length).toBe(1)
  await expect(replica.whenReady(new AbortController().signal)).rejects.toThrow('bad magic')
  expect(states).toEqual(['starting', 'failed'])
})

test('a step loop that stops answering is killed and replaced', async () => {
  const { workers, clock } = startReplica()
  workers.last.onMessage({ type: 'ready', facts: FACTS })
  await clock.advance(59_000)
  expect(workers.numKills).toBe(0)
  await clock.advance(2_000)
  expect(workers.numKills).toBe(1)
  await clock.advance(1_000)
  expect(workers.sent.length).toBe(2)
})

test('a step loop that answers its probes lives on', async () => {
  const { workers, clock } = startReplica()
  workers.last.onMessage({ type: 'ready', facts: FACTS })
  for (let round = 0; round < 50; round++) {
    const last = workers.sent.at(-1)!.at(-1)!
    if (last.type === 'probe') workers.last.onMessage({ type: 'probed', call: last.call, stats: {} as never })
    await settle()
    await clock.advance(5_000)
  }
  expect(workers.numKills).toBe(0)
})

test('aborting a stream tells the worker, throws the reason and forgets the call', async () => {
  const { workers, replica } = startReplica()
  workers.last.onMessage({ type: 'ready', facts: FACTS })
  const controller = new AbortController()
  const { events, call } = openStream(replica, workers, controller.signal)
  workers.emit(call, START, DELTA)
  controller.abort(new RangeError('gone'))
  expect(workers.sent.at(-1)!.at(-1)).toEqual({ type: 'abort', call })
  await expect(collect(events)).rejects.toThrow('gone')
  workers.emit(call, DELTA, END)
  expect(replica.numCalls).toBe(1)
})

test('leaving the loop early aborts in the worker', async () => {
  const { workers, replica } = startReplica()
  workers.last.onMessage({ type: 'ready', facts: FACTS })
  const { events, call } = openStream(replica, workers)
  workers.emit(call, START, DELTA)
  for await (const event of events) {
    expect(event).toBe(START)
    break
  }
  expect(workers.sent.at(-1)!.at(-1)).toEqual({ type: 'abort', call })
})

test('stopping ends calls with shutting_down and resolves when the process is gone', async () => {
  const { workers, clock, replica } = startReplica()
  workers.last.onMessage({ type: 'ready', facts: FACTS })
  const { events } = openStream(replica, workers)
  const failure = collect(events).catch((error: InferdError) => error.code)
  const stopped = replica.stop()
  expect(workers.sent.at(-1)!.at(-1)).toEqual({ type: 'close' })
  await clock.advance(5_000)
  await stopped
  expect(await failure).toBe('shutting_down')
  expect([replica.state.kind, workers.numKills]).toEqual(['stopped', 1])
})
