import { expect, test } from 'vitest'
import { settle } from '#base/fake-clock'
import { InferdError } from '#contract/errors'
import { type EmbedResult, type GenerateEvent, type GenerateRequest, type ModelFacts, PLAIN_OUTPUT, type SamplingChange } from '#contract/generate'
import type { Engine, EngineOptions, EnginePlan } from '#engine/engine'
import type { LoadHooks } from '#engine/load-engine'
import type { CallId, FromWorker } from './messages.ts'
import { WorkerSession } from './worker-session.ts'

const FACTS = { architecture: 'llama' } as ModelFacts
const REQUEST = { requestId: 'r', input: { kind: 'text', text: 'x' }, output: PLAIN_OUTPUT } as GenerateRequest
const LONG_REQUEST = { requestId: 'l', input: { kind: 'text', text: 'x'.repeat(5000) }, output: PLAIN_OUTPUT } as GenerateRequest
const START: GenerateEvent = { type: 'response-start', promptTokens: 1, cachedTokens: 0 }
const END: GenerateEvent = {
  type: 'response-end',
  usage: { promptTokens: 1, cachedTokens: 0, cacheWriteTokens: 0, completionTokens: 0, reasoningTokens: 0 },
}

class FakeEngine implements Engine {
  readonly facts = FACTS
  readonly sinks: ((event: GenerateEvent) => void)[] = []
  numAborts = 0
  readonly changes: SamplingChange[] = []
  isClosed = false
  refusal: InferdError | null = null

  start(_request: GenerateRequest, sink: (event: GenerateEvent) => void) {
    if (this.refusal !== null) throw this.refusal
    this.sinks.push(sink)
    return { abort: () => void this.numAborts++, adjust: (change: SamplingChange) => void this.changes.push(change) }
  }

  embed(): Promise<EmbedResult> {
    return Promise.reject(new InferdError('overloaded', 'full'))
  }

  countTokens(): number {
    return 3
  }

  probe(): Promise<void> {
    return Promise.resolve()
  }

  stats() {
    return { numSteps: 3 } as ReturnType<Engine['stats']>
  }

  close(): Promise<void> {
    this.isClosed = true
    this.sinks.forEach((sink) => sink(END))
    return Promise.resolve()
  }
}

const PLAN = { memory: { weightsBytes: 1, kvCacheBytes: 2, activationBytes: 3 } } as EnginePlan

async function loadedSession() {
  const engine = new FakeEngine()
  const sent: FromWorker[] = []
  const deferred: (() => void)[] = []
  const hooks: LoadHooks[] = []
  const bugs: unknown[] = []
  let numClosed = 0
  const session = new WorkerSession({
    send: (message) => void sent.push(message),
    loadEngine: (_options, given) => {
      hooks.push(given)
      return Promise.resolve(engine)
    },
    planEngine: (options) => (options.modelPath === 'good' ? Promise.resolve(PLAN) : Promise.reject(new InferdError('invalid_model_file', 'bad'))),
    defer: (task) => void deferred.push(task),
    onClosed: () => void numClosed++,
    onBug: (error) => void bugs.push(error),
  })
  session.handle({ type: 'load', options: { maxWaitingRequests: 3 } as EngineOptions })
  await settle()
  const endStep = (): void => deferred.splice(0).forEach((task) => task())
  return { session, engine, sent, endStep, hooks: hooks[0]!, bugs, numClosed: () => numClosed }
}

const call = (number: number): CallId => number as CallId

test('the events of one step travel in one message, whichever calls they belong to', async () => {
  const { session, engine, sent, endStep } = await loadedSession()
  session.handle({ type: 'generate', call: call(1), request: REQUEST })
  session.handle({ type: 'generate', call: call(2), request: REQUEST })
  engine.sinks[0]!(START)
  engine.sinks[1]!(START)
  engine.sinks[0]!(END)
  endStep()
  expect(sent).toEqual([
    { type: 'ready', facts: FACTS },
    { type: 'events', calls: [1, 2, 1], events: [START, START, END] },
  ])
})

