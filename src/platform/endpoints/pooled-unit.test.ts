import { expect, test } from 'vitest'
import { FakeClock, settle } from '#base/fake-clock'
import { InferdError } from '#contract/errors'
import type { GenerateEvent, GenerateRequest, ModelFacts } from '#contract/generate'
import type { EngineOptions, EnginePlan } from '#engine/engine'
import { ModelRegistry } from '#platform/registry/model-registry'
import type { CallId, ToWorker } from '#platform/replicas/messages'
import type { WorkerListeners } from '#platform/replicas/worker-process'
import { DEFAULT_LIFECYCLE_OPTIONS } from './lifecycle.ts'
import { ModelPool } from './model-pool.ts'
import type { Artifact, PooledUnit } from './pooled-unit.ts'
import { PooledUnits } from './pooled-units.ts'

const MIB = 2 ** 20
/** With what a process takes. */
const REPLICA_MIB = 100
const FACTS = { architecture: 'llama', contextLength: 64, vocabSize: 0 } as ModelFacts
const PLAN: EnginePlan = { facts: FACTS, memory: { weightsBytes: 2 * MIB, kvCacheBytes: MIB, activationBytes: MIB } }
const REQUEST = { requestId: 'r', numChoices: 1, cacheSalt: '', input: { kind: 'text', text: 'Hello' } } as unknown as GenerateRequest
const END: GenerateEvent = {
  type: 'response-end',
  usage: { promptTokens: 3, cachedTokens: 0, cacheWriteTokens: 0, completionTokens: 8, reasoningTokens: 0 },
}
const NEVER = new AbortController().signal

interface PlayedWorker {
  readonly listeners: WorkerListeners
  readonly calls: CallId[]
  isGone: boolean
}

/** Workers that are ready at once and answer when told to. */
class PlayedMachine {
  readonly clock = new FakeClock()
  readonly workers: PlayedWorker[] = []
  readonly registry = new ModelRegistry()
  readonly units: PooledUnits
  readonly pool: ModelPool
  plan: EnginePlan | InferdError = PLAN
  surveyMs = 0
  /** Names of which the observer was told. */
  readonly told = new Set<string>()
  /** New workers get ready when they are told to. */
  isSlow = false

  constructor(budgetMib = 1000, availableMib = 0) {
    const silent = (): void => {}
    this.pool = new ModelPool({
      options: { ...DEFAULT_LIFECYCLE_OPTIONS, budgetBytes: budgetMib * MIB },
      clock: this.clock,
      askPlan: async () => {
        if (this.surveyMs > 0) await this.clock.sleep(this.surveyMs)
        if (this.plan instanceof InferdError) throw this.plan
        return this.plan
      },
      observer: { onCall: (model) => this.told.add(model), onStop: (model) => this.told.add(model), onProblem: silent, onColdStart: silent },
    })
    this.units = new PooledUnits({ pool: this.pool, registry: this.registry, availableBytes: () => availableMib * MIB, clock: this.clock })
  }

  async add(unit: string, replicas: number): Promise<PooledUnit> {
    const replicasOf: Artifact['replicasOf'] = (_name, engine) => [{ engine, clock: this.clock, spawn: (listeners) => this.spawn(listeners) }]
    const artifact = { base: 'base', engine: { modelPath: 'm', kvCacheBytes: null } as EngineOptions, replicasOf }
    const terms = { unit, source: { kind: 'served', model: 'base' }, kvCacheMib: null, replicas, serverless: null } as const
    const added = await this.units.add(terms, artifact, NEVER)
    await settle()
    return added
  }

  get alive(): readonly PlayedWorker[] {
    return this.workers.filter(({ isGone }) => !isGone)
  }

  answer(): void {
    for (const { listeners, calls, isGone } of this.workers)
      for (const call of isGone ? [] : calls.splice(0)) listeners.onMessage({ type: 'events', calls: [call], events: [END] })
  }

  private spawn(listeners: WorkerListeners) {
    const worker: PlayedWorker = { listeners, calls: [], isGone: false }
    this.workers.push(worker)
    const end = (why: string): void => {
      worker.isGone = true
      listeners.onExit(why)
    }
    const send = (message: ToWorker): void => {
      if (message.type === 'load' && !this.isSlow) queueMicrotask(() => listeners.onMessage({ type: 'ready', facts: FACTS }))
      if (message.type === 'generate') worker.calls.push(message.call)
      if (message.type === 'close') end('exit code 0')
    }
    return { pid: this.workers.length, send, kill: () => end('signal SIGKILL') }
  }
}

async function outcomeOf(events: AsyncIterable<GenerateEvent>): Promise<string> {
  let last = ''
  try {
    for await (const event of events) last = event.type
    return last
  } catch (error) {
    return (error as InferdError).code
  }
}

function call({ served }: PooledUnit): Promise<string> {
  return outcomeOf(served.generate(REQUEST, NEVER))
}

