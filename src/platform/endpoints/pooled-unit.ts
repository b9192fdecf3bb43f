/**
 * A variant of an endpoint on this machine: replicas that come and go, each a model of the pool with one process and its own place in the
 * ledger of the memory. One that goes takes nothing new and ends with what it runs.
 */
import type { Clock } from '#base/clock'
import { assert } from '#base/assert'
import { type ErrorRecord, InferdError } from '#contract/errors'
import type { ServedModel } from '#contract/served-model'
import type { EngineOptions, EnginePlan } from '#engine/engine'
import type { FleetUnit, UnitLoad, UnitTerms } from '#platform/deployments/fleet'
import { ReplicaSet } from '#platform/registry/replica-set'
import type { ReplicaOptions } from '#platform/replicas/replica'
import type { ModelPool } from './model-pool.ts'
import type { PooledModel } from './pooled-model.ts'
import { UnitMeter } from './unit-meter.ts'

/** What a unit runs, and how. */
export interface Artifact {
  /** A model of the configuration whose price and settings it has; null = none's. */
  readonly base: string | null
  readonly engine: EngineOptions
  readonly replicasOf: (name: string, engine: EngineOptions) => readonly ReplicaOptions[]
}

export interface PooledUnitParts {
  readonly terms: UnitTerms
  readonly artifact: Artifact
  readonly pool: ModelPool
  /** What the machine has left, where the pool has no budget. */
  readonly availableBytes: () => number
  readonly clock: Clock
}

/** Of what is let sleep: it was idle for long before, or has answered a call that woke it. */
const IDLE_MS = 10_000

export class PooledUnit implements FleetUnit {
  readonly unit: string
  readonly served: ServedModel
  private readonly parts: PooledUnitParts
  private readonly set: ReplicaSet
  private readonly meter: UnitMeter
  /** Of the files, as they were read once: all replicas are of one size. */
  private readonly plan: EnginePlan
  private members: readonly PooledModel[]
  private numMade = 1
  private isRetired = false
  /** Scaled to none: its one member is woken by calls alone. */
  private isAsleep = false
  private readonly leaving = new Set<Promise<void>>()

  private constructor(parts: PooledUnitParts, first: PooledModel, plan: EnginePlan) {
    this.parts = parts
    this.plan = plan
    this.unit = parts.terms.unit
    this.members = [first]
    this.set = new ReplicaSet(this.unit, [first])
    this.meter = new UnitMeter(this.set, parts.clock)
    this.served = this.meter
  }

  /** Starts its replicas. Throws insufficient_memory, and what its files are refused for; nothing is left behind then. */
  static async open(parts: PooledUnitParts, signal: AbortSignal): Promise<PooledUnit> {
    const { pool, terms } = parts
    const first = pool.add(memberTerms(parts, 0))
    try {
      const plan = await first.survey(signal, { isUrgent: true })
      const unit = new PooledUnit(parts, first, plan)
      unit.isAsleep = terms.serverless === null && terms.replicas === 0
      if (unit.isAsleep || terms.serverless?.provisionedConcurrency === 0) {
        unit.requireRoom(1, { isKept: false })
        return unit
      }
      const numReplicas = terms.serverless === null ? terms.replicas : 1
      unit.requireRoom(numReplicas, { isKept: true })
      pool.wake(first)
      unit.scaleTo(numReplicas)
      return unit
    } catch (error) {
      void pool.remove(first)
      throw error
    }
  }

  get wantedReplicas(): number {
    return this.isAsleep ? 0 : this.members.length
  }

  get readyReplicas(): number {
    return this.members.filter(({ state }) => state.kind === 'ready').length
  }

  get isUp(): boolean {
    if (this.members.some(({ state }) => state.kind === 'asleep' && state.problem === null)) return true
    return this.readyReplicas >= this.members.length
  }

  get problem(): ErrorRecord | null {
    return this.members.map(({ row }) => row.problem).find((problem) => problem !== null) ?? null
  }

