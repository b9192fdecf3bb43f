/** Frames of AWS event streams in words, read by the official codec, which checks both checksums of each. */
import { EventStreamCodec } from '@smithy/core/event-streams'

const PRELUDE_BYTES = 4
const codec = new EventStreamCodec(
  (bytes) => (typeof bytes === 'string' ? bytes : Buffer.from(bytes).toString()),
  (text) => Buffer.from(text),
)

/** One line a frame: its headers, and its payload; the bytes inside a payload part are shown after it. */
export function decodeFrames(bytes: Buffer): string[] {
  const lines: string[] = []
  for (let start = 0; start < bytes.length;) {
    const length = bytes.subarray(start, start + PRELUDE_BYTES).readUInt32BE()
    const { headers, body } = codec.decode(bytes.subarray(start, start + length))
    const names = Object.entries(headers).map(([name, { type, value }]) => `${name}=${String(value)} (${type})`)
    lines.push(`${names.join(', ')}: ${shown(Buffer.from(body).toString())}`)
    start += length
  }
  return lines
}

/** InvokeModelWithResponseStream wraps the model's own JSON as base64. */
function shown(payload: string): string {
  const [, wrapped] = /^\{"bytes":"([^"]*)"/.exec(payload) ?? []
  return wrapped === undefined ? JSON.stringify(payload) : `${payload} = ${Buffer.from(wrapped, 'base64').toString()}`
}
