/**
 * Worker processes that are up before anybody needs them: a model that wakes takes one and has only to be loaded. One that was taken is
 * replaced a little later, when the load has passed; one that ends on its own as well.
 */
import type { Clock } from '#base/clock'
import type { FromWorker } from './messages.ts'
import type { SpawnWorker, WorkerListeners, WorkerProcess } from './worker-process.ts'

export interface SpareWorkersOptions {
  readonly numSpare: number
  readonly spawn: SpawnWorker
  readonly clock: Clock
}

interface SpareWorker {
  readonly process: WorkerProcess
  /** What it said before somebody listened. */
  readonly said: FromWorker[]
  /** Who has taken it; null = nobody yet. */
  owner: WorkerListeners | null
}

const REFILL_MS = 2_000

export class SpareWorkers {
  private readonly options: SpareWorkersOptions
  private readonly waiting: SpareWorker[] = []
  private isRefilling = false
  private readonly closing = new AbortController()

  constructor(options: SpareWorkersOptions) {
    this.options = options
  }

  /** A spare one, or a new one when there is none. What it has said already is told when the caller's turn is over. */
  readonly spawn: SpawnWorker = (listeners) => {
    const spare = this.waiting.shift()
    void this.refillLater()
    if (spare === undefined) return this.options.spawn(listeners)
    queueMicrotask(() => {
      spare.owner = listeners
      for (const message of spare.said.splice(0)) listeners.onMessage(message)
    })
    return spare.process
  }

  get numWaiting(): number {
    return this.waiting.length
  }

  start(): void {
    while (this.waiting.length < this.options.numSpare && !this.closing.signal.aborted) this.add()
  }

  close(): void {
    this.closing.abort()
    for (const { process } of this.waiting.splice(0)) process.kill()
  }

  private add(): void {
    const spare: SpareWorker = {
      said: [],
      owner: null,
      process: this.options.spawn({
        onMessage: (message) => {
          if (spare.owner === null) spare.said.push(message)
          else spare.owner.onMessage(message)
        },
        onExit: (reason) => this.onExit(spare, reason),
      }),
    }
    this.waiting.push(spare)
  }

  private onExit(spare: SpareWorker, reason: string): void {
    const index = this.waiting.indexOf(spare)
    if (index >= 0) {
      this.waiting.splice(index, 1)
      void this.refillLater()
    } else if (spare.owner !== null) spare.owner.onExit(reason)
    // Taken in this very turn: its owner hears of it when it listens.
    else queueMicrotask(() => spare.owner?.onExit(reason))
  }

  private async refillLater(): Promise<void> {
    if (this.isRefilling || this.options.numSpare === 0) return
    this.isRefilling = true
    await this.options.clock.sleep(REFILL_MS, this.closing.signal).catch(() => {})
    this.isRefilling = false
    this.start()
  }
}
