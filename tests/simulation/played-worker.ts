/** A worker process as its gateway sees it, moved by hand: it loads, answers, hangs and dies when it is told to. Knows no model. */
import { assert } from '#base/assert'
import type { ErrorCode } from '#contract/errors'
import { type GenerateEvent, type ModelFacts, NO_USAGE } from '#contract/generate'
import type { EngineStats } from '#engine/engine'
import type { CallId, FromWorker, ToWorker } from '#platform/replicas/messages'
import type { WorkerListeners, WorkerProcess } from '#platform/replicas/worker-process'

export const FACTS = { architecture: 'llama', contextLength: 4096, vocabSize: 0 } as ModelFacts
const NUM_BLOCKS = 100

/** closing: was told to end and has not yet. */
type WorkerState = 'loading' | 'ready' | 'closing' | 'gone'

export interface WorkerCall {
  readonly requestId: string
  /** An event of it was sent. */
  hasBegun: boolean
}

/** Told of what a worker does with its calls. */
export interface WorkerJournal {
  onTaken(worker: PlayedWorker, requestId: string): void
  /** The first event of it was sent. */
  onBegun(requestId: string): void
}

export class PlayedWorker implements WorkerProcess {
  readonly pid: number
  readonly unit: string
  state: WorkerState = 'loading'
  /** Takes messages and says nothing any more. */
  isHung = false
  readonly calls = new Map<CallId, WorkerCall>()
  private readonly listeners: WorkerListeners
  private readonly journal: WorkerJournal

  constructor(listeners: WorkerListeners, { pid, unit, journal }: Pick<PlayedWorker, 'pid' | 'unit'> & { readonly journal: WorkerJournal }) {
    this.listeners = listeners
    this.pid = pid
    this.unit = unit
    this.journal = journal
  }

  has(requestId: string): boolean {
    return [...this.calls.values()].some((call) => call.requestId === requestId)
  }

  send(message: ToWorker): void {
    if (this.state === 'gone') return
    if (message.type === 'generate') {
      this.journal.onTaken(this, message.request.requestId)
      this.calls.set(message.call, { requestId: message.request.requestId, hasBegun: false })
    }
    if (message.type === 'close') this.state = 'closing'
    if (message.type === 'abort') this.abort(message.call)
    if (message.type === 'probe') this.tell({ type: 'probed', call: message.call, stats: this.stats })
  }

  /** As a signal: the process is gone a little later. */
  kill(): void {
    queueMicrotask(() => this.die('signal SIGKILL'))
  }

  getReady(): void {
    assert(this.state === 'loading', 'a worker loads once')
    this.state = 'ready'
    this.listeners.onMessage({ type: 'ready', facts: FACTS })
  }

  failLoad(code: ErrorCode): void {
    this.listeners.onMessage({ type: 'load-failed', error: { code, message: 'it cannot be loaded', param: null, retryAfterMs: null } })
  }

  die(why: string): void {
    if (this.state === 'gone') return
    this.state = 'gone'
    this.calls.clear()
    this.listeners.onExit(why)
  }

  /** The first events, then the end: one step each time. */
  answer(id: CallId): void {
    const call = this.calls.get(id)
    if (call === undefined || this.isHung) return
    if (call.hasBegun) {
      this.calls.delete(id)
      this.say(id, [{ type: 'response-end', usage: { ...NO_USAGE, promptTokens: 3, completionTokens: 8 } }])
      return
    }
    call.hasBegun = true
    this.journal.onBegun(call.requestId)
    this.say(id, [
      { type: 'response-start', promptTokens: 3, cachedTokens: 0 },
      { type: 'text-delta', choice: 0, text: 'x', logprobs: null },
    ])
  }

  private get stats(): EngineStats {
    const numFreeBlocks = Math.max(0, NUM_BLOCKS - this.calls.size)
    return { numRunning: this.calls.size, numWaiting: 0, numBlocks: NUM_BLOCKS, numFreeBlocks } as EngineStats
  }

  private abort(id: CallId): void {
    if (!this.calls.delete(id)) return
    this.tell({ type: 'aborted', call: id, usage: NO_USAGE })
  }

  private say(id: CallId, events: readonly GenerateEvent[]): void {
    this.listeners.onMessage({ type: 'events', calls: events.map(() => id), events })
  }

  private tell(message: FromWorker): void {
    queueMicrotask(() => {
      if (this.state !== 'gone' && !this.isHung) this.listeners.onMessage(message)
    })
  }
}
