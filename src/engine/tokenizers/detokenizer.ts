/**
 * Token ids to text while they arrive. What is pushed out is always whole code points; the pieces together equal the decoding of
 * all bytes at once, with U+FFFD for what is not UTF-8, as the WHATWG decoder puts it.
 */
import type { Tokenizer } from './tokenizer.ts'

export interface DetokenizerOptions {
  /** False: the text goes on from a prompt, so that the first token's leading space is real. Default: the tokenizer's own rule. */
  readonly stripLeadingSpace?: boolean
}

const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
const SPACE_BYTE = 0x20

export class Detokenizer {
  private readonly tokenizer: Tokenizer
  /** Bytes of a code point that has begun: at most 3. */
  private pending: Uint8Array = new Uint8Array(0)
  private willStrip: boolean

  constructor(tokenizer: Tokenizer, options: DetokenizerOptions = {}) {
    this.tokenizer = tokenizer
    this.willStrip = options.stripLeadingSpace ?? tokenizer.stripsLeadingSpace
  }

  /** Hot: per token. Text that is now certain; '' for control tokens and for parts of a code point. */
  push(tokenId: number): string {
    let bytes = this.tokenizer.tokenBytes(tokenId)
    if (bytes.length === 0) return ''
    if (this.willStrip) {
      this.willStrip = false
      if (bytes[0] === SPACE_BYTE) bytes = bytes.subarray(1)
    }
    if (this.pending.length > 0) bytes = concatenate(this.pending, bytes)
    else if (isAscii(bytes)) return asciiText(bytes)
    const numOpen = openTailLength(bytes)
    this.pending = bytes.slice(bytes.length - numOpen)
    return decoder.decode(numOpen === 0 ? bytes : bytes.subarray(0, bytes.length - numOpen))
  }

  /** Whether the next token loses its leading space. */
  get stripsNextSpace(): boolean {
    return this.willStrip
  }

  /** Whether a code point has begun and waits for its other bytes. */
  get isInsideCodePoint(): boolean {
    return this.pending.length > 0
  }

  /** U+FFFD for a code point that never ended, else ''. */
  finish(): string {
    const rest = decoder.decode(this.pending)
    this.pending = new Uint8Array(0)
    return rest
  }
}

function isAscii(bytes: Uint8Array): boolean {
  for (let index = 0; index < bytes.length; index += 1) if (bytes[index]! > 0x7f) return false
  return true
}

/** Cheaper than a decoder for the few bytes of a token. */
function asciiText(bytes: Uint8Array): string {
  let text = ''
  for (let index = 0; index < bytes.length; index += 1) text += String.fromCharCode(bytes[index]!)
  return text
}

function concatenate(head: Uint8Array, tail: Uint8Array): Uint8Array {
  const joined = new Uint8Array(head.length + tail.length)
  joined.set(head)
  joined.set(tail, head.length)
  return joined
}

/** How many bytes at the end begin a code point that more bytes may complete: 0 to 3. */
function openTailLength(bytes: Uint8Array): number {
  for (let length = 1; length <= 3 && length <= bytes.length; length += 1) {
    const lead = bytes[bytes.length - length]!
    if ((lead & 0xc0) === 0x80) continue
    return codePointLength(lead) > length && secondByteFits(lead, bytes[bytes.length - length + 1]) ? length : 0
  }
  return 0
}

function codePointLength(lead: number): number {
  if (lead >= 0xc2 && lead <= 0xdf) return 2
  if (lead >= 0xe0 && lead <= 0xef) return 3
  return lead >= 0xf0 && lead <= 0xf4 ? 4 : 1
}

/** Four lead bytes allow only a part of the continuation bytes behind them (Unicode 16, table 3-7). */
function secondByteFits(lead: number, second: number | undefined): boolean {
  if (second === undefined) return true
  if (lead === 0xe0) return second >= 0xa0
  if (lead === 0xed) return second <= 0x9f
  if (lead === 0xf0) return second >= 0x90
  return lead === 0xf4 ? second <= 0x8f : true
}
