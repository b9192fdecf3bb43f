/**
 * The records of one variant on their way to its objects: a batch that is being filled, batches that wait, one at a time that is written. An
 * object has its name before the first attempt and keeps it, so that no record is in two.
 */
import { setImmediate } from 'node:timers/promises'
import { assert } from '#base/assert'
import type { Clock } from '#base/clock'
import { randomUuid } from '#base/random'
import { InferdError, toErrorRecord } from '#contract/errors'
import type { ObjectStores } from '#contract/objects'
import type { Log } from '#telemetry/log'
import { captureKey, type CapturePlace, hourOf } from './capture-object.ts'
import type { CaptureOptions, CaptureWatch } from './capture-options.ts'
import { type CaptureRecord, encodeRecord } from './capture-record.ts'
import type { HeldBytes } from './held-bytes.ts'

export interface LaneParts {
  readonly place: CapturePlace
  readonly objects: ObjectStores
  readonly options: CaptureOptions
  readonly held: HeldBytes
  readonly watch: CaptureWatch
  readonly clock: Clock
  readonly log: Log
}

/** `numBytes` of it are taken from `held`. */
export interface HeldRecord {
  readonly record: CaptureRecord
  readonly numBytes: number
}

interface Batch {
  readonly uuid: string
  readonly wallMs: number
  readonly records: CaptureRecord[]
  numBytes: number
  /** Ends its timer, which would keep its records. */
  readonly timer: AbortController
}

/** Characters that are encoded in one go. */
const CHUNK_LENGTH = 65_536
/** What trying again does not mend. */
const FINAL_CODES = ['invalid_parameter', 'resource_not_found', 'conflict', 'payload_too_large']
/** Of the text of a batch: its bytes escaped are far below. */
const MAX_OBJECT_BYTES = 2 ** 30
const TIMED_OUT = new InferdError('store_failed', 'the object store took too long to write a batch of captured calls')
/** A reason of its own: the default one is an exception with a stack, made for each batch. */
const SEALED = new InferdError('cancelled', 'the batch is full')
const CLOSED = new InferdError('shutting_down', 'the server is shutting down')

export class CaptureLane {
  private readonly parts: LaneParts
  private filling: Batch | null = null
  /** Oldest first; the first of them is being written. */
  private readonly sealed: Batch[] = []
  /** Of all its batches. */
  private numBytes = 0
  private writing: Promise<void> | null = null
  /** Told when nothing waits any more, so that a lane of which nothing is left goes. */
  private readonly onEmpty: () => void
  private readonly closing = new AbortController()
  private isFlushing = false
  /** Ends the rest before the next attempt. */
  private hurry = new AbortController()

  constructor(parts: LaneParts, onEmpty: () => void) {
    this.parts = parts
    this.onEmpty = onEmpty
  }

  /** Takes it over, to be released when it is written or dropped. */
  add({ record, numBytes }: HeldRecord): void {
    const { options, place, held, watch } = this.parts
    if (this.closing.signal.aborted || this.numBytes + numBytes > options.maxLaneBytes) {
      held.release(numBytes)
      watch.onDropped(place, 1, this.closing.signal.aborted ? 'shutdown' : 'full')
      return
    }
    if (this.filling !== null && hourOf(this.filling.wallMs) !== hourOf(record.wallMs)) this.seal()
    const batch = (this.filling ??= this.newBatch(record.wallMs))
    batch.records.push(record)
    batch.numBytes += numBytes
    this.numBytes += numBytes
    if (batch.numBytes >= options.batchBytes || batch.records.length >= options.batchRecords || this.isFlushing) this.seal()
  }

  /** Writes what there is, at once; resolves when nothing is left. */
  async flush(): Promise<void> {
    this.isFlushing = true
    this.seal()
    this.hurry.abort()
    await this.writing
  }

  /** What is not written by now is dropped. */
  async close(): Promise<void> {
    this.seal()
    this.closing.abort(CLOSED)
    await this.writing
  }

