/**
 * A body that is one object with one list in it, `{"requests": [...]}`, read as it comes: one item in memory at a time. Items are cut out
 * as texts, whoever takes them parses them; so what stands in them is checked there.
 */
import { InferdError } from '#contract/errors'
import { invalid } from '#server/fields'

export interface ArrayStreamLimits {
  /** Name of the list. */
  readonly name: string
  readonly maxItemBytes: number
  readonly maxBodyBytes: number
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d
const OPEN_BRACKET = 0x5b
const CLOSE_BRACKET = 0x5d
const BLANKS: readonly number[] = [0x20, 0x09, 0x0a, 0x0d]
/** Of what stands around the list. */
const MAX_FRAME_LENGTH = 1024

/** Objects as JSON texts. Throws malformed_body, invalid_parameter and payload_too_large. */
export async function* streamArray(chunks: AsyncIterable<Uint8Array>, limits: ArrayStreamLimits): AsyncGenerator<string> {
  const cutter = new ItemCutter(limits)
  let numBytes = 0
  for await (const chunk of chunks) {
    numBytes += chunk.length
    if (numBytes > limits.maxBodyBytes) throw new InferdError('payload_too_large', `the body may have ${limits.maxBodyBytes} bytes`)
    yield* cutter.push(chunk)
  }
  cutter.end()
}

type Place = 'head' | 'first-item' | 'item' | 'after-item' | 'next-item' | 'tail'

class ItemCutter {
  private readonly limits: ArrayStreamLimits
  private readonly utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  private place: Place = 'head'
  private head = ''
  private tail = ''
  private numItems = 0
  /** Of the item that is open: its bytes so far, and where in its grammar they end. */
  private pieces: Uint8Array[] = []
  private numItemBytes = 0
  private depth = 0
  private inString = false
  private isEscaped = false

  constructor(limits: ArrayStreamLimits) {
    this.limits = limits
  }

  *push(chunk: Uint8Array): Generator<string> {
    let start = 0
    for (let position = 0; position < chunk.length; position++) {
      const byte = chunk[position]!
      if (this.place === 'item') {
        if (!this.step(byte)) continue
        yield this.takeItem(chunk.subarray(start, position + 1))
      } else if (this.between(byte)) start = position
    }
    if (this.place === 'item') this.keep(chunk.subarray(start))
  }

  end(): void {
    if (this.place === 'head' && /^\s*\{\s*\}\s*$/.test(this.head)) throw missing(this.limits.name)
    if (this.place !== 'tail' || !/^\s*\}\s*$/.test(this.tail)) throw malformed('the request body is not valid JSON')
  }

  /** True = an item begins at this byte. */
  private between(byte: number): boolean {
    if (this.place === 'head') {
      if (byte === OPEN_BRACKET) this.openList()
      else this.head = addToFrame(this.head, byte)
      return false
    }
    if (this.place === 'tail') {
      this.tail = addToFrame(this.tail, byte)
      if (this.tail.trimStart().startsWith(',')) throw malformed(`the request body must have ${this.limits.name} and nothing else`)
      return false
    }
    if (BLANKS.includes(byte)) return false
    if (byte === CLOSE_BRACKET && this.place !== 'next-item') this.place = 'tail'
    else if (byte === COMMA && this.place === 'after-item') this.place = 'next-item'
    else if (this.place === 'after-item') throw malformed('the request body is not valid JSON')
    else if (byte === OPEN_BRACE) return this.openItem()
    else throw invalid(this.itemName(), `${this.itemName()} must be an object`)
    return false
  }

  private openList(): void {
    const [, key] = /^\s*\{\s*"([^"\\]{0,64})"\s*:\s*$/.exec(this.head) ?? []
    if (key === undefined) throw malformed('the request body is not a JSON object with a list')
    if (key !== this.limits.name) throw invalid(key, `unrecognized argument: ${key}`)
    this.place = 'first-item'
  }

  private openItem(): boolean {
    this.place = 'item'
    this.depth = 1
    this.inString = false
    this.isEscaped = false
    return true
  }

  /** True = the item ends with this byte. */
  private step(byte: number): boolean {
    if (this.inString) {
      if (this.isEscaped) this.isEscaped = false
      else if (byte === BACKSLASH) this.isEscaped = true
      else if (byte === QUOTE) this.inString = false
      return false
    }
    if (byte === QUOTE) this.inString = true
    else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) this.depth++
    else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) return --this.depth === 0
    return false
  }

  private keep(piece: Uint8Array): void {
    this.numItemBytes += piece.length
    const { maxItemBytes } = this.limits
    if (this.numItemBytes > maxItemBytes) {
      throw new InferdError('payload_too_large', `${this.itemName()} may have ${maxItemBytes} bytes`, { param: this.itemName() })
    }
    this.pieces.push(piece)
  }

  private takeItem(last: Uint8Array): string {
    this.keep(last)
    const bytes = Buffer.concat(this.pieces)
    this.pieces = []
    this.numItemBytes = 0
    this.place = 'after-item'
    this.numItems++
    try {
      return this.utf8.decode(bytes)
    } catch (cause) {
      throw new InferdError('malformed_body', 'the request body is not valid UTF-8', { cause })
    }
  }

  private itemName(): string {
    return `${this.limits.name}[${this.numItems}]`
  }
}

function addToFrame(frame: string, byte: number): string {
  if (frame.length >= MAX_FRAME_LENGTH) throw malformed('the request body is not a JSON object with a list')
  return frame + String.fromCharCode(byte)
}

function missing(name: string): InferdError {
  return invalid(name, `missing required parameter: ${name}`)
}

function malformed(message: string): InferdError {
  return new InferdError('malformed_body', message)
}
