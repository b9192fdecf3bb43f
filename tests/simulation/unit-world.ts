/**
 * Endpoints whose units come, grow, shrink, are replaced and go, under callers, on one memory, with workers that fail to load, die and hang and a
 * clock that jumps. Everything between a caller's name and a worker's pipe is the product's own. The world keeps its own books, and holds
 * the product against them.
 */
import { assert } from '#base/assert'
import { settle } from '#base/fake-clock'
import { SeededRandom } from '#base/random'
import { InferdError } from '#contract/errors'
import type { EngineOptions, EnginePlan } from '#engine/engine'
import { DEFAULT_LIFECYCLE_OPTIONS } from '#platform/endpoints/lifecycle'
import { ModelPool } from '#platform/endpoints/model-pool'
import { PROCESS_BYTES } from '#platform/endpoints/pooled-model'
import type { Artifact } from '#platform/endpoints/pooled-unit'
import { PooledUnits } from '#platform/endpoints/pooled-units'
import { ModelRegistry } from '#platform/registry/model-registry'
import { ROUTE_DEFAULTS } from '#platform/routing/route-table'
import { routingHandler, type RoutingHandler } from '#platform/routing/routing-handler'
import { JumpingClock } from './jumping-clock.ts'
import { FACTS, PlayedWorker } from './played-worker.ts'
import { type BookedUnit, numAwake, UnitBook, type UnitWish } from './unit-book.ts'
import { UnitCallers } from './unit-callers.ts'

const MIB = 2 ** 20
const BUDGET_BYTES = 4000 * MIB
const HOLD_MS = 20_000
const HANG_MS = 10_000
const IDLE_MS = 5_000
const SURVEY_MS = 200
const NUM_ENDPOINTS = 5
const NEVER = new AbortController().signal

/** Shares, [0, 1], of what could go wrong. */
export interface Chaos {
  readonly deaths: number
  readonly failures: number
  readonly jumps: number
}

export const CALM: Chaos = { deaths: 0, failures: 0, jumps: 0 }
export const STORMY: Chaos = { deaths: 0.7, failures: 0.15, jumps: 0.5 }

export class UnitWorld {
  readonly clock = new JumpingClock()
  readonly random: SeededRandom
  readonly callers: UnitCallers
  readonly pool: ModelPool
  numSpawned = 0
  numRefused = 0
  numRetired = 0
  private numRetiring = 0
  private readonly units: PooledUnits
  private readonly registry = new ModelRegistry()
  private readonly routing: RoutingHandler
  private chaos: Chaos
  private readonly workers = new Set<PlayedWorker>()
  private readonly book = new UnitBook()
  /** Those that a name leads to, oldest first. */
  private readonly placed = new Map<string, readonly BookedUnit[]>()
  private readonly adding = new Set<string>()
  /** What was found while nobody looked. */
  private readonly violations: unknown[] = []

  constructor(seed: number, chaos = CALM) {
    this.random = new SeededRandom(seed)
    this.chaos = chaos
    const { clock, random } = this
    const silent = (): void => {}
    const observer = { onCall: silent, onStop: silent, onProblem: silent, onColdStart: silent }
    const options = { ...DEFAULT_LIFECYCLE_OPTIONS, budgetBytes: BUDGET_BYTES, holdMs: HOLD_MS }
    this.pool = new ModelPool({ options, clock, observer, askPlan: (engine) => this.planOf(engine) })
    this.units = new PooledUnits({ pool: this.pool, registry: this.registry, availableBytes: () => 0, clock })
    this.routing = routingHandler({ models: this.registry, routes: [], clock, random })
    this.callers = new UnitCallers({
      routing: this.routing,
      clock,
      random,
      holdMs: HOLD_MS,
      mayWait: chaos !== CALM,
      troubleOf: (endpoint) => this.book.troubleOf(endpoint),
      onEnd: (end) => this.watch(end),
    })
  }

  /** One thing that may happen, then every law. */
  async step(): Promise<void> {
    const dice = this.random.nextInt(100)
    if (dice < 34) this.callSome()
    else if (dice < 58) this.answer()
    else if (dice < 61) this.callers.abortSome()
    else if (dice < 76) this.withSome([...this.workers], (worker) => this.move(worker))
    else if (dice < 79) this.hurtSome()
    else if (dice < 83) this.scaleSome()
    else if (dice < 87) this.changeSome()
    else if (dice < 88) this.jumpSome()
    else await this.clock.inner.advance(this.random.nextInt(400))
    if (dice % 4 === 0) await settle()
    this.check()
  }