test('a unit starts its replicas, is reached by its name and listed to nobody, and is billed as its base', async () => {
  const machine = new PlayedMachine()
  const unit = await machine.add('e/v@1', 3)
  expect([unit.readyReplicas, unit.wantedReplicas, unit.isUp, machine.alive.length]).toEqual([3, 3, true, 3])
  expect(machine.pool.figures.usedBytes).toBe(3 * REPLICA_MIB * MIB)
  expect([machine.registry.find('e/v@1') !== null, machine.registry.isHidden('e/v@1'), machine.registry.list()]).toEqual([true, true, []])
  expect([machine.registry.maxRunningOf('e/v@1', 4), machine.units.baseOf('e/v@1'), machine.units.baseOf('other')]).toEqual([12, 'base', 'other'])
})

test('scale-in takes no new calls on what goes and lets what runs end; the memory comes back after', async () => {
  const machine = new PlayedMachine()
  const unit = await machine.add('e/v@1', 2)
  const running = Array.from({ length: 20 }, () => call(unit))
  await settle()
  unit.scaleTo(1)
  await settle()
  const busy = machine.workers.filter(({ calls }) => calls.length > 0).length
  expect(machine.alive.length).toBeGreaterThanOrEqual(busy)
  const later = Array.from({ length: 5 }, () => call(unit))
  await settle()
  machine.answer()
  expect(new Set(await Promise.all([...running, ...later]))).toEqual(new Set(['response-end']))
  await machine.clock.advance(500)
  expect([machine.alive.length, unit.readyReplicas, machine.pool.figures.usedBytes]).toEqual([1, 1, REPLICA_MIB * MIB])
})

test('what there is no room for is refused with need and have, and changes nothing', async () => {
  const machine = new PlayedMachine(350)
  const unit = await machine.add('e/v@1', 2)
  expect(() => unit.scaleTo(4)).toThrow(`2 more replicas of 'e/v@1' need ${2 * REPLICA_MIB * MIB} bytes; there are ${150 * MIB}`)
  expect([unit.wantedReplicas, machine.alive.length]).toEqual([2, 2])
  await expect(machine.add('e/v@2', 2)).rejects.toMatchObject({ code: 'insufficient_memory' })
  await machine.clock.advance(500)
  expect([machine.registry.find('e/v@2'), machine.alive.length, machine.pool.figures.numByPhase.cold]).toEqual([null, 2, 0])
  unit.scaleTo(3)
  await settle()
  expect(unit.readyReplicas).toBe(3)
})

test('files that are refused leave nothing behind, and their name is free', async () => {
  const machine = new PlayedMachine()
  machine.plan = new InferdError('invalid_model_file', 'byte 4 is wrong')
  await expect(machine.add('e/v@1', 1)).rejects.toMatchObject({ code: 'invalid_model_file' })
  machine.plan = PLAN
  expect((await machine.add('e/v@1', 1)).isUp).toBe(true)
})

test('calls go to the other replica when a process dies, also those that it had and had not begun to answer', async () => {
  const machine = new PlayedMachine()
  const unit = await machine.add('e/v@1', 2)
  const answers = Array.from({ length: 6 }, () => call(unit))
  await settle()
  const dying = machine.workers.find(({ calls }) => calls.length > 0)!
  dying.isGone = true
  dying.listeners.onExit('signal SIGSEGV')
  await settle()
  const later = call(unit)
  await settle()
  machine.answer()
  expect(new Set(await Promise.all([...answers, later]))).toEqual(new Set(['response-end']))
})

test('a unit that is retired ends with what runs, and is forgotten', async () => {
  const machine = new PlayedMachine()
  const unit = await machine.add('e/v@1', 2)
  const answer = call(unit)
  await settle()
  let isGone = false
  const retired = machine.units.retire('e/v@1').then(() => (isGone = true))
  await machine.clock.advance(500)
  expect([isGone, machine.alive.length]).toEqual([false, 1])
  machine.answer()
  expect(await answer).toBe('response-end')
  await retired
  expect([machine.alive.length, machine.registry.find('e/v@1'), machine.units.find('e/v@1'), machine.pool.figures.usedBytes]).toEqual([
    0,
    null,
    null,
    0,
  ])
  expect(machine.told).toEqual(new Set(['e/v@1']))
})

test('what is asked of it is counted over all replicas', async () => {
  const machine = new PlayedMachine()
  const unit = await machine.add('e/v@1', 2)
  const answers = Array.from({ length: 4 }, () => call(unit))
  await settle()
  const measure = async (): Promise<object> => {
    const late = new AbortController()
    const load = unit.measure(late.signal)
    late.abort()
    return load
  }
  expect(await measure()).toMatchObject({ concurrency: 4, invocations: 4, tokens: 0 })
  machine.answer()
  await Promise.all(answers)
  expect(await measure()).toMatchObject({ concurrency: 0, invocations: 4, tokens: 3.2 })
  await machine.clock.advance(61_000)
  expect(await measure()).toMatchObject({ concurrency: 0, invocations: 0, tokens: 0 })
})

