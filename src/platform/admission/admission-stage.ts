/** Admission as a stage: the first event waits for a place, the others pass untouched. */
import type { OnlineCall } from '#contract/call'
import type { GenerateEvent } from '#contract/generate'
import type { EmbedHandler } from '#platform/online/embed-handler'
import type { CallHandler, Stage } from '#platform/online/stage'
import type { Admission } from './admission.ts'

/** What the call holds is given back by the metering around this stage. */
export function admissionStage(admission: Admission): Stage {
  return (next) => (call, signal) => new AdmittedEvents({ admission, next, call, signal })
}

export function admittedEmbedding(admission: Admission, next: EmbedHandler): EmbedHandler {
  return async (call, signal) => {
    await admission.admit(call, signal)
    return next(call, signal)
  }
}

interface AdmittedParts {
  readonly admission: Admission
  readonly next: CallHandler
  readonly call: OnlineCall
  readonly signal: AbortSignal
}

class AdmittedEvents implements AsyncIterableIterator<GenerateEvent> {
  private readonly parts: AdmittedParts
  private inner: AsyncIterator<GenerateEvent> | null = null
  private hasLeft = false

  constructor(parts: AdmittedParts) {
    this.parts = parts
  }

  /** Hot: per event. */
  next(): Promise<IteratorResult<GenerateEvent>> {
    return this.inner === null ? this.begin() : this.inner.next()
  }

  async return(): Promise<IteratorResult<GenerateEvent>> {
    this.hasLeft = true
    await this.inner?.return?.()
    return { value: undefined, done: true }
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  private async begin(): Promise<IteratorResult<GenerateEvent>> {
    const { admission, next, call, signal } = this.parts
    if (this.hasLeft) return { value: undefined, done: true }
    const waiting = admission.admit(call, signal)
    if (waiting !== null) await waiting
    this.inner = next(call, signal)[Symbol.asyncIterator]()
    return this.inner.next()
  }
}
