/**
 * Reads a GGUF header front to back through a bounded window. Every length is compared with the bytes left in the file
 * before anything is allocated for it, so what a header can make us allocate is its own size times a small constant.
 */
import type { InferdError } from '#contract/errors'
import { invalidFile, unsupportedFile, type ByteSource } from '../byte-source.ts'

const WINDOW_BYTES = 256 * 1024
/** Longest string value: far above any chat template. */
const MAX_STRING_BYTES = 16 * 1024 * 1024

export class HeaderCursor {
  /** What is being read, for messages: `key "general.name"`, `tensor 3 "output.weight" dimensions`. */
  field = 'header'
  private readonly source: ByteSource
  private window: Buffer<ArrayBuffer>
  private view: DataView
  /** File offset of window[0]. */
  private windowStart = 0
  /** Valid bytes in the window. */
  private windowLength = 0
  /** Next byte, relative to the window. */
  private at = 0

  constructor(source: ByteSource) {
    this.source = source
    this.window = Buffer.from(new ArrayBuffer(Math.min(WINDOW_BYTES, source.byteLength)))
    this.view = new DataView(this.window.buffer)
  }

  /** File offset of the next byte. */
  get offset(): number {
    return this.windowStart + this.at
  }

  get bytesLeft(): number {
    return this.source.byteLength - this.offset
  }

  invalid(reason: string, byteOffset = this.offset): InferdError {
    return invalidFile(this.source, this.field, byteOffset, reason)
  }

  unsupported(reason: string, byteOffset = this.offset): InferdError {
    return unsupportedFile(this.source, this.field, byteOffset, reason)
  }

  readUint8(): number {
    return this.view.getUint8(this.take(1))
  }

  readInt8(): number {
    return this.view.getInt8(this.take(1))
  }

  readUint16(): number {
    return this.view.getUint16(this.take(2), true)
  }

  readInt16(): number {
    return this.view.getInt16(this.take(2), true)
  }

  readUint32(): number {
    return this.view.getUint32(this.take(4), true)
  }

  readInt32(): number {
    return this.view.getInt32(this.take(4), true)
  }

  readFloat32(): number {
    return this.view.getFloat32(this.take(4), true)
  }

  readFloat64(): number {
    return this.view.getFloat64(this.take(8), true)
  }

  readBigUint64(): bigint {
    return this.view.getBigUint64(this.take(8), true)
  }

  readBigInt64(): bigint {
    return this.view.getBigInt64(this.take(8), true)
  }

  /** A u64 that counts or locates something. Throws beyond 2^53 - 1: no file is that long. */
  readSize(what: string): number {
    const at = this.take(8)
    const high = this.view.getUint32(at + 4, true)
    if (high >= 2 ** 21) throw this.invalid(`${what} ${this.view.getBigUint64(at, true)} is absurd`, this.offset - 8)
    return high * 2 ** 32 + this.view.getUint32(at, true)
  }

  /** A count of things that take at least `minBytesEach`: throws when the rest of the file cannot hold them. */
  readCount(what: string, limits: { readonly minBytesEach: number; readonly maxCount: number }): number {
    const count = this.readSize(what)
    if (count > limits.maxCount) throw this.invalid(`${what} ${count} exceeds the limit of ${limits.maxCount}`, this.offset - 8)
    if (count * limits.minBytesEach > this.bytesLeft) {
      throw this.invalid(`${what} ${count} does not fit the ${this.bytesLeft} bytes that are left`, this.offset - 8)
    }
    return count
  }

  /** Bytes that are not UTF-8 become U+FFFD: vocabularies hold such. */
  readString(maxBytes = MAX_STRING_BYTES): string {
    const byteLength = this.readCount('string length', { minBytesEach: 1, maxCount: maxBytes })
    const at = this.take(byteLength)
    return this.window.toString('utf8', at, at + byteLength)
  }

  /** Fills `target` with the next bytes; the caller has checked that the file holds them. */
  readBytes(target: Uint8Array): void {
    const buffered = Math.min(target.length, this.windowLength - this.at)
    target.set(this.window.subarray(this.at, this.at + buffered))
    this.at += buffered
    if (buffered === target.length) return
    const rest = target.subarray(buffered)
    this.source.readInto(rest, this.offset)
    this.windowStart = this.offset + rest.length
    this.windowLength = 0
    this.at = 0
  }

  /** Makes the next `byteLength` bytes contiguous in the window and steps over them; returns where they begin. */
  private take(byteLength: number): number {
    if (this.at + byteLength > this.windowLength) this.refill(byteLength)
    const at = this.at
    this.at += byteLength
    return at
  }

  private refill(byteLength: number): void {
    if (byteLength > this.bytesLeft) throw this.invalid(`the file ends: ${byteLength} bytes wanted, ${this.bytesLeft} left`)
    const start = this.offset
    if (byteLength > this.window.length) {
      this.window = Buffer.from(new ArrayBuffer(byteLength))
      this.view = new DataView(this.window.buffer)
    }
    const length = Math.min(this.window.length, this.source.byteLength - start)
    this.source.readInto(this.window.subarray(0, length), start)
    this.windowStart = start
    this.windowLength = length
    this.at = 0
  }
}
