/**
 * Reads one request body under a byte cap that holds while reading, a time limit, a lowest rate and a bound over all requests.
 * The request is never destroyed here, so that the refusal can still be sent on its socket.
 */
import type { IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { assert } from '#base/assert'
import type { Clock } from '#base/clock'
import { InferdError } from '#contract/errors'
import type { MemoryBudget } from './memory-budget.ts'

export interface BodyLimits {
  readonly bodyLimitBytes: number
  readonly bodyTimeoutMs: number
  readonly minBodyBytesPerSecond: number
  readonly bodyRateGraceMs: number
}

export interface BodyReadArguments {
  readonly request: IncomingMessage
  readonly limits: BodyLimits
  readonly clock: Clock
  readonly memory: MemoryBudget
}

/** A reason of its own: the default one is an exception with a stack, made for each body. */
const READ = new InferdError('cancelled', 'the body is read')
const FIRST_BUFFER_BYTES = 16_384
const MAX_RATE_CHECK_INTERVAL_MS = 1000

/** Throws unsupported_media_type, payload_too_large, overloaded, request_timeout, malformed_body or cancelled. */
export async function readBody({ request, limits, clock, memory }: BodyReadArguments): Promise<Uint8Array> {
  const declared = Number(request.headers['content-length'] ?? 0)
  if (declared > limits.bodyLimitBytes) throw tooLarge(limits.bodyLimitBytes)
  const decoded = decodedStream(request)
  const reading = new AbortController()
  const buffer = new BodyBuffer({ limitBytes: limits.bodyLimitBytes, declaredBytes: declared, memory })
  const arrival: BodyArrival = { numBytes: 0 }
  try {
    const received = collect({ request, decoded, buffer, arrival, limitBytes: limits.bodyLimitBytes, signal: reading.signal })
    return await Promise.race([received, enforceRate({ arrival, limits, clock, signal: reading.signal })])
  } finally {
    reading.abort(READ)
    buffer.release()
    request.unpipe()
    if (decoded !== request) decoded.destroy()
  }
}

interface BodyBufferTerms {
  readonly limitBytes: number
  /** Of the body as it is sent, which may be compressed; 0 = not known. */
  readonly declaredBytes: number
  readonly memory: MemoryBudget
}

/** One growing buffer: a body in millions of tiny chunks costs its bytes, not its chunks. It lives as long as its request: a small one is no larger than it. */
class BodyBuffer {
  private readonly limitBytes: number
  private readonly firstBytes: number
  private readonly memory: MemoryBudget
  private buffer = Buffer.alloc(0)
  private numBytes = 0
  private takenBytes = 0
  private isReleased = false

  constructor({ limitBytes, declaredBytes, memory }: BodyBufferTerms) {
    this.limitBytes = limitBytes
    this.firstBytes = declaredBytes > 0 ? Math.min(declaredBytes, FIRST_BUFFER_BYTES) : FIRST_BUFFER_BYTES
    this.memory = memory
  }

  /** Throws payload_too_large or overloaded. */
  append(chunk: Uint8Array): void {
    assert(!this.isReleased, 'a body that nobody waits for grows')
    const needed = this.numBytes + chunk.length
    if (needed > this.limitBytes) throw tooLarge(this.limitBytes)
    if (needed > this.buffer.length)
      this.grow(Math.min(this.limitBytes, needed <= this.firstBytes ? this.firstBytes : Math.max(FIRST_BUFFER_BYTES, 2 * needed)))
    this.buffer.set(chunk, this.numBytes)
    this.numBytes = needed
  }

  bytes(): Uint8Array {
    return this.buffer.subarray(0, this.numBytes)
  }

  release(): void {
    this.memory.release(this.takenBytes)
    this.takenBytes = 0
    this.isReleased = true
  }

  private grow(capacity: number): void {
    const added = capacity - this.takenBytes
    if (!this.memory.take(added)) throw new InferdError('overloaded', 'too many request bodies are being read')
    this.takenBytes += added
    const larger = Buffer.allocUnsafe(capacity)
    this.buffer.copy(larger, 0, 0, this.numBytes)
    this.buffer = larger
  }
}

/** Also checks that the encoding is one we decode. */
function decodedStream(request: IncomingMessage): Readable {
  const encoding = (request.headers['content-encoding'] ?? 'identity').trim().toLowerCase()
  if (encoding === 'identity') return request
  if (encoding === 'gzip') return request.pipe(createGunzip())
  throw new InferdError('unsupported_media_type', 'content-encoding must be gzip or absent')
}

/** How much of a body has come, as it was sent. Its reader counts: in HTTP/2 a connection carries other requests too. */
export interface BodyArrival {
  numBytes: number
}

/** Asked when nothing more comes. Of HTTP/2 a request that was reset looks complete. */
export function isCutOff(request: IncomingMessage): boolean {
  return !request.complete || request.aborted
}

interface CollectArguments {
  readonly request: IncomingMessage
  readonly decoded: Readable
  readonly buffer: BodyBuffer
  readonly arrival: BodyArrival
  readonly limitBytes: number
  /** Aborted when nobody waits for the body any more: the rest of it is somebody else's to drop. */
  readonly signal: AbortSignal
}

function collect({ request, decoded, buffer, arrival, limitBytes, signal }: CollectArguments): Promise<Uint8Array> {
  const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>()
  const onRaw = (chunk: Buffer): void => {
    arrival.numBytes += chunk.length
    if (arrival.numBytes > limitBytes) fail(tooLarge(limitBytes))
  }
  const onData = (chunk: Buffer): void => {
    try {
      buffer.append(chunk)
    } catch (error) {
      fail(error)
    }
  }
  const onEnd = (): void => {
    if (request.aborted) return fail(cutOff())
    release()
    resolve(buffer.bytes())
  }
  const onClose = (): void => {
    if (isCutOff(request)) fail(cutOff())
  }
  const onDecodeError = (): void => fail(new InferdError('malformed_body', 'the request body is not valid gzip'))
  const fail = (error: unknown): void => {
    release()
    reject(error as Error)
  }
  const release = (): void => {
    request.off('data', onRaw)
    decoded.off('data', onData).off('end', onEnd)
    request.off('close', onClose)
    signal.removeEventListener('abort', release)
  }
  signal.addEventListener('abort', release, { once: true })
  request.on('data', onRaw)
  if (decoded !== request) decoded.on('error', onDecodeError)
  request.on('error', () => {}).on('close', onClose)
  decoded.on('data', onData).on('end', onEnd)
  return promise
}

interface RateArguments {
  readonly arrival: BodyArrival
  readonly limits: BodyLimits
  readonly clock: Clock
  readonly signal: AbortSignal
}

/** Never resolves; rejects when the body is too slow. */
export async function enforceRate({ arrival, limits, clock, signal }: RateArguments): Promise<never> {
  const startMs = clock.nowMs()
  const intervalMs = Math.min(MAX_RATE_CHECK_INTERVAL_MS, limits.bodyTimeoutMs, limits.bodyRateGraceMs)
  for (;;) {
    await sleepQuietly(clock, intervalMs, signal)
    const elapsedMs = clock.nowMs() - startMs
    const tooSlow = elapsedMs >= limits.bodyRateGraceMs && arrival.numBytes < (limits.minBodyBytesPerSecond * elapsedMs) / 1000
    if (tooSlow || elapsedMs >= limits.bodyTimeoutMs) throw new InferdError('request_timeout', 'the request body arrived too slowly')
  }
}

/** After an abort it stays pending for ever: the race it was part of is over. */
async function sleepQuietly(clock: Clock, durationMs: number, signal: AbortSignal): Promise<void> {
  try {
    await clock.sleep(durationMs, signal)
  } catch (error) {
    if (!signal.aborted) throw error
    await new Promise<never>(() => {})
  }
}

function tooLarge(limitBytes: number): InferdError {
  return new InferdError('payload_too_large', `the request body is larger than ${limitBytes} bytes`)
}

export function cutOff(): InferdError {
  return new InferdError('cancelled', 'the client closed the connection while it sent its request')
}