test('a replica that is wanted and not wanted again at once never starts', async () => {
  const machine = new PlayedMachine()
  const unit = await machine.add('e/v@1', 1)
  machine.surveyMs = 200
  unit.scaleTo(4)
  unit.scaleTo(1)
  await machine.clock.advance(1000)
  expect([unit.wantedReplicas, unit.readyReplicas, machine.alive.length, machine.pool.figures.usedBytes]).toEqual([1, 1, 1, REPLICA_MIB * MIB])
})

test('a call that is held when its unit is let go of is answered, and only then the unit is gone', async () => {
  const machine = new PlayedMachine()
  machine.isSlow = true
  const unit = await machine.add('e/v@1', 3)
  const answer = call(unit)
  await settle()
  let isGone = false
  const retired = machine.units.retire('e/v@1').then(() => (isGone = true))
  await machine.clock.advance(500)
  expect([isGone, machine.alive.length, machine.pool.figures.usedBytes]).toEqual([false, 1, REPLICA_MIB * MIB])
  machine.alive[0]!.listeners.onMessage({ type: 'ready', facts: FACTS })
  await settle()
  machine.answer()
  expect(await answer).toBe('response-end')
  await retired
  expect([machine.alive.length, machine.pool.figures.usedBytes]).toEqual([0, 0])
})

test('a unit that is let go of does not grow any more', async () => {
  const machine = new PlayedMachine()
  const unit = await machine.add('e/v@1', 1)
  const answer = call(unit)
  await settle()
  const retired = machine.units.retire('e/v@1')
  unit.scaleTo(3)
  await settle()
  expect(machine.workers.length).toBe(1)
  machine.answer()
  await Promise.all([answer, retired])
})

test('the replica that goes first is one that is not up', async () => {
  const machine = new PlayedMachine()
  machine.isSlow = true
  const unit = await machine.add('e/v@1', 2)
  const [older, younger] = machine.workers
  younger!.listeners.onMessage({ type: 'ready', facts: FACTS })
  await settle()
  unit.scaleTo(1)
  await machine.clock.advance(500)
  expect([older!.isGone, younger!.isGone, unit.readyReplicas]).toEqual([true, false, 1])
})

test('without a budget there is as much room as the machine has left beside what it was promised already', async () => {
  const machine = new PlayedMachine(Infinity, 5 * REPLICA_MIB)
  machine.isSlow = true
  await machine.add('e/v@1', 3)
  await expect(machine.add('e/w@1', 3)).rejects.toThrow(`need ${3 * REPLICA_MIB * MIB} bytes; there are ${2 * REPLICA_MIB * MIB}`)
  await machine.add('e/w@2', 2)
  for (const { listeners } of machine.alive) listeners.onMessage({ type: 'ready', facts: FACTS })
  await settle()
  // They have their memory now: what the machine has left is told without them.
  const more = await machine.add('e/x@1', 5)
  expect(more.wantedReplicas).toBe(5)
})

test('of units that are asked for at one time each is refused what was promised to those before it', async () => {
  const machine = new PlayedMachine(Infinity, 5 * REPLICA_MIB)
  machine.isSlow = true
  machine.surveyMs = 100
  const added = Promise.allSettled([3, 2, 1].map((replicas) => machine.add(`e/v${replicas}@1`, replicas)))
  await machine.clock.advance(1000)
  await settle()
  expect((await added).map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected'])
  expect(machine.pool.promisedBytes).toBe(5 * REPLICA_MIB * MIB)
})

test('a unit of no replicas sleeps until it is called, and can grow again', async () => {
  const machine = new PlayedMachine()
  const unit = await machine.add('e/v@1', 2)
  unit.scaleTo(0)
  await machine.clock.advance(11_000)
  await settle()
  expect([unit.wantedReplicas, unit.isUp, machine.alive.length, machine.pool.figures.usedBytes]).toEqual([0, true, 0, 0])
  const answer = call(unit)
  await settle()
  expect([unit.wantedReplicas, unit.readyReplicas, machine.alive.length]).toEqual([0, 1, 1])
  machine.answer()
  expect(await answer).toBe('response-end')
  unit.scaleTo(2)
  await settle()
  expect([unit.wantedReplicas, unit.readyReplicas, machine.alive.length]).toEqual([2, 2, 2])
  await machine.clock.advance(30_000)
  expect(machine.alive.length).toBe(2)
})

test('a unit that begins with no replicas starts none', async () => {
  const machine = new PlayedMachine()
  const unit = await machine.add('e/v@1', 0)
  expect([unit.wantedReplicas, unit.isUp, machine.workers.length]).toEqual([0, true, 0])
  unit.scaleTo(1)
  await settle()
  expect([unit.readyReplicas, machine.alive.length]).toEqual([1, 1])
})
