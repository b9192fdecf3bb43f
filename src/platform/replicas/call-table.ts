/** The calls that wait for a worker: streams of events and single answers, by number. Every way out removes the call. */
import { assert } from '#base/assert'
import { BoundedQueue } from '#base/bounded-queue'
import { InferdError, toErrorRecord } from '#contract/errors'
import { type GenerateEvent, NO_USAGE, type Usage } from '#contract/generate'
import type { CallId } from './messages.ts'

/** How far the reader of a stream may fall behind its model, in entries: an event, a token's logprob and each alternative are one entry. */
const MAX_QUEUED_ENTRIES_PER_CHOICE = 4096
const MAX_QUEUED_ENTRIES = 65_536

export interface OpenStreamArguments {
  readonly signal: AbortSignal
  readonly sendAbort: SendAbort
  readonly numChoices: number
}

type PendingCall =
  | {
      readonly kind: 'stream'
      readonly queue: BoundedQueue<GenerateEvent>
      readonly release: () => void
      readonly sendAbort: SendAbort
      hasStarted: boolean
      usage: Usage
      /** Why it was aborted; its worker has yet to say what it had computed. null = it runs. */
      abortReason: InferdError | null
    }
  | { readonly kind: 'answer'; readonly resolve: (value: unknown) => void; readonly reject: (error: unknown) => void; readonly release: () => void }

type SendAbort = (call: CallId) => void

export class CallTable {
  private readonly pending = new Map<CallId, PendingCall>()
  private nextCall = 1

  has(call: CallId): boolean {
    return this.pending.has(call)
  }

  get size(): number {
    return this.pending.size
  }

  /**
   * Leaving the iteration, aborting the signal or falling too far behind tells the worker and removes the call. A stream that had begun and
   * is aborted for a reason of ours ends with a `response-error` of that reason, whose usage is the worker's last word; others throw the reason.
   */
  openStream({ signal, sendAbort, numChoices }: OpenStreamArguments): { readonly call: CallId; readonly queue: BoundedQueue<GenerateEvent> } {
    signal.throwIfAborted()
    const call = this.takeCallId()
    const queue = new BoundedQueue<GenerateEvent>({
      maxItems: Math.min(MAX_QUEUED_ENTRIES_PER_CHOICE * numChoices, MAX_QUEUED_ENTRIES),
      countOf: countEntries,
      onReturn: () => this.cancel(call, sendAbort),
    })
    const onAbort = (): void => this.abort(call, signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    const release = (): void => signal.removeEventListener('abort', onAbort)
    this.pending.set(call, {
      kind: 'stream',
      queue,
      release,
      sendAbort,
      hasStarted: false,
      usage: NO_USAGE,
      abortReason: null,
    })
    return { call, queue }
  }

  openCall<T>(signal: AbortSignal, sendAbort: SendAbort): { readonly call: CallId; readonly answer: Promise<T> } {
    signal.throwIfAborted()
    const call = this.takeCallId()
    const answer = new Promise<T>((resolve, reject) => {
      const onAbort = (): void => {
        this.cancel(call, sendAbort)
        reject(signal.reason as Error)
      }
      signal.addEventListener('abort', onAbort, { once: true })
      const release = (): void => signal.removeEventListener('abort', onAbort)
      // The worker answers a call with the type that its message asks for.
      this.pending.set(call, { kind: 'answer', resolve: resolve as (value: unknown) => void, reject, release })
    })
    return { call, answer }
  }

  /** Events of calls that were cancelled meanwhile are dropped. */
  deliver(call: CallId, event: GenerateEvent): void {
    const pending = this.pending.get(call)
    if (pending === undefined) return
    assert(pending.kind === 'stream', 'events belong to streams')
    const isTerminal = event.type === 'response-end' || event.type === 'response-error'
    if (pending.abortReason !== null) return isTerminal ? this.endAborted(call, event.usage) : undefined
    pending.hasStarted = true
    if (event.type === 'response-start') pending.usage = { ...NO_USAGE, promptTokens: event.promptTokens, cachedTokens: event.cachedTokens }
    if (!pending.queue.push(event)) {
      pending.queue.fail(new InferdError('overloaded', 'the reader of this stream fell too far behind'))
      return this.cancel(call, pending.sendAbort)
    }
    if (isTerminal) {
      pending.queue.end()
      this.remove(call, pending)
    }
  }

  /** The worker's last word about a stream that was aborted. */
  endAborted(call: CallId, usage: Usage): void {
    const pending = this.pending.get(call)
    if (pending?.kind !== 'stream' || pending.abortReason === null) return
    this.remove(call, pending)
    const taken = pending.queue.push({ type: 'response-error', error: toErrorRecord(pending.abortReason), usage })
    if (taken) pending.queue.end()
    else pending.queue.fail(pending.abortReason)
  }

  answer(call: CallId, value: unknown): void {
    const pending = this.pending.get(call)
    if (pending === undefined) return
    assert(pending.kind === 'answer', 'answers belong to single calls')
    this.remove(call, pending)
    pending.resolve(value)
  }

  /** A stream that has begun ends with a `response-error` (its usage knows the prompt only); everything else throws. */
  fail(call: CallId, error: InferdError): void {
    const pending = this.pending.get(call)
    if (pending === undefined) return
    this.remove(call, pending)
    if (pending.kind === 'answer') return pending.reject(error)
    if (pending.abortReason !== null) return pending.queue.fail(pending.abortReason)
    if (!pending.hasStarted) return pending.queue.fail(error)
    const taken = pending.queue.push({ type: 'response-error', error: toErrorRecord(error), usage: pending.usage })
    // A full queue has no room for the event: the reader gets the error itself behind what it has not read.
    if (taken) pending.queue.end()
    else pending.queue.fail(error)
  }

  failAll(error: InferdError): void {
    for (const call of [...this.pending.keys()]) this.fail(call, error)
  }

  private abort(call: CallId, reason: unknown): void {
    const pending = this.pending.get(call)
    if (pending?.kind !== 'stream') return
    if (pending.hasStarted && reason instanceof InferdError) {
      pending.abortReason = reason
      pending.sendAbort(call)
      return
    }
    pending.queue.fail(reason)
    this.cancel(call, pending.sendAbort)
  }

  private cancel(call: CallId, sendAbort: SendAbort): void {
    const pending = this.pending.get(call)
    if (pending === undefined) return
    this.remove(call, pending)
    sendAbort(call)
  }

  private remove(call: CallId, pending: PendingCall): void {
    pending.release()
    this.pending.delete(call)
  }

  private takeCallId(): CallId {
    return this.nextCall++ as CallId
  }
}

/** Hot: per event. */
function countEntries(event: GenerateEvent): number {
  if (event.type !== 'text-delta' || event.logprobs === null) return 1
  let count = 1
  for (const { top } of event.logprobs) count += 1 + top.length
  return count
}
