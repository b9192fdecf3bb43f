/**
 * Several processes with desk and runner on one store, on a fake clock, from a seed: SQLite in this thread, so that a run replays. Every
 * call of the store may be the last thing that a process does, before or after it was done; clocks differ and jump.
 */
import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import { Kysely } from 'kysely'
import { expect } from 'vitest'
import { assert } from '#base/assert'
import type { Clock } from '#base/clock'
import { FakeClock } from '#base/fake-clock'
import { SeededRandom } from '#base/random'
import { InferdError } from '#contract/errors'
import { StoredJobs } from '#platform/jobs/job-desk'
import { checkRow } from '#platform/jobs/job-machine'
import { JobNews } from '#platform/jobs/job-news'
import { JobRunner } from '#platform/jobs/job-runner'
import type { JobHandler } from '#platform/jobs/job-handler'
import type { JobChange, JobRow } from '#platform/store/job-rows'
import { JobStore } from '#platform/store/job-store'
import type { NewRecord, RecordVerdict } from '#platform/store/job-record-store'
import { migrate } from '#platform/store/migrations'
import type { Schema } from '#platform/store/schema'
import type { StoreConnection } from '#platform/store/store-connection'
import { StoreDialect } from '#platform/store/store-dialect'

export interface Faults {
  /** Of a call of the store, in thousandths: the process dies before it, after it; the store refuses it, or does it and does not say so. */
  readonly die: number
  readonly refuse: number
}

/** One process. What it does after its death nobody sees. */
export interface Place {
  readonly name: string
  readonly desk: StoredJobs
  readonly runner: JobRunner
  readonly clock: Clock
  isDead: boolean
  isDraining: boolean
  /** Stopped until then, as by a debugger or a swapping machine; its timers and answers come late. */
  frozenUntilMs: number
}

/** How a process reaches the store. */
interface Reach {
  readonly isDead: () => boolean
  readonly thaw: () => Promise<void>
  readonly die: () => void
}

const OPTIONS = { leaseMs: 3000, beatMs: 600, lookMs: 200, maxFaults: 4, minBackoffMs: 50, maxBackoffMs: 500, maxClosing: 4 }
export const BOUNDS = { maxWaiting: 60, maxWaitingPerTeam: 40 }
const NEVER = new Promise<never>(() => {})
const SILENT = { info: () => {}, warn: () => {}, error: () => {} }

export class JobWorld {
  readonly random: SeededRandom
  readonly clock = new FakeClock()
  readonly places: Place[] = []
  faults: Faults = { die: 0, refuse: 0 }
  private readonly database = new DatabaseSync(':memory:')
  private readonly db: Kysely<Schema>
  /** Who claimed what: each attempt of a job once. */
  private readonly claims = new Set<string>()
  /** Ended rows as they were first seen. */
  private readonly ends = new Map<string, string>()
  private readonly removed = new Set<string>()
  /** By job: the attempt of its last new outcome. */
  private readonly gotOnAt = new Map<string, number>()
  private violation: unknown = null
  private numPlaces = 0

  constructor(seed: number) {
    this.random = new SeededRandom(seed)
    const run = async (sql: string, parameters: readonly unknown[]): Promise<object> => this.execute(sql, parameters as readonly SQLInputValue[])
    const connection = { run, close: async () => this.database.close() } as unknown as StoreConnection
    this.db = new Kysely<Schema>({ dialect: new StoreDialect(connection) })
  }

  open(): Promise<void> {
    return migrate(this.db, 0)
  }

  chance(thousandths: number): boolean {
    return this.random.nextInt(1000) < thousandths
  }

  start(makeHandlers: (place: Pick<Place, 'name' | 'isDead' | 'clock'> & { die(): never }) => readonly JobHandler[]): Place {
    const name = `place-${++this.numPlaces}`
    const skewMs = this.random.nextInt(4000) - 2000
    const state: { place: Place | null } = { place: null }
    const isDead = (): boolean => state.place?.isDead ?? false
    const thaw = async (): Promise<void> => {
      const frozenMs = (): number => (state.place?.frozenUntilMs ?? 0) - this.clock.nowMs()
      while (frozenMs() > 0) await this.clock.sleep(frozenMs())
    }
    const clock: Clock = {
      nowMs: () => this.clock.nowMs(),
      wallMs: () => this.clock.wallMs() + skewMs + this.jumpMs,
      sleep: async (durationMs, signal) => {
        await this.clock.sleep(durationMs, signal)
        await thaw()
        if (isDead()) await NEVER
      },
    }
    const die = (): never => {
      if (state.place !== null) state.place.isDead = true
      throw new InferdError('internal', 'dead')
    }
    const store = this.storeOf({
      isDead,
      thaw,
      die: () => {
        if (state.place !== null) state.place.isDead = true
      },
    })
    const news = new JobNews()
    let numIds = 0
    const desk = new StoredJobs({ store, news, bounds: BOUNDS, clock, newId: (prefix) => `${prefix}-${name}-${++numIds}` })
    const runner = new JobRunner({
      store,
      news,
      handlers: makeHandlers({
        name,
        clock,
        die,
        get isDead() {
          return isDead()
        },
      }),
      newHolderId: () => `${name}-${++numIds}`,
      isGone: () => false,
      clock,
      random: this.random,
      log: SILENT,
      options: OPTIONS,
    })
    const place: Place = { name, desk, runner, clock, isDead: false, isDraining: false, frozenUntilMs: 0 }
    state.place = place
    this.places.push(place)
    runner.start()
    return place
  }

