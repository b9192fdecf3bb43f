/**
 * Owner of all rows of the machine's memory: takes up what happens (calls, processes, time), asks `decideLifecycle`, and does what it says.
 * A call of a model that is not ready is held: so many, so long, in order; one start serves them all. Knows no process.
 */
import { assert } from '#base/assert'
import type { Clock } from '#base/clock'
import { type ErrorRecord, InferdError, toErrorRecord } from '#contract/errors'
import { decideLifecycle, type LifecycleAction, type LifecyclePolicy, type StopReason } from './decide-lifecycle.ts'
import { HeldCalls, type HeldCallsOptions } from './held-calls.ts'
import { checkRow, coldRow, heldBytes, isKept, type ModelRow, type RowTerms, type WantedState } from './model-row.ts'

export type LifecycleOptions = LifecyclePolicy & HeldCallsOptions

export const DEFAULT_LIFECYCLE_OPTIONS: LifecycleOptions = {
  budgetBytes: Infinity,
  fairWaitMs: 2_000,
  residencyMs: 2_000,
  maxHeldCalls: 1024,
  holdMs: 60_000,
}

/** `start` leads to `ready` or `failed`, `stop` to `stopped`; neither throws. */
export interface LifecyclePorts {
  start(row: ModelRow): void
  stop(row: ModelRow): void
  readonly observer: LifecycleObserver
  readonly clock: Clock
}

/** Must not throw. */
export interface LifecycleObserver {
  /** hit: a call found the model ready; miss: it was held. */
  onCall(model: string, found: 'hit' | 'miss'): void
  /** Told to end. */
  onStop(model: string, reason: StopReason | 'failed'): void
  /** It could not be started. */
  onProblem(model: string, problem: ErrorRecord): void
}

const SWEEP_MS = 100
const FIRST_REST_MS = 1_000
const MAX_REST_MS = 300_000
/** Of a model without room in the budget. */
const FIRST_REFUSAL_REST_MS = 5_000
/** More would mean that decisions undo each other. */
const MAX_ROUNDS = 8

export class Lifecycle {
  private readonly options: LifecycleOptions
  private readonly ports: LifecyclePorts
  private readonly rows = new Map<string, ModelRow>()
  /** What `decideLifecycle` must see: of thousands of rows those that are not simply asleep. */
  private readonly active = new Set<ModelRow>()
  private readonly held: HeldCalls
  private isPumping = false
  private isSweeping = false
  private readonly closing = new AbortController()

  constructor(options: LifecycleOptions, ports: LifecyclePorts) {
    this.options = options
    this.ports = ports
    this.held = new HeldCalls(options, (row) => this.changed(row))
  }

  get usedBytes(): number {
    return [...this.active].reduce((sum, row) => sum + heldBytes(row), 0)
  }

  get budgetBytes(): number {
    return this.options.budgetBytes
  }

  /** What is left of the budget beside all that stays once it is up. */
  get unkeptBytes(): number {
    const kept = [...this.rows.values()].filter((row) => isKept(row))
    return this.options.budgetBytes - kept.reduce((sum, row) => sum + (row.needBytes ?? 0), 0)
  }

  /** Of what is to stay and is not up yet: the machine has not given it so far. */
  get promisedBytes(): number {
    const promised = [...this.active].filter((row) => isKept(row) && row.readySinceMs === null)
    return promised.reduce((sum, row) => sum + (row.needBytes ?? 0), 0)
  }

  /** The name must be free. */
  register(terms: RowTerms): ModelRow {
    assert(!this.rows.has(terms.name), 'two models with one name')
    const row = coldRow(terms, this.ports.clock.nowMs())
    this.rows.set(row.name, row)
    if (row.wanted === 'awake') this.changed(row)
    return row
  }

  /** A new wish: gone lets running calls end and refuses the others. */
  want(row: ModelRow, wanted: WantedState): void {
    row.wanted = wanted
    if (wanted === 'gone') this.held.refuse(row, goneError(row.name))
    this.changed(row)
  }

  /** Known from the model's files. */
  setNeed(row: ModelRow, needBytes: number): void {
    assert(row.phase === 'cold', 'what a process takes is settled before it starts')
    row.needBytes = needBytes
    this.changed(row)
  }

  /**
   * A place at the model; `leave` gives it back. null = at once, else when it is ready. Throws, and rejects with, overloaded, model_loading
   * (waited too long), the reason of a failed start, shutting_down, and the signal's reason.
   */
  enter(row: ModelRow, signal: AbortSignal): Promise<void> | null {
    signal.throwIfAborted()
    if (this.closing.signal.aborted) throw shutDownError()
    if (row.wanted === 'gone') throw goneError(row.name)
    const nowMs = this.ports.clock.nowMs()
    this.ports.observer.onCall(row.label, row.phase === 'ready' ? 'hit' : 'miss')
    row.lastUseMs = nowMs
    if (row.phase === 'ready') {
      row.numRunning++
      return null
    }
    if (nowMs < row.notBeforeMs && row.problem !== null) throw restError(row.problem, row.notBeforeMs - nowMs)
    const waiting = this.held.hold(row, nowMs, signal)
    this.changed(row)
    return waiting
  }

  leave(row: ModelRow): void {
    assert(row.numRunning > 0, 'only a call that runs can leave')
    row.numRunning--
    row.lastUseMs = this.ports.clock.nowMs()
    this.changed(row)
  }