  private newBatch(wallMs: number): Batch {
    const { clock, options } = this.parts
    const timer = new AbortController()
    clock.sleep(options.flushMs, timer.signal).then(
      () => this.seal(),
      () => {},
    )
    return { uuid: randomUuid(), wallMs, records: [], numBytes: 0, timer }
  }

  private seal(): void {
    if (this.filling === null) return
    this.filling.timer.abort(SEALED)
    this.sealed.push(this.filling)
    this.filling = null
    this.writing ??= this.writeAll().finally(() => {
      this.writing = null
      if (this.filling === null) this.onEmpty()
    })
  }

  private async writeAll(): Promise<void> {
    const { place, held, watch } = this.parts
    for (let batch = this.sealed[0]; batch !== undefined; batch = this.sealed[0]) {
      const outcome = await this.write(batch)
      if (outcome === 'written') watch.onWritten(place, batch.records.length)
      else watch.onDropped(place, batch.records.length, outcome)
      this.sealed.shift()
      this.numBytes -= batch.numBytes
      held.release(batch.numBytes)
    }
    assert(this.numBytes === (this.filling?.numBytes ?? 0), 'a lane counts bytes that it does not hold')
  }

  private async write(batch: Batch): Promise<'written' | 'refused' | 'shutdown'> {
    const { place, options, watch, log } = this.parts
    const labels = { endpoint: place.endpoint, variant: place.variant }
    for (let restMs = options.retryMs, isFirst = true; !this.closing.signal.aborted; restMs = Math.min(options.maxRetryMs, restMs * 2)) {
      try {
        await this.put(batch)
        if (!isFirst) log.info(labels, 'captured calls are written again')
        return 'written'
      } catch (error) {
        if (this.closing.signal.aborted) break
        const { code, message } = toErrorRecord(error)
        watch.onFailure(place)
        if (isFirst) log.warn({ ...labels, code, reason: message }, 'captured calls could not be written')
        if (FINAL_CODES.includes(code)) return 'refused'
      }
      isFirst = false
      await this.rest(restMs)
    }
    return 'shutdown'
  }

  /** A flush ends it, once. */
  private async rest(restMs: number): Promise<void> {
    const { signal } = this.hurry
    await this.parts.clock.sleep(restMs, AbortSignal.any([signal, this.closing.signal])).catch(() => {})
    if (signal.aborted) this.hurry = new AbortController()
  }

  private async put(batch: Batch): Promise<void> {
    const { place, objects, options, clock } = this.parts
    const { bucket, key } = objects.locate(place.terms.team, place.terms.uri)
    const over = new AbortController()
    const late = new AbortController()
    const timer = clock.sleep(options.writeTimeoutMs, over.signal).then(() => late.abort(TIMED_OUT))
    timer.catch(() => {})
    const signal = AbortSignal.any([late.signal, this.closing.signal])
    const name = captureKey(key, place, batch.wallMs, batch.uuid)
    try {
      // An attempt that was thought lost may have come through: then the object is there.
      await bucket.put(name, this.lines(batch), { contentType: 'application/jsonl', maxBytes: MAX_OBJECT_BYTES, ifAbsent: true }, signal)
    } finally {
      over.abort()
    }
  }

  /** Encoded when they are written, not while their callers wait, and with turns for everybody else between. */
  private async *lines({ records }: Batch): AsyncGenerator<Uint8Array> {
    let pieces: string[] = []
    let length = 0
    for (const record of records) {
      for (const piece of encodeRecord(record, this.parts.place.terms)) {
        pieces.push(piece)
        length += piece.length
        if (length < CHUNK_LENGTH) continue
        yield Buffer.from(pieces.join(''))
        pieces = []
        length = 0
        await setImmediate()
      }
    }
    if (length > 0) yield Buffer.from(pieces.join(''))
  }
}
