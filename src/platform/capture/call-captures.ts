/**
 * Captures of all endpoints: which calls are kept, and their way to the objects. Nothing here waits for a store or fails a call: what there is no
 * room for is dropped and counted.
 */
import type { Clock } from '#base/clock'
import type { AnsweredCall, CallCaptures, CaptureTee, CaptureTerms } from '#contract/capture'
import type { ObjectStores } from '#contract/objects'
import type { Log } from '#telemetry/log'
import { AnswerTee, type KeptAnswer } from './answer-tee.ts'
import { CaptureLane } from './capture-lane.ts'
import type { CapturePlace } from './capture-object.ts'
import type { CaptureOptions, CaptureWatch } from './capture-options.ts'
import type { CapturedBody, CaptureRecord } from './capture-record.ts'
import { HeldBytes } from './held-bytes.ts'
import { samplePlace } from './sample.ts'

/** A unit whose calls are kept. */
export interface UnitCapture {
  readonly unit: string
  readonly variant: string
  readonly terms: CaptureTerms
}

export interface CapturesParts {
  readonly objects: ObjectStores
  readonly options: CaptureOptions
  readonly watch: CaptureWatch
  readonly clock: Clock
  readonly log: Log
}

interface EndpointCapture {
  readonly endpoint: string
  readonly units: readonly UnitCapture[]
  /** The largest of its units: a call beyond it is in nobody's sample. */
  readonly maxPercent: number
  readonly keepsAnswers: boolean
}

interface KeptCall {
  readonly requestId: string
  readonly place: number
  readonly capture: EndpointCapture
}

/** Of a record beside its bodies. */
const RECORD_BYTES = 512

export class EndpointCaptures implements CallCaptures {
  private readonly parts: CapturesParts
  private readonly held: HeldBytes
  /** By each name that leads to units that are captured: the endpoint's and those of its variants. */
  private readonly byName = new Map<string, EndpointCapture>()
  /** By endpoint, those names. */
  private readonly namesOf = new Map<string, readonly string[]>()
  private readonly lanes = new Map<string, CaptureLane>()
  private isClosed = false

  constructor(parts: CapturesParts) {
    this.parts = parts
    this.held = new HeldBytes(parts.options.maxHeldBytes, (numBytes) => parts.watch.onHeld(numBytes))
  }

  /** In the place of what was put for it before; calls that run keep their terms. */
  put(endpoint: string, units: readonly UnitCapture[]): void {
    for (const name of this.namesOf.get(endpoint) ?? []) this.byName.delete(name)
    this.namesOf.delete(endpoint)
    const kept = units.filter(({ terms }) => terms.isEnabled && terms.percent > 0)
    if (kept.length === 0) return
    const maxPercent = Math.max(...kept.map(({ terms }) => terms.percent))
    const keepsAnswers = kept.some(({ terms }) => terms.output)
    const names = [...new Set([endpoint, ...kept.map(({ variant }) => `${endpoint}/${variant}`)])]
    for (const name of names) this.byName.set(name, { endpoint, units: kept, maxPercent, keepsAnswers })
    this.namesOf.set(endpoint, names)
  }

  begin(model: string, requestId: string): CaptureTee | null {
    const capture = this.byName.get(model)
    if (capture === undefined) return null
    const place = samplePlace(requestId)
    if (place >= capture.maxPercent) return null
    const call: KeptCall = { requestId, place, capture }
    return new AnswerTee({
      keepsAnswer: capture.keepsAnswers,
      maxBodyBytes: this.parts.options.maxBodyBytes,
      held: this.held,
      onFinish: (answered, answer) => this.keep(call, answered, answer),
    })
  }

  /** Writes what waits, for at most so long; what is left then is dropped. */
  async close(timeoutMs: number): Promise<void> {
    const done = new AbortController()
    const flushed = Promise.all([...this.lanes.values()].map((lane) => lane.flush()))
    await Promise.race([flushed, this.parts.clock.sleep(timeoutMs, done.signal).catch(() => {})])
    done.abort()
    this.isClosed = true
    this.byName.clear()
    await Promise.all([...this.lanes.values()].map((lane) => lane.close()))
  }

  private keep({ requestId, place, capture }: KeptCall, { servedBy, inferenceId, request }: AnsweredCall, answer: KeptAnswer): void {
    const { held, parts } = this
    const answerBytes = answer.kind === 'kept' ? answer.body.bytes.length : 0
    const found = servedBy === null ? undefined : unitFor(capture, servedBy)
    if (found === undefined || place >= found.terms.percent) return held.release(answerBytes)
    const { terms, variant } = found
    const at: CapturePlace = { endpoint: capture.endpoint, variant, terms }
    const input = terms.input ? cut(request.contentType, request.bytes, parts.options.maxBodyBytes) : null
    const inputBytes = (input?.bytes.length ?? 0) + RECORD_BYTES
    const isLost = this.isClosed || (terms.output && answer.kind === 'lost') || !held.take(inputBytes)
    if (isLost) {
      held.release(answerBytes)
      return parts.watch.onDropped(at, 1, this.isClosed ? 'shutdown' : 'full')
    }
    const output = terms.output && answer.kind === 'kept' ? answer.body : null
    if (output === null) held.release(answerBytes)
    for (const body of [input, output]) if (body?.isTruncated === true) parts.watch.onTruncated(at)
    const record: CaptureRecord = { requestId, inferenceId, wallMs: parts.clock.wallMs(), input, output }
    this.laneOf(at).add({ record, numBytes: inputBytes + (output?.bytes.length ?? 0) })
  }

  private laneOf(place: CapturePlace): CaptureLane {
    const key = JSON.stringify([place.endpoint, place.variant, place.terms])
    let lane = this.lanes.get(key)
    if (lane === undefined) {
      lane = new CaptureLane({ ...this.parts, place, held: this.held }, () => this.lanes.delete(key))
      this.lanes.set(key, lane)
    }
    return lane
  }
}

/** An answer that was kept from an earlier generation (the response cache) counts for the variant of the same name. */
function unitFor({ endpoint, units }: EndpointCapture, servedBy: string): UnitCapture | undefined {
  return units.find(({ unit }) => unit === servedBy) ?? units.findLast(({ variant }) => servedBy.startsWith(`${endpoint}/${variant}@`))
}

/** A cut body is a copy: a view would keep all of it. */
function cut(contentType: string, bytes: Uint8Array, maxBytes: number): CapturedBody {
  const isTruncated = bytes.length > maxBytes
  return { contentType, bytes: isTruncated ? bytes.slice(0, maxBytes) : bytes, isTruncated }
}
