/**
 * Writes one stream to one response: the head with the first bytes, or when the model has been silent for a while; what is written
 * in one turn of the event loop as one chunk; back-pressure with a cap on unsent bytes; a cut when the reader stalls or is slower
 * than the least rate; heartbeats while the model is silent.
 */
import type { ServerResponse } from 'node:http'
import type { Clock } from '#base/clock'
import { InferdError } from '#contract/errors'
import type { EventStream } from '#server/operation'
import { type AnswerStream, answerStream, cutAnswer } from './answer-stream.ts'

/** A reason of its own: the default one is an exception with a stack, made for each stream. */
const ENDED = new InferdError('cancelled', 'the stream has ended')

const CRLF = Buffer.from('\r\n')

export interface StreamWriterOptions {
  readonly streamBufferBytes: number
  readonly streamStallTimeoutMs: number
  readonly minStreamBytesPerSecond: number
  readonly streamOpenAfterMs: number
  readonly heartbeatMs: number | null
}

export interface StreamWriterArguments {
  readonly response: ServerResponse
  /** Takes the response from the framework and returns the headers it had collected. */
  readonly takeOver: () => Readonly<Record<string, number | string | string[] | undefined>>
  readonly stream: Pick<EventStream, 'headers' | 'heartbeat'>
  readonly options: StreamWriterOptions
  readonly clock: Clock
}

export class StreamWriter {
  private readonly args: StreamWriterArguments
  private readonly response: ServerResponse
  private readonly stream: AnswerStream
  private readonly ended = new AbortController()
  /** What was written in this turn of the event loop and is not yet in the response: text, or bytes, never both. */
  private pending = ''
  private pendingBytes: Uint8Array[] = []
  private numPendingBytes = 0
  private flushIsDue = false
  /** Whether the response's body is in chunks: they are framed here. */
  private isChunked = false
  private lastWriteMs: number
  /** How long the reader may still be waited for: filled by what it takes, up to `streamStallTimeoutMs`. */
  private patienceMs: number
  opened = false

  /** Silence counts from here. The writer must be ended, cut or abandoned. */
  constructor(args: StreamWriterArguments) {
    this.args = args
    this.response = args.response
    this.stream = answerStream(args.response)
    this.patienceMs = args.options.streamStallTimeoutMs
    this.lastWriteMs = args.clock.nowMs()
    this.response.once('close', () => this.ended.abort(ENDED))
    if (args.options.heartbeatMs !== null) this.beat(args.options.heartbeatMs).catch(() => {})
  }

  /** Hot: per event. null = go on; a promise = wait for it before the next event. Bytes after the end are dropped. */
  write(bytes: string | Uint8Array): Promise<void> | null {
    const { stream } = this
    if (bytes.length === 0 || this.ended.signal.aborted || stream.destroyed) return null
    if (!this.opened) this.open()
    const { streamBufferBytes } = this.args.options
    if (typeof bytes === 'string') {
      if (this.numPendingBytes > 0) this.flush()
      this.pending += bytes
    } else {
      if (this.pending !== '') this.flush()
      this.pendingBytes.push(bytes)
      this.numPendingBytes += bytes.length
    }
    if (this.pending.length + this.numPendingBytes > streamBufferBytes) this.flush()
    else this.flushSoon()
    return stream.writableNeedDrain && stream.writableLength > streamBufferBytes ? this.drained() : null
  }

  end(): void {
    if (this.ended.signal.aborted) return
    this.flush()
    this.ended.abort(ENDED)
    // The last chunk and the trailers are the response's own.
    if (this.isChunked) this.response.chunkedEncoding = true
    this.response.end()
  }

  /** Closes the connection without an ending. */
  cut(): void {
    this.ended.abort(ENDED)
    cutAnswer(this.response)
  }

  /** The response was never opened and is answered by somebody else. */
  abandon(): void {
    this.ended.abort(ENDED)
  }