test('an abort reaches the engine once, and not after the end', async () => {
  const { session, engine } = await loadedSession()
  session.handle({ type: 'generate', call: call(1), request: REQUEST })
  session.handle({ type: 'generate', call: call(2), request: REQUEST })
  engine.sinks[1]!(END)
  for (const number of [1, 1, 2, 99]) session.handle({ type: 'abort', call: call(number) })
  expect(engine.numAborts).toBe(1)
})

test('what the engine refuses is answered to the call that asked', async () => {
  const { session, engine, sent } = await loadedSession()
  engine.refusal = new InferdError('context_length_exceeded', 'too long', { param: 'messages' })
  session.handle({ type: 'generate', call: call(1), request: REQUEST })
  session.handle({ type: 'embed', call: call(2), request: { requestId: 'e', inputs: [], priority: 0, cacheSalt: '' } })
  await settle()
  expect(sent.slice(1)).toEqual([
    { type: 'rejected', call: 1, error: { code: 'context_length_exceeded', message: 'too long', param: 'messages', retryAfterMs: null } },
    { type: 'rejected', call: 2, error: { code: 'overloaded', message: 'full', param: null, retryAfterMs: null } },
  ])
})

test('a probe is answered with the engine figures', async () => {
  const { session, sent } = await loadedSession()
  session.handle({ type: 'probe', call: call(7) })
  await settle()
  expect(sent.at(-1)).toEqual({ type: 'probed', call: 7, stats: { numSteps: 3 } })
})

test('closing delivers the last events before the process ends', async () => {
  const { session, engine, sent, numClosed } = await loadedSession()
  session.handle({ type: 'generate', call: call(1), request: REQUEST })
  session.handle({ type: 'close' })
  session.handle({ type: 'close' })
  await settle()
  expect([engine.isClosed, numClosed()]).toEqual([true, 1])
  expect(sent.at(-1)).toEqual({ type: 'events', calls: [1], events: [END] })
})

test('a bug is told to the operator in full and to the caller as internal; a rejection is not a bug', async () => {
  const { session, engine, sent, bugs } = await loadedSession()
  engine.refusal = new InferdError('overloaded', 'full')
  session.handle({ type: 'generate', call: call(1), request: REQUEST })
  const bug = new TypeError('x is not a function')
  engine.refusal = bug as unknown as InferdError
  session.handle({ type: 'generate', call: call(2), request: REQUEST })
  expect(bugs).toEqual([bug])
  expect(sent.at(-1)).toMatchObject({ type: 'rejected', call: 2, error: { code: 'internal', message: 'internal error' } })
})

test('closing while the model loads ends the load, and nothing is reported as failed', async () => {
  const sent: FromWorker[] = []
  let isClosed = false
  const session = new WorkerSession({
    send: (message) => void sent.push(message),
    planEngine: () => expect.unreachable(),
    loadEngine: (_options, { signal }) => new Promise((_, reject) => signal!.addEventListener('abort', () => reject(signal!.reason as Error))),
    defer: (task) => task(),
    onClosed: () => (isClosed = true),
    onBug: () => expect.unreachable('closing is no bug'),
  })
  session.handle({ type: 'load', options: {} as EngineOptions })
  session.handle({ type: 'close' })
  await settle()
  expect([isClosed, sent]).toEqual([true, []])
})

test('a model is planned without being loaded, and one that cannot be read says why', async () => {
  const { session, sent } = await loadedSession()
  sent.length = 0
  session.handle({ type: 'plan', options: { modelPath: 'good' } as EngineOptions, freeBytes: 9 })
  session.handle({ type: 'plan', options: { modelPath: 'bad' } as EngineOptions, freeBytes: 9 })
  await settle()
  expect(sent).toMatchObject([
    { type: 'planned', plan: PLAN },
    { type: 'load-failed', error: { code: 'invalid_model_file' } },
  ])
})

