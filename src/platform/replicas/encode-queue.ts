/**
 * Long prompts stand here before they are encoded, one per turn of the event loop, so that the steps of running requests go on in between.
 */
import { InferdError } from '#contract/errors'
import type { CallId } from './messages.ts'

export interface QueuedCall {
  /** UTF-16 units of text, or tokens. */
  readonly length: number
  /** Encodes and starts the call; must not throw. */
  readonly start: () => void
}

/** Shorter prompts cost a fraction of a millisecond and start at once. */
export const MAX_IMMEDIATE_LENGTH = 4096
/** Text of all queued calls. */
const MAX_QUEUED_LENGTH = 67_108_864

export class EncodeQueue {
  /** In order of arrival. */
  private readonly calls = new Map<CallId, QueuedCall>()
  private queuedLength = 0
  private maxCalls = Infinity
  private isScheduled = false

  limit(maxCalls: number): void {
    this.maxCalls = maxCalls
  }

  /** Throws InferdError('overloaded') when the queue is full. */
  add(call: CallId, queued: QueuedCall): void {
    if (this.calls.size >= this.maxCalls || this.queuedLength + queued.length > MAX_QUEUED_LENGTH) {
      throw new InferdError('overloaded', `${this.calls.size} requests with long prompts wait already`)
    }
    this.calls.set(call, queued)
    this.queuedLength += queued.length
    this.schedule()
  }

  /** The call will not start. */
  remove(call: CallId): void {
    this.queuedLength -= this.calls.get(call)?.length ?? 0
    this.calls.delete(call)
  }

  /** Empties the queue. */
  takeAll(): readonly CallId[] {
    const calls = [...this.calls.keys()]
    for (const call of calls) this.remove(call)
    return calls
  }

  private schedule(): void {
    if (this.isScheduled || this.calls.size === 0) return
    this.isScheduled = true
    setImmediate(() => this.startOne())
  }

  private startOne(): void {
    this.isScheduled = false
    const [next] = this.calls
    if (next === undefined) return
    const [call, { start }] = next
    this.remove(call)
    this.schedule()
    start()
  }
}
