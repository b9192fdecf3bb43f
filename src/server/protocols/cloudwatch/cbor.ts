/**
 * CBOR (RFC 8949) as far as Smithy's RPC v2 uses it: maps with text keys, arrays, text, numbers, booleans, null, and times as tag 1. Whatever
 * else there is (bytes, big numbers, other keys) is refused. Decoding is bounded by the bytes and by depth: lengths are never trusted.
 */
import { InferdError } from '#contract/errors'

const MAX_DEPTH = 32
const BREAK = 0xff
const EPOCH_TAG = 1
/** Additional information of a head. */
const ONE_BYTE = 24
const INDEFINITE = 31

interface Head {
  readonly major: number
  readonly info: number
  /** Length, number or tag; NaN where the length is indefinite. */
  readonly value: number
}

/** Throws malformed_body. */
export function decodeCbor(bytes: Uint8Array): unknown {
  const reader = new CborReader(bytes)
  const value = reader.item(0)
  if (!reader.isAtEnd) throw malformed('there is more after its end')
  return value
}

class CborReader {
  private readonly bytes: Uint8Array
  private readonly view: DataView
  private at = 0

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get isAtEnd(): boolean {
    return this.at === this.bytes.byteLength
  }

  item(depth: number): unknown {
    if (depth > MAX_DEPTH) throw malformed('it is nested too deep')
    const { major, info, value } = this.head()
    switch (major) {
      case 0:
        return value
      case 1:
        return -1 - value
      case 3:
        return Number.isNaN(value) ? this.pieces().join('') : this.text(value)
      case 4: {
        const list: unknown[] = []
        this.each(value, () => list.push(this.item(depth + 1)))
        return list
      }
      case 5: {
        const map: [string, unknown][] = []
        this.each(value, () => {
          const key = this.item(depth + 1)
          if (typeof key !== 'string') throw malformed('a key is no text')
          map.push([key, this.item(depth + 1)])
        })
        return Object.fromEntries(map)
      }
      case 6: {
        if (value !== EPOCH_TAG) throw malformed('it has a tag that is not known')
        const seconds = this.item(depth + 1)
        if (typeof seconds !== 'number') throw malformed('a time is no number')
        return seconds
      }
      case 7:
        return this.simple(info, value)
      default:
        throw malformed('it has bytes')
    }
  }

  private head(): Head {
    const first = this.byte()
    const [major, info] = [first >> 5, first & 31]
    if (info < ONE_BYTE) return { major, info, value: info }
    if (info === INDEFINITE && major >= 3 && major <= 5) return { major, info, value: Number.NaN }
    if (info > 27) throw malformed('a length is not valid')
    const length = 2 ** (info - ONE_BYTE)
    const start = this.take(length)
    // Floats and numbers are told apart by the major type; `simple` reads its own bytes again.
    if (major === 7) return { major, info, value: start }
    const value = length === 8 ? Number(this.view.getBigUint64(start)) : unsigned(this.view, start, length)
    if (!Number.isSafeInteger(value)) throw malformed('a number is too large')
    return { major, info, value }
  }

  /** `count` = NaN: until the break. */
  private each(count: number, read: () => void): void {
    if (!Number.isNaN(count)) {
      for (let index = 0; index < count; index++) read()
      return
    }
    while (this.bytes[this.at] !== BREAK) read()
    this.at++
  }

  private pieces(): readonly string[] {
    const pieces: string[] = []
    this.each(Number.NaN, () => {
      const { major, value } = this.head()
      if (major !== 3 || Number.isNaN(value)) throw malformed('a piece of a text is no text')
      pieces.push(this.text(value))
    })
    return pieces
  }

  private text(length: number): string {
    const start = this.take(length)
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(this.bytes.subarray(start, start + length))
    } catch (cause) {
      throw new InferdError('malformed_body', 'the body is not valid CBOR: a text is not UTF-8', { cause })
    }
  }

  /** `start`: of the bytes of a float. */
  private simple(info: number, start: number): unknown {
    switch (info) {
      case 20:
        return false
      case 21:
        return true
      case 22:
      case 23:
        return null
      case 25:
        return half(this.view.getUint16(start))
      case 26:
        return this.view.getFloat32(start)
      case 27:
        return this.view.getFloat64(start)
      default:
        throw malformed('it has a simple value that is not known')
    }
  }

  private byte(): number {
    return this.bytes[this.take(1)]!
  }

  /** Where they begin. */
  private take(length: number): number {
    const start = this.at
    if (length > this.bytes.byteLength - start) throw malformed('it ends too soon')
    this.at += length
    return start
  }
}

/** Of plain data; dates are times. What is undefined is left out. */
export function encodeCbor(value: unknown): Uint8Array {
  const parts: Uint8Array[] = []
  write(value, parts)
  return Buffer.concat(parts)
}

function write(value: unknown, parts: Uint8Array[]): void {
  if (typeof value === 'string') {
    const text = Buffer.from(value, 'utf8')
    parts.push(headOf(3, text.byteLength), text)
  } else if (typeof value === 'number')
    parts.push(Number.isSafeInteger(value) ? headOf(value < 0 ? 1 : 0, value < 0 ? -1 - value : value) : double(value))
  else if (typeof value === 'boolean') parts.push(Uint8Array.of(value ? 0xf5 : 0xf4))
  else if (value instanceof Date) parts.push(headOf(6, EPOCH_TAG), double(value.getTime() / 1000))
  else if (Array.isArray(value)) {
    parts.push(headOf(4, value.length))
    for (const item of value) write(item, parts)
  } else if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).filter(([, member]) => member !== undefined)
    parts.push(headOf(5, entries.length))
    for (const [key, member] of entries) {
      write(key, parts)
      write(member, parts)
    }
  } else parts.push(Uint8Array.of(0xf6))
}

function headOf(major: number, value: number): Uint8Array {
  if (value < ONE_BYTE) return Uint8Array.of((major << 5) | value)
  const head = Buffer.alloc(9)
  head[0] = (major << 5) | 27
  head.writeBigUInt64BE(BigInt(value), 1)
  return head
}

function double(value: number): Uint8Array {
  const head = Buffer.alloc(9)
  head[0] = 0xfb
  head.writeDoubleBE(value, 1)
  return head
}

function unsigned(view: DataView, start: number, length: number): number {
  return length === 1 ? view.getUint8(start) : length === 2 ? view.getUint16(start) : view.getUint32(start)
}

function half(bits: number): number {
  const [sign, exponent, fraction] = [bits >> 15 === 0 ? 1 : -1, (bits >> 10) & 31, bits & 1023]
  if (exponent === 31) return fraction === 0 ? sign * Infinity : Number.NaN
  return sign * (exponent === 0 ? 2 ** -14 * (fraction / 1024) : 2 ** (exponent - 15) * (1 + fraction / 1024))
}

function malformed(words: string): InferdError {
  return new InferdError('malformed_body', `the body is not valid CBOR: ${words}`)
}