  /** No new calls, no more changes, and nothing breaks: all comes to what is wanted of it. */
  async comeToRest(): Promise<void> {
    this.chaos = CALM
    for (let round = 0; round < 800; round++) await this.round(500)
    assert(this.callers.numOpen === 0, `${this.callers.numOpen} calls were forgotten`)
    let numWanted = 0
    for (const made of this.book.living) {
      const { name, unit } = made
      numWanted += numAwake(made)
      // One that sleeps is tried again by its next call.
      assert(unit !== null && (unit.isUp || numAwake(made) === 0), `${name}: is not up: ${unit?.problem?.message}`)
      assert(unit.readyReplicas === numAwake(made), `${name}: ${unit.readyReplicas} of ${numAwake(made)} are ready`)
    }
    assert(this.workers.size === numWanted, `${this.workers.size} processes for ${numWanted}`)
  }

  /** All is let go of, and nothing is left. */
  async end(): Promise<void> {
    for (const made of this.book.living) this.retire(made)
    for (let round = 0; round < 40; round++) await this.round(500)
    const { usedBytes, numHeld, numByPhase } = this.pool.figures
    const numRows = Object.values(numByPhase).reduce((sum, count) => sum + count, 0)
    assert(this.workers.size === 0 && usedBytes === 0 && numHeld === 0 && numRows === 0, 'what is let go of is gone')
    const { routes, targets } = this.routing.stats()
    assert(routes.length === 0 && targets.length === 0 && this.clock.inner.numSleepers === 0, 'nobody remembers it')
  }

  /** Everybody does what is due, and time goes on. */
  async round(durationMs: number): Promise<void> {
    for (const worker of this.workers) this.move(worker)
    for (let n = 0; n < 4; n++) this.answer()
    await this.clock.inner.advance(durationMs)
    this.check()
  }

  /** Leads the name to it when it is there, beside those to which it leads. Rejects as the fleet. */
  async add(endpoint: string, wish: UnitWish): Promise<void> {
    const made = this.book.open(endpoint, wish)
    const { name } = made
    this.adding.add(endpoint)
    const engine = { modelPath: name, kvCacheBytes: null } as EngineOptions
    const replicasOf: Artifact['replicasOf'] = () => [
      { engine, clock: this.clock, hangTimeoutMs: HANG_MS, spawn: (listeners) => this.spawned(made, listeners) },
    ]
    const terms = { unit: name, source: { kind: 'served', model: 'm' }, kvCacheMib: null, ...wish } as const
    try {
      made.unit = await this.units.add(terms, { base: null, engine, replicasOf }, NEVER)
      this.lead(endpoint, [...(this.placed.get(endpoint) ?? []), made])
    } catch (error) {
      this.book.close(made, this.clock.nowMs())
      assert(this.units.find(name) === null && this.registry.find(name) === null, `${name}: was refused and is there`)
      throw error
    } finally {
      this.adding.delete(endpoint)
    }
  }

  scale(made: BookedUnit, replicas: number): void {
    const numMore = replicas - made.replicas
    const missing = numMore * made.needMib * MIB - (BUDGET_BYTES - this.book.keptBytes)
    try {
      made.unit?.scaleTo(replicas)
      made.replicas = replicas
      assert(this.adding.size > 0 || missing <= 0 || numMore <= 0, `${made.name}: has grown past the memory`)
    } catch (error) {
      assert(error instanceof InferdError && error.code === 'insufficient_memory', `${made.name}: ${String(error)}`)
      assert(this.adding.size > 0 || this.numRetiring > 0 || missing > 0, `${made.name}: was refused what there is room for`)
      this.numRefused++
    }
  }

  check(): void {
    if (this.violations.length > 0) throw this.violations[0]
    this.pool.checkInvariants()
    let bytes = 0
    for (const { unit } of this.workers) bytes += this.book.needBytes(unit)
    assert(bytes <= BUDGET_BYTES, 'the processes take more than the budget')
    for (const { name, unit, replicas } of this.book.living) {
      unit?.checkInvariants()
      assert(unit === null || (unit.wantedReplicas === replicas && unit.readyReplicas <= Math.max(1, replicas)), `${name}: is as large as it was told to be`)
    }
  }

  answer(): void {
    for (const worker of this.workers) for (const id of [...worker.calls.keys()]) if (this.random.nextInt(3) > 0) worker.answer(id)
  }

  /** A worker that loads gets ready, one that is to end is gone. */
  private move(worker: PlayedWorker): void {
    if (worker.state === 'closing') worker.die('exit code 0')
    if (worker.state !== 'loading') return
    if (this.random.nextFloat() >= this.chaos.failures) return worker.getReady()
    this.trouble(worker)
    if (this.random.nextInt(2) === 0) worker.failLoad('invalid_model_file')
    else worker.die('exit code 1')
  }

