/** Admission as a stage: the first event waits for a place, the others pass untouched. */
import type { OnlineCall, ServiceTier } from '#contract/call'
import { InferdError } from '#contract/errors'
import type { GenerateEvent } from '#contract/generate'
import type { Lane } from '#contract/lane'
import type { EmbedHandler } from '#platform/online/embed-handler'
import type { CallHandler, Stage } from '#platform/online/stage'
import type { AdmittedCall, Admission } from './admission.ts'

/** What the call holds is given back by the metering around this stage. */
export function admissionStage(admission: Admission): Stage {
  return (next) => (call, signal) => new AdmittedEvents({ admission, next, call, signal })
}

export function admittedEmbedding(admission: Admission, next: EmbedHandler): EmbedHandler {
  return async (call, signal) => {
    await admission.admit(call, signal)
    return next(inLane(call), signal)
  }
}

/** Decided here: what was taken of a reservation goes first, and what is left is all that the tier flex asks for. */
function inLane<Call extends AdmittedCall>(call: Call): Call {
  const lane = LANES[call.report.tier]
  return lane === 'shared' ? call : { ...call, request: { ...call.request, lane } }
}

const LANES: Readonly<Record<ServiceTier, Lane>> = { reserved: 'reserved', priority: 'shared', default: 'shared', flex: 'background' }

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
    this.inner = next(inLane(call), signal)[Symbol.asyncIterator]()
    return this.inner
  }
}
