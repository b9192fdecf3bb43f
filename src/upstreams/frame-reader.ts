/**
 * Frames of `application/vnd.amazon.eventstream`, however the bytes are cut: u32 length of all, u32 length of the headers, u32 CRC of
 * these, headers, payload, u32 CRC of all before it; big endian. Source: AWS Smithy 2.0, "Event stream: message encoding".
 */
import { crc32 } from 'node:zlib'
import { InferdError } from '#contract/errors'

const PRELUDE_BYTES = 12
const CRC_BYTES = 4
const MAX_FRAME_BYTES = 16 * 2 ** 20
const STRING_TYPE = 7
/** Bytes of a value by type; strings and byte arrays (6, 7) carry their length. */
const VALUE_BYTES: readonly (number | null)[] = [0, 0, 1, 2, 4, 8, null, null, 8, 16]

export interface EventFrame {
  /** Of text; headers of other types are left out. */
  readonly headers: ReadonlyMap<string, string>
  readonly payload: Uint8Array
}

/** Invariant: `pending` is the beginning of one frame, at most MAX_FRAME_BYTES and what one chunk brings. */
export class FrameReader {
  private chunks: Uint8Array[] = []
  private numPending = 0

  /** Throws upstream_failed for a frame that is none. */
  push(bytes: Uint8Array): readonly EventFrame[] {
    this.chunks.push(bytes)
    this.numPending += bytes.length
    const frames: EventFrame[] = []
    for (let frame = this.take(); frame !== null; frame = this.take()) frames.push(frame)
    return frames
  }

  /** Whether the bytes ended between two frames. */
  get isWhole(): boolean {
    return this.numPending === 0
  }

  private take(): EventFrame | null {
    if (this.numPending < PRELUDE_BYTES) return null
    if (this.chunks[0]!.length < PRELUDE_BYTES) this.chunks = [Buffer.concat(this.chunks)]
    const head = viewOf(this.chunks[0]!)
    const numBytes = head.readUInt32BE(0)
    const numHeaderBytes = head.readUInt32BE(4)
    if (head.readUInt32BE(8) !== crc32(head.subarray(0, 8))) throw broken('its checksum is wrong')
    if (numBytes > MAX_FRAME_BYTES || numHeaderBytes + PRELUDE_BYTES + CRC_BYTES > numBytes) throw broken('its lengths are wrong')
    if (this.numPending < numBytes) return null
    const all = viewOf(this.chunks.length === 1 ? this.chunks[0]! : Buffer.concat(this.chunks))
    const frame = all.subarray(0, numBytes)
    this.numPending -= numBytes
    this.chunks = this.numPending === 0 ? [] : [all.subarray(numBytes)]
    if (frame.readUInt32BE(numBytes - CRC_BYTES) !== crc32(frame.subarray(0, numBytes - CRC_BYTES))) throw broken('its checksum is wrong')
    return {
      headers: readHeaders(frame.subarray(PRELUDE_BYTES, PRELUDE_BYTES + numHeaderBytes)),
      payload: frame.subarray(PRELUDE_BYTES + numHeaderBytes, numBytes - CRC_BYTES),
    }
  }
}

function readHeaders(bytes: Buffer): ReadonlyMap<string, string> {
  const headers = new Map<string, string>()
  let at = 0
  const need = (count: number): number => {
    const start = at
    at += count
    if (at > bytes.length) throw broken('a header passes its end')
    return start
  }
  while (at < bytes.length) {
    const nameLength = bytes[need(1)]!
    const nameStart = need(nameLength)
    const name = bytes.toString('utf8', nameStart, nameStart + nameLength)
    const type = bytes[need(1)]!
    const fixed = VALUE_BYTES[type]
    if (fixed === undefined) throw broken('a header has an unknown type')
    const length = fixed ?? bytes.readUInt16BE(need(2 <= bytes.length - at ? 2 : bytes.length + 1))
    const start = need(length)
    if (type === STRING_TYPE) headers.set(name, bytes.toString('utf8', start, start + length))
  }
  return headers
}

function viewOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function broken(why: string): InferdError {
  return new InferdError('upstream_failed', `the upstream sent a frame that is broken: ${why}`)
}
