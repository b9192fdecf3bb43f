/** The bytes of an output as a text that every store keeps: UTF-8 as it is, everything else in base64. */

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const TEXT = 't'
const BASE64 = 'b'

export function keepOutput(bytes: Uint8Array): string {
  try {
    const text = strictUtf8.decode(bytes)
    // PostgreSQL keeps no zero characters.
    if (!text.includes('\0')) return TEXT + text
  } catch {
    // No text at all.
  }
  return BASE64 + Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64')
}

export function keptOutput(line: string): Uint8Array {
  return Buffer.from(line.slice(1), line.startsWith(BASE64) ? 'base64' : 'utf8')
}
