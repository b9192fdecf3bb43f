/** What a turn has to tell the sinks, in order. Filled by the scheduler, delivered by the core. Records are reused: no allocation per token. */
import type { InferdError } from '#contract/errors'
import type { FinishReason } from '#contract/generate'
import type { ActiveRequest } from './active-request.ts'

type StepEventKind = 'start' | 'token' | 'choice-end' | 'embedding' | 'end' | 'error'

/** Fields that a kind does not name are stale. */
export interface StepEvent {
  kind: StepEventKind
  /** Null in a record that waits for reuse. */
  request: ActiveRequest | null
  /** token, choice-end. */
  choice: number
  /** token. */
  tokenId: number
  /** token: logit row of the step's output. */
  logitRow: number
  /** choice-end. */
  reason: FinishReason
  /** choice-end. */
  stopTokenId: number | null
  /** error. */
  error: InferdError | null
}

export class StepEvents {
  private readonly events: StepEvent[] = []
  private count = 0

  get numEvents(): number {
    return this.count
  }

  at(index: number): StepEvent {
    return this.events[index]!
  }

  clear(): void {
    // Ended requests must not stay reachable from here.
    for (let index = 0; index < this.count; index++) this.events[index]!.request = null
    this.count = 0
  }

  start(request: ActiveRequest): void {
    this.next('start', request)
  }

  /** Hot: per token. */
  token(request: ActiveRequest, token: { readonly choice: number; readonly tokenId: number; readonly logitRow: number }): void {
    const event = this.next('token', request)
    event.choice = token.choice
    event.tokenId = token.tokenId
    event.logitRow = token.logitRow
  }

  choiceEnd(request: ActiveRequest, end: { readonly choice: number; readonly reason: FinishReason; readonly stopTokenId: number | null }): void {
    const event = this.next('choice-end', request)
    event.choice = end.choice
    event.reason = end.reason
    event.stopTokenId = end.stopTokenId
  }

  embedding(request: ActiveRequest): void {
    this.next('embedding', request)
  }

  end(request: ActiveRequest): void {
    this.next('end', request)
  }

  error(request: ActiveRequest, error: InferdError): void {
    this.next('error', request).error = error
  }

  private next(kind: StepEventKind, request: ActiveRequest): StepEvent {
    const index = this.count++
    const known = this.events[index]
    if (known !== undefined) {
      known.kind = kind
      known.request = request
      return known
    }
    const made: StepEvent = { kind, request, choice: 0, tokenId: 0, logitRow: 0, reason: 'stop', stopTokenId: null, error: null }
    this.events.push(made)
    return made
  }
}
