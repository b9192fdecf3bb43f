/** The store's thread seen from outside: statements go to it, answers come back; when it dies, everything that waits fails. */
import { Worker } from 'node:worker_threads'
import { InferdError } from '#contract/errors'
import type { SqlValue, StoreAnswer, StoreQuery, StoreThreadData } from './store-messages.ts'

const RUNS_FROM_SOURCE = import.meta.url.endsWith('.ts')
const MAX_WAITING_STATEMENTS = 65_536

export interface StatementResult {
  readonly rows: readonly Readonly<Record<string, SqlValue>>[]
  readonly numChanges: number
}

interface WaitingStatement {
  readonly resolve: (result: StatementResult) => void
  readonly reject: (error: InferdError) => void
}

export class StoreConnection {
  private readonly thread: Worker
  private readonly waiting = new Map<number, WaitingStatement>()
  private readonly exited: Promise<void>
  private nextId = 1
  /** From then on the process waits for the thread's end. */
  private isClosing = false
  private failure: InferdError | null = null
  private readonly onBroken: (cause: unknown) => void

  /** `onBroken`: nothing is taken any more, with the reason; once, and not for a store that is closed. */
  constructor(data: StoreThreadData, onBroken: (cause: unknown) => void) {
    this.onBroken = onBroken
    const entry = new URL(RUNS_FROM_SOURCE ? './store-thread.ts' : './store-thread.js', import.meta.url)
    this.thread = new Worker(entry, {
      name: 'inferd store',
      env: {},
      execArgv: RUNS_FROM_SOURCE ? ['--conditions=inferd-source'] : [],
      workerData: data,
    })
    // Whoever waits for an answer keeps the process; an idle store does not.
    this.thread.unref()
    this.thread.on('message', (answer: StoreAnswer) => this.take(answer))
    this.thread.on('error', (cause) => this.fail(cause))
    this.exited = new Promise((resolve) => {
      this.thread.once('exit', () => {
        this.fail('its thread ended')
        resolve()
      })
    })
  }

  /** Throws store_failed, conflict, or overloaded when too many statements wait. */
  run(sql: string, parameters: readonly SqlValue[]): Promise<StatementResult> {
    if (this.failure !== null) return Promise.reject(this.failure)
    if (this.waiting.size >= MAX_WAITING_STATEMENTS) return Promise.reject(new InferdError('overloaded', 'too many statements wait for the store'))
    return new Promise((resolve, reject) => {
      const id = this.nextId++
      if (this.waiting.size === 0) this.thread.ref()
      this.waiting.set(id, { resolve, reject })
      this.thread.postMessage({ id, sql, parameters } satisfies StoreQuery)
    })
  }

  /** What was sent before is still answered. */
  async close(): Promise<void> {
    this.isClosing = true
    this.thread.postMessage('close')
    this.thread.ref()
    await this.exited
  }

  private take(answer: StoreAnswer): void {
    const statement = this.waiting.get(answer.id)
    if (statement === undefined) return
    this.waiting.delete(answer.id)
    if (this.waiting.size === 0 && !this.isClosing) this.thread.unref()
    if ('rows' in answer) return statement.resolve(answer)
    const code = answer.isConflict ? 'conflict' : 'store_failed'
    statement.reject(new InferdError(code, answer.isConflict ? 'this exists already' : 'the store failed', { cause: answer.error }))
    // After a failed write or sync the pages in memory are no longer those of the disk: never retried (PostgreSQL, 2018).
    if (answer.isBroken) this.fail(answer.error)
  }

  private fail(cause: unknown): void {
    if (this.failure === null && !this.isClosing) this.onBroken(cause)
    this.failure ??= new InferdError('store_failed', 'the store is closed', { cause })
    for (const { reject } of this.waiting.values()) reject(this.failure)
    this.waiting.clear()
  }
}
