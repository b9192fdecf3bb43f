/** Admission as a stage: the first event waits for a place, the others pass untouched. */
import type { OnlineCall } from '#contract/call'
import { InferdError } from '#contract/errors'
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
  /** The wait for a place; a call is admitted once, however often it is asked for an event meanwhile. */
  private opening: Promise<AsyncIterator<GenerateEvent>> | null = null
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
    if (this.hasLeft) return { value: undefined, done: true }
    this.opening ??= this.open()
    return (await this.opening).next()
  }

  private async open(): Promise<AsyncIterator<GenerateEvent>> {
    const { admission, next, call, signal } = this.parts
    const waiting = admission.admit(call, signal)
    if (waiting !== null) await waiting
    if (this.hasLeft) throw new InferdError('cancelled', 'the caller left before its turn')
    this.inner = next(call, signal)[Symbol.asyncIterator]()
    return this.inner
  }
}