  private hurtSome(): void {
    if (this.random.nextFloat() >= this.chaos.deaths) return
    this.withSome(
      [...this.workers].filter(({ state }) => state === 'ready'),
      (worker) => {
        this.trouble(worker)
        if (this.random.nextInt(4) === 0) worker.isHung = true
        else worker.die('signal SIGSEGV')
      },
    )
  }

  private jumpSome(): void {
    if (this.random.nextFloat() < this.chaos.jumps) this.clock.jump(this.random.nextInt(60_000))
  }

  private callSome(): void {
    this.withSome([...this.placed.keys()], (endpoint) => this.callers.call(endpoint))
  }

  private scaleSome(): void {
    const made = [...this.book.living].filter(({ unit, serverless }) => unit !== null && serverless === null)
    this.withSome(made, (one) => this.scale(one, this.random.nextInt(6)))
  }

  /** One that is not there is made; one that is gets a second unit, which takes over or is given up; some are let go of. */
  private changeSome(): void {
    const endpoint = `e${this.random.nextInt(NUM_ENDPOINTS)}`
    if (this.adding.has(endpoint)) return
    const placed = this.placed.get(endpoint) ?? []
    if (placed.length === 2) return this.retire(placed[this.random.nextInt(2)]!)
    if (placed.length === 1 && this.random.nextInt(4) === 0) return this.retire(placed[0]!)
    const isServerless = this.random.nextInt(4) === 0
    const serverless = isServerless ? { maxConcurrency: 8, provisionedConcurrency: this.random.nextInt(2), idleTimeoutMs: IDLE_MS } : null
    const wish = { replicas: isServerless ? 1 : 1 + this.random.nextInt(3), needMib: 100 + this.random.nextInt(300), serverless }
    this.watch(
      this.add(endpoint, wish).catch((error: InferdError) => {
        assert(['insufficient_memory', 'invalid_model_file'].includes(error.code), `${endpoint}: ${error.message}`)
        this.numRefused++
      }),
    )
  }

  private retire(made: BookedUnit): void {
    const { name, endpoint } = made
    this.book.close(made, this.clock.nowMs())
    this.lead(
      endpoint,
      (this.placed.get(endpoint) ?? []).filter((one) => one !== made),
    )
    this.watch(this.gone(name))
  }

  private async gone(name: string): Promise<void> {
    this.numRetiring++
    await this.units.retire(name)
    this.numRetiring--
    this.routing.forget(name)
    this.numRetired++
    assert(!this.workers.values().some(({ unit }) => unit === name), `${name}: is gone and has a process`)
  }

  private watch(work: Promise<void>): void {
    work.catch((error: unknown) => this.violations.push(error))
  }

  private lead(endpoint: string, units: readonly BookedUnit[]): void {
    if (units.length === 0) {
      this.placed.delete(endpoint)
      this.routing.removeRoute(endpoint)
      return
    }
    this.placed.set(endpoint, units)
    this.routing.putRoute({ ...ROUTE_DEFAULTS, name: endpoint, variants: units.map(({ name }) => ({ model: name, weight: 1 })) })
  }

  private spawned(made: BookedUnit, listeners: ConstructorParameters<typeof PlayedWorker>[0]): PlayedWorker {
    const { callers } = this
    const told = { ...listeners, onExit: (why: string) => (this.workers.delete(worker), listeners.onExit(why)) }
    const worker: PlayedWorker = new PlayedWorker(told, { pid: ++this.numSpawned, unit: made.name, journal: callers })
    this.workers.add(worker)
    return worker
  }

  private async planOf({ modelPath }: EngineOptions): Promise<EnginePlan> {
    await this.clock.sleep(this.random.nextInt(SURVEY_MS))
    if (this.random.nextFloat() < this.chaos.failures) throw new InferdError('invalid_model_file', 'byte 4 is wrong')
    const weightsBytes = this.book.needBytes(modelPath) - PROCESS_BYTES - 2 * MIB
    return { facts: FACTS, memory: { weightsBytes, kvCacheBytes: MIB, activationBytes: MIB } }
  }

  private trouble({ unit }: PlayedWorker): void {
    this.book.get(unit).workerMs = this.clock.nowMs()
  }

  private withSome<T>(items: readonly T[], act: (item: T) => void): void {
    if (items.length > 0) act(items[this.random.nextInt(items.length)]!)
  }
}