  /** The process takes calls. */
  ready(row: ModelRow): void {
    if (row.phase !== 'starting') return
    row.phase = 'ready'
    row.readySinceMs = this.ports.clock.nowMs()
    row.lastUseMs = row.readySinceMs
    row.numFailures = 0
    row.problem = null
    this.held.letIn(row)
    this.changed(row)
  }

  /** The process was lost and a new one takes its place. */
  restarting(row: ModelRow): void {
    if (row.phase !== 'ready' && row.phase !== 'draining') return
    row.phase = 'starting'
    row.readySinceMs = null
    this.changed(row)
  }

  /** The process will not get ready any more; it is ended, and its callers get the reason. */
  failed(row: ModelRow, error: unknown): void {
    if (row.phase === 'cold' || row.phase === 'stopping') return
    this.rest(row, toErrorRecord(error), FIRST_REST_MS)
    this.stop(row, 'failed')
    this.changed(row)
  }

  /** The process is gone and its memory given back. */
  stopped(row: ModelRow): void {
    assert(row.phase === 'stopping', 'a process ends because it was told to')
    row.phase = 'cold'
    this.changed(row)
  }

  /** Of a model that is gone: its name is free again. */
  forget(row: ModelRow): void {
    assert(row.wanted === 'gone' && row.phase === 'cold', 'only what is gone is forgotten')
    this.rows.delete(row.name)
    this.active.delete(row)
  }

  /** Before the processes are ended: nobody is held any more, and nothing starts. */
  close(): void {
    this.closing.abort(shutDownError())
    this.held.refuseAll(shutDownError())
  }

  checkInvariants(): void {
    assert(this.usedBytes <= this.options.budgetBytes, 'the memory is never promised twice')
    for (const row of this.rows.values()) {
      checkRow(row)
      assert(this.held.numOf(row) === row.numHeld, `${row.name}: who is held is counted`)
      assert(this.active.has(row) || !isActive(row), `${row.name}: is watched`)
    }
  }

  /** Doubled with each failure in a row. */
  private rest(row: ModelRow, problem: ErrorRecord, firstRestMs: number): void {
    const restMs = Math.min(firstRestMs * 2 ** row.numFailures, MAX_REST_MS)
    row.numFailures++
    row.problem = problem
    row.notBeforeMs = this.ports.clock.nowMs() + restMs
    this.ports.observer.onProblem(row.label, problem)
    this.held.refuse(row, restError(problem, restMs))
  }

  private stop(row: ModelRow, reason: StopReason | 'failed'): void {
    row.phase = 'stopping'
    row.readySinceMs = null
    this.ports.observer.onStop(row.label, reason)
    this.ports.stop(row)
  }

  private changed(row: ModelRow): void {
    if (isActive(row)) this.active.add(row)
    this.pump()
  }

  /** Decides until nothing is left to do. What happens meanwhile is taken up by the round after. */
  private pump(): void {
    if (this.isPumping || this.closing.signal.aborted) return
    this.isPumping = true
    try {
      for (let round = 0; ; round++) {
        const actions = decideLifecycle([...this.active], this.options, this.ports.clock.nowMs())
        if (actions.length === 0) break
        assert(round < MAX_ROUNDS, 'decisions come to an end')
        for (const action of actions) this.apply(action)
      }
    } finally {
      this.isPumping = false
    }
    for (const row of this.active) if (!isActive(row)) this.active.delete(row)
    if (this.active.size > 0 && !this.isSweeping) void this.sweep()
  }

  private apply(action: LifecycleAction): void {
    const { row } = action
    switch (action.kind) {
      case 'start':
        row.phase = 'starting'
        this.ports.start(row)
        return
      case 'drain':
        row.phase = 'draining'
        return
      case 'resume':
        row.phase = 'ready'
        this.held.letIn(row)
        return
      case 'stop':
        this.stop(row, action.reason)
        return
      case 'refuse': {
        const words = `the model '${row.name}' needs ${action.needBytes} bytes; the memory budget has ${action.haveBytes} for it`
        this.rest(row, toErrorRecord(new InferdError('insufficient_memory', words)), FIRST_REFUSAL_REST_MS)
      }
    }
  }

  /** One timer for all models: waits that end, sleepers, rests. */
  private async sweep(): Promise<void> {
    this.isSweeping = true
    while (this.active.size > 0 && !this.closing.signal.aborted) {
      await this.ports.clock.sleep(SWEEP_MS, this.closing.signal).catch(() => {})
      this.held.expire(this.ports.clock.nowMs())
      this.pump()
    }
    this.isSweeping = false
  }
}

function isActive({ phase, numHeld, wanted }: ModelRow): boolean {
  return phase !== 'cold' || numHeld > 0 || wanted === 'awake'
}

function restError({ code, message, param }: ErrorRecord, retryAfterMs: number): InferdError {
  return new InferdError(code, message, { retryAfterMs: Math.ceil(retryAfterMs), ...(param === null ? {} : { param }) })
}

function goneError(name: string): InferdError {
  return new InferdError('model_not_found', `the model '${name}' is being removed`, { param: 'model' })
}

function shutDownError(): InferdError {
  return new InferdError('shutting_down', 'the server is shutting down')
}