test('a broken step loop sends its last events first, then asks to be replaced', async () => {
  const { session, engine, sent, hooks } = await loadedSession()
  session.handle({ type: 'generate', call: call(1), request: REQUEST })
  engine.sinks[0]!(END)
  hooks.onBroken?.(new RangeError('step 4 failed'))
  expect(sent.slice(1)).toEqual([
    { type: 'events', calls: [1], events: [END] },
    { type: 'broken', reason: 'step 4 failed' },
  ])
})

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('tools count as a part of the prompt: a short question with large tools waits its turn', async () => {
  const { session, engine } = await loadedSession()
  const definitions = [{ name: 'f', description: 'x'.repeat(5000), parameters: null, strict: false }]
  const output = { ...PLAIN_OUTPUT, tools: { definitions, choice: 'auto', parallel: true } } as const
  session.handle({ type: 'generate', call: call(1), request: { ...REQUEST, output } })
  expect(engine.sinks).toHaveLength(0)
  session.handle({ type: 'generate', call: call(2), request: REQUEST })
  expect(engine.sinks).toHaveLength(1)
  await settle()
})

test('long prompts are encoded one per turn of the event loop, and short ones do not wait for them', async () => {
  const { session, engine } = await loadedSession()
  for (const number of [1, 2, 3]) session.handle({ type: 'generate', call: call(number), request: LONG_REQUEST })
  session.handle({ type: 'generate', call: call(4), request: REQUEST })
  expect(engine.sinks.length).toBe(1)
  for (const numStarted of [2, 3, 4, 4]) {
    await turn()
    expect(engine.sinks.length).toBe(numStarted)
  }
})

test('a queued call that is aborted never starts, and leaves its place; a full queue refuses', async () => {
  const { session, engine, sent } = await loadedSession()
  const start = (number: number) => session.handle({ type: 'generate', call: call(number), request: LONG_REQUEST })
  for (const number of [1, 2, 3, 4]) start(number)
  expect(sent.slice(1)).toMatchObject([{ type: 'rejected', call: 4, error: { code: 'overloaded' } }])
  for (const number of [1, 2, 3]) session.handle({ type: 'abort', call: call(number) })
  session.handle({ type: 'abort', call: call(2) })
  start(5)
  for (let count = 0; count < 5; count += 1) await turn()
  expect([engine.sinks.length, engine.numAborts, sent.length]).toEqual([1, 0, 2])
  session.handle({ type: 'abort', call: call(5) })
  expect(engine.numAborts).toBe(1)
})

test('calls that come after aborted ones still take one turn each', async () => {
  const { session, engine } = await loadedSession()
  session.handle({ type: 'generate', call: call(1), request: LONG_REQUEST })
  session.handle({ type: 'abort', call: call(1) })
  for (const number of [2, 3]) session.handle({ type: 'generate', call: call(number), request: LONG_REQUEST })
  await turn()
  expect(engine.sinks.length).toBe(1)
})

test('a queued embedding is aborted too, and what is refused in its turn is told', async () => {
  const { session, engine, sent } = await loadedSession()
  const request = { requestId: 'e', inputs: [LONG_REQUEST.input], priority: 0, cacheSalt: '' }
  session.handle({ type: 'embed', call: call(1), request })
  session.handle({ type: 'embed', call: call(2), request })
  session.handle({ type: 'abort', call: call(1) })
  engine.refusal = new InferdError('context_length_exceeded', 'too long')
  session.handle({ type: 'generate', call: call(3), request: LONG_REQUEST })
  for (let count = 0; count < 4; count += 1) await turn()
  const rejected = sent.filter((message) => message.type === 'rejected').map((message) => [message.call, message.error.code])
  expect(rejected).toEqual([
    [2, 'overloaded'],
    [3, 'context_length_exceeded'],
  ])
})

test('closing answers the calls that still wait for their turn', async () => {
  const { session, engine, sent, numClosed } = await loadedSession()
  session.handle({ type: 'generate', call: call(1), request: LONG_REQUEST })
  session.handle({ type: 'close' })
  await settle()
  await turn()
  expect(sent.slice(1)).toMatchObject([{ type: 'rejected', call: 1, error: { code: 'shutting_down' } }])
  expect([engine.sinks.length, numClosed()]).toEqual([0, 1])
})