  /** Of every wall clock. */
  jumpMs = 0

  get living(): readonly Place[] {
    return this.places.filter(({ isDead, isDraining }) => !isDead && !isDraining)
  }

  rows(): readonly JobRow[] {
    return this.database.prepare('select * from job').all() as unknown as JobRow[]
  }

  /** A job is removed on purpose: its end may go. */
  forget(id: string): void {
    this.removed.add(id)
    this.ends.delete(id)
  }

  check(): void {
    if (this.violation !== null) throw this.violation as Error
    const rows = this.rows()
    const waiting = new Map<string, number>()
    for (const row of rows) {
      checkRow(row)
      const text = JSON.stringify(row)
      if (row.phase === 'ended' && !this.removed.has(row.id)) {
        expect(this.ends.get(row.id) ?? text, `the end of ${row.id} changed`).toBe(text)
        this.ends.set(row.id, text)
      }
      const line = `${row.kind} ${row.lane} ${row.team}`
      if (row.phase === 'waiting') waiting.set(line, (waiting.get(line) ?? 0) + 1)
    }
    const ids = new Set(rows.map(({ id }) => id))
    for (const id of this.ends.keys()) assert(ids.has(id), `the ended job ${id} is gone`)
    const lines = this.database.prepare('select * from job_line where num_waiting <> 0').all() as unknown as Schema['job_line'][]
    const counted = new Map(lines.map(({ kind, lane, team, num_waiting }) => [`${kind} ${lane} ${team}`, num_waiting]))
    expect(counted).toEqual(waiting)
  }

  private execute(sql: string, parameters: readonly SQLInputValue[]): object {
    try {
      const statement = this.database.prepare(sql)
      if (statement.columns().length > 0) {
        const rows = statement.all(...parameters)
        return { rows, numChanges: rows.length }
      }
      return { rows: [], numChanges: Number(statement.run(...parameters).changes) }
    } catch (cause) {
      throw new InferdError('store_failed', 'the store failed', { cause })
    }
  }

  /** The store as one process reaches it. */
  private storeOf(reach: Reach): JobStore {
    const faulty = <Target extends object>(target: Target, more: Partial<Target>): Target =>
      new Proxy(target, {
        get: (_, key) => {
          const own = more[key as keyof Target]
          if (own !== undefined) return own
          const method = target[key as keyof Target] as unknown
          if (typeof method !== 'function') return method
          return async (...args: unknown[]): Promise<unknown> =>
            this.call(reach, () => method.apply(target, args) as Promise<unknown>, [String(key), ...args])
        },
      })
    const real = new JobStore(this.db)
    return faulty(real, { records: faulty(real.records, {}) })
  }

  private async call(place: Reach, work: () => Promise<unknown>, asked: readonly unknown[]): Promise<unknown> {
    await this.clock.sleep(this.random.nextInt(4))
    await place.thaw()
    if (this.chance(this.faults.die)) place.die()
    if (place.isDead()) return NEVER
    if (this.chance(this.faults.refuse)) throw new InferdError('store_failed', 'refused')
    const answer = await work()
    try {
      this.checkFence(asked, answer)
    } catch (error) {
      // Thrown here it would be an error of the store, which runners live with.
      this.violation ??= error
    }
    await this.clock.sleep(this.random.nextInt(4))
    await place.thaw()
    if (this.chance(this.faults.die)) place.die()
    if (place.isDead()) return NEVER
    if (this.chance(this.faults.refuse)) {
      // Who does not know that he got on counts his next fault as one more.
      if (asked[0] === 'put') for (const { holder } of asked[1] as readonly NewRecord[]) this.gotOnAt.delete(holder.id)
      throw new InferdError('store_failed', 'done, and nobody was told')
    }
    return answer
  }

  /** Nothing else has run since the write was made: what was written belongs to whoever holds the job now. */
  private checkFence([method, first]: readonly unknown[], answer: unknown): void {
    if (method === 'put') {
      for (const [index, { holder }] of (first as readonly NewRecord[]).entries()) {
        const row = this.rows().find(({ id }) => id === holder.id)
        const isHeld = row?.phase === 'running' && row.attempt === holder.attempt
        const verdict = (answer as readonly RecordVerdict[])[index]
        expect(verdict !== 'lost', `${holder.id} attempt ${holder.attempt} writes`).toBe(isHeld)
        if (verdict === 'new') this.gotOnAt.set(holder.id, holder.attempt)
      }
    }
    if (method === 'apply' && answer !== null) {
      for (const [index, { id, from, patch, to }] of (first as readonly JobChange[]).entries()) {
        if ((answer as readonly boolean[])[index] !== true) continue
        // The attempt of the last new outcome is the first that may count.
        if (from.phase === 'running' && patch.verdict === 'failed')
          assert(from.attempt - (this.gotOnAt.get(id) ?? 1) + 1 >= OPTIONS.maxFaults, `${id} was given up although it got on`)
        if (patch.attempt === undefined || (to !== 'running' && to !== 'closing')) continue
        const claim = `${id}#${patch.attempt}`
        assert(!this.claims.has(claim), `${claim} was claimed twice`)
        this.claims.add(claim)
      }
    }
  }
}