  scaleTo(numReplicas: number): void {
    assert(numReplicas >= 0, 'a unit has replicas, or none')
    if (this.isRetired) return
    const { pool } = this.parts
    const numMore = Math.max(1, numReplicas) - this.members.length
    const numWoken = this.isAsleep && numReplicas > 0 ? 1 : 0
    if (numMore + numWoken > 0) this.requireRoom(numMore + numWoken, { isKept: true })
    if (numWoken > 0) pool.wake(this.members[0]!)
    for (let count = 0; count < numMore; count++) this.grow()
    for (let count = 0; count < -numMore; count++) this.shrink()
    if (numReplicas === 0 && !this.isAsleep) pool.letSleep(this.members[0]!)
    this.isAsleep = numReplicas === 0
  }

  /** For good: what runs or is held has one replica left, as long as it lasts. Resolves when all processes are gone. */
  async retire(): Promise<void> {
    this.isRetired = true
    const { pool } = this.parts
    while (this.members.length > 1) this.shrink()
    const last = this.members[0]!
    if (this.meter.concurrency > 0) {
      // One that is not up yet keeps the place in the memory that was promised to it.
      if (last.state.kind === 'ready') pool.letSleep(last)
      await this.meter.whenIdle()
    }
    this.letGo(last)
    await Promise.all(this.leaving)
  }

  checkInvariants(): void {
    assert(this.set.stats.outstandingTokens.length === this.members.length, `${this.unit}: calls go to its own replicas, and to no other`)
    assert(this.isRetired || this.members.every(({ row }) => row.wanted !== 'gone'), `${this.unit}: what it has was not let go of`)
  }

  async measure(signal: AbortSignal): Promise<UnitLoad> {
    const load = await this.set.probe(signal).catch(() => null)
    const kvUsage = load === null || load.numBlocks === 0 ? null : 1 - load.numFreeBlocks / load.numBlocks
    const { concurrency, numCalls, tokensPerSecond } = this.meter
    return { concurrency, invocations: numCalls, 'kv-usage': kvUsage, tokens: tokensPerSecond }
  }

  private grow(): void {
    const { pool } = this.parts
    const member = pool.add(memberTerms(this.parts, this.numMade++))
    member.adopt(this.plan)
    this.members = [...this.members, member]
    this.set.add(member)
    pool.wake(member)
  }

  /** One that is not up, else the youngest: the others have the prompts that they know. */
  private shrink(): void {
    const member = this.members.findLast(({ state }) => state.kind !== 'ready') ?? this.members.at(-1)!
    this.members = this.members.filter((other) => other !== member)
    this.set.remove(member)
    this.letGo(member)
  }

  private letGo(member: PooledModel): void {
    const gone = this.parts.pool.remove(member).finally(() => this.leaving.delete(gone))
    this.leaving.add(gone)
  }

  /** `isKept`: room for as long as it lives; else only at some time, when others sleep. */
  private requireRoom(numReplicas: number, { isKept }: { readonly isKept: boolean }): void {
    const { pool, availableBytes } = this.parts
    const budget = pool.figures.budgetBytes
    const have = budget === Infinity ? availableBytes() - pool.promisedBytes : isKept ? pool.unkeptBytes : budget
    const need = numReplicas * (this.members[0]?.row.needBytes ?? 0)
    if (need <= have) return
    const words = `${numReplicas} more replica${numReplicas === 1 ? '' : 's'} of '${this.unit}' need ${need} bytes; there are ${Math.max(0, have)}`
    throw new InferdError('insufficient_memory', words)
  }
}

function memberTerms({ terms, artifact }: PooledUnitParts, index: number): Parameters<ModelPool['add']>[0] {
  const name = `${terms.unit}#${index}`
  return {
    name,
    engine: artifact.engine,
    numReplicas: 1,
    unit: terms.unit,
    wanted: 'on-demand',
    isPinned: false,
    idleTimeoutMs: terms.serverless?.idleTimeoutMs ?? IDLE_MS,
    isSurveyedAtStart: true,
    replicasOf: (engine) => artifact.replicasOf(name, engine),
  }
}