  private open(): void {
    const { takeOver, stream } = this.args
    this.opened = true
    const { response } = this
    response.writeHead(200, { ...takeOver(), ...stream.headers })
    // One write of one string for each chunk; framed by the response it would be three.
    this.isChunked = response.chunkedEncoding === true
    if (this.isChunked) response.chunkedEncoding = false
  }

  /** A tick runs when no promise is left to continue: everything that the model has said by then goes out in one write. */
  private flushSoon(): void {
    if (this.flushIsDue) return
    this.flushIsDue = true
    if (DUE.push(this) === 1) process.nextTick(flushDue)
  }

  /** Public to the tick only. */
  flush(): void {
    this.flushIsDue = false
    const { pending, pendingBytes, numPendingBytes } = this
    if ((pending === '' && numPendingBytes === 0) || this.ended.signal.aborted || this.stream.destroyed) return
    this.lastWriteMs = this.args.clock.nowMs()
    if (pending === '') {
      this.pendingBytes = []
      this.numPendingBytes = 0
      this.sendBytes(pendingBytes, numPendingBytes)
    } else {
      this.pending = ''
      this.sendText(pending)
    }
  }

  /** RFC 9112, section 7.1: the length in hexadecimal digits, then the chunk. */
  private sendText(text: string): void {
    this.send(this.isChunked ? `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n` : text)
  }

  private sendBytes(parts: readonly Uint8Array[], numBytes: number): void {
    this.send(Buffer.concat(this.isChunked ? [Buffer.from(`${numBytes.toString(16)}\r\n`), ...parts, CRLF] : parts))
  }

  /** A response leaves its socket corked until the next tick; what is whole goes at once, without a tick of its own. */
  private send(data: string | Uint8Array): void {
    const { response } = this
    const socket = this.isChunked ? response.socket : null
    socket?.cork()
    response.write(data)
    socket?.uncork()
  }

  private sendHeartbeat(heartbeat: string | Uint8Array): void {
    if (typeof heartbeat === 'string') this.sendText(heartbeat)
    else this.sendBytes([heartbeat], heartbeat.length)
  }

  /** Ends with a rejection when the stream ends. */
  private async beat(heartbeatMs: number): Promise<never> {
    const { clock, options, stream } = this.args
    // The stream may open at any time: no sleep is longer than a heartbeat.
    const dueMs = (): number => this.lastWriteMs + (this.opened ? heartbeatMs : options.streamOpenAfterMs) - clock.nowMs()
    for (;;) {
      await clock.sleep(Math.max(1, Math.min(dueMs(), heartbeatMs)), this.ended.signal)
      if (dueMs() > 0) continue
      if (!this.opened) this.open()
      if (stream.heartbeat === null) this.response.flushHeaders()
      else if (!this.stream.writableNeedDrain) this.sendHeartbeat(stream.heartbeat)
      this.lastWriteMs = clock.nowMs()
    }
  }

  /** Resolves when the reader has caught up or is gone; rejects when it stalls, or has been too slow for too long. */
  private async drained(): Promise<void> {
    const { stream, patienceMs } = this
    const { clock, options } = this.args
    const settled = new AbortController()
    const { promise: caughtUp, resolve } = Promise.withResolvers<void>()
    stream.once('drain', resolve)
    stream.once('close', resolve)
    const startMs = clock.nowMs()
    const numUnsentBytes = stream.writableLength
    const stalled = clock.sleep(patienceMs, settled.signal).then(() => {
      throw new InferdError('cancelled', 'the client stopped reading its stream')
    })
    try {
      await Promise.race([caughtUp, stalled])
      const earnedMs = (numUnsentBytes * 1000) / options.minStreamBytesPerSecond
      this.patienceMs = Math.min(options.streamStallTimeoutMs, patienceMs - (clock.nowMs() - startMs) + earnedMs)
    } finally {
      stream.off('drain', resolve)
      stream.off('close', resolve)
      settled.abort(ENDED)
      stalled.catch(() => {})
    }
  }
}

/** Written to since the last tick: one step of a model speaks in many streams, and they share the tick. */
const DUE: StreamWriter[] = []

function flushDue(): void {
  for (const writer of DUE.splice(0)) writer.flush()
}
