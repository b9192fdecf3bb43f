/**
 * Frames of `application/vnd.amazon.eventstream`, big endian: u32 length of all, u32 length of the headers, u32 CRC of these eight bytes,
 * headers, payload, u32 CRC of everything before it. A header is u8 length and name, u8 type (7 = string), u16 length and value. CRC-32 of
 * IEEE 802.3. Source: AWS Smithy 2.0, "Event stream: message encoding".
 */
import { crc32 } from 'node:zlib'
import { assert } from '#base/assert'

export const EVENT_STREAM_TYPE = 'application/vnd.amazon.eventstream'

const PRELUDE_BYTES = 12
const CRC_BYTES = 4
const STRING_TYPE = 7
/** Of one payload; the clients' decoders take 16 MiB (24 in all). */
const MAX_PAYLOAD_BYTES = 16 * 2 ** 20

type HeaderRows = readonly (readonly [name: string, value: string])[]

/** Hot: per event. `payload` is sent as it is. */
export function eventFrame(eventType: string, payload: string | Uint8Array, contentType = 'application/json'): Uint8Array {
  return encodeFrame(eventHeaders(eventType, contentType), payload)
}

/** A modelled exception: it ends the stream. */
export function exceptionFrame(exceptionType: string, payload: string): Uint8Array {
  const rows: HeaderRows = [
    [':exception-type', exceptionType],
    [':content-type', 'application/json'],
    [':message-type', 'exception'],
  ]
  return encodeFrame(encodeHeaders(rows), payload)
}

/** What frames of events carry, one after the other, without their frames; exceptions carry none of it. `frames`: whole ones of ours. */
export function payloadsOf(frames: Uint8Array): Uint8Array {
  const view = Buffer.from(frames.buffer, frames.byteOffset, frames.byteLength)
  const payloads: Uint8Array[] = []
  for (let start = 0; start < view.length; start += view.readUInt32BE(start)) {
    const payloadStart = start + PRELUDE_BYTES + view.readUInt32BE(start + 4)
    const isEvent = !view.subarray(start, payloadStart).includes(':exception-type')
    if (isEvent) payloads.push(view.subarray(payloadStart, start + view.readUInt32BE(start) - CRC_BYTES))
  }
  return Buffer.concat(payloads)
}

/** Of a few event types, each encoded once. */
const headersByEvent = new Map<string, Uint8Array>()
const MAX_KEPT_HEADERS = 64

function eventHeaders(eventType: string, contentType: string): Uint8Array {
  const key = `${eventType}\n${contentType}`
  const kept = headersByEvent.get(key)
  if (kept !== undefined) return kept
  const headers = encodeHeaders([
    [':event-type', eventType],
    [':content-type', contentType],
    [':message-type', 'event'],
  ])
  if (headersByEvent.size < MAX_KEPT_HEADERS) headersByEvent.set(key, headers)
  return headers
}

function encodeHeaders(rows: HeaderRows): Uint8Array {
  return Buffer.concat(
    rows.map(([name, value]) => {
      const nameBytes = Buffer.from(name)
      const valueBytes = Buffer.from(value)
      assert(nameBytes.length > 0 && nameBytes.length < 2 ** 8 && valueBytes.length < 2 ** 15, 'a header of a frame is too long')
      const lengths = Buffer.from([STRING_TYPE, valueBytes.length >> 8, valueBytes.length & 0xff])
      return Buffer.concat([Buffer.from([nameBytes.length]), nameBytes, lengths, valueBytes])
    }),
  )
}

function encodeFrame(headers: Uint8Array, payload: string | Uint8Array): Uint8Array {
  const numPayloadBytes = typeof payload === 'string' ? Buffer.byteLength(payload) : payload.length
  assert(numPayloadBytes <= MAX_PAYLOAD_BYTES, 'the payload of a frame is too long')
  const payloadStart = PRELUDE_BYTES + headers.length
  const numBytes = payloadStart + numPayloadBytes + CRC_BYTES
  const frame = Buffer.allocUnsafe(numBytes)
  frame.writeUInt32BE(numBytes, 0)
  frame.writeUInt32BE(headers.length, 4)
  frame.writeUInt32BE(crc32(frame.subarray(0, 8)), 8)
  frame.set(headers, PRELUDE_BYTES)
  if (typeof payload === 'string') frame.write(payload, payloadStart)
  else frame.set(payload, payloadStart)
  frame.writeUInt32BE(crc32(frame.subarray(0, numBytes - CRC_BYTES)), numBytes - CRC_BYTES)
  return frame
}
