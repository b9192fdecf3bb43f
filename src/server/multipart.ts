/**
 * `multipart/form-data` (RFC 7578) as it arrives: parts one after the other, their bytes in pieces, nothing held but the head of a part and
 * as many bytes as a boundary has.
 */
import { InferdError } from '#contract/errors'

export interface PartHead {
  readonly name: string
  /** null = a field, not a file. */
  readonly filename: string | null
}

export type MultipartEvent =
  | ({ readonly type: 'part-start' } & PartHead)
  | { readonly type: 'part-bytes'; readonly bytes: Uint8Array }
  | { readonly type: 'part-end' }

const MAX_PARTS = 32
const MAX_HEAD_BYTES = 8192
const MAX_PREAMBLE_BYTES = 1024
const MEDIA_TYPE = /^multipart\/form-data\s*;(.*)$/is
const BOUNDARY = /(?:^|;)\s*boundary=(?:"([\w'()+,./:=? -]{1,70})"|([\w'+./=?-]{1,70}))\s*(?:;|$)/i
const HEAD_END = Buffer.from('\r\n\r\n')

/** Throws unsupported_media_type, malformed_body, payload_too_large, and what the chunks throw. Reads them to their end. */
export async function* readMultipart(chunks: AsyncIterable<Uint8Array>, contentType: string | undefined): AsyncGenerator<MultipartEvent> {
  const parser = new MultipartParser(boundaryOf(contentType))
  for await (const chunk of chunks) yield* parser.push(chunk)
  parser.finish()
}

function boundaryOf(contentType: string | undefined): string {
  const [, parameters = ''] = MEDIA_TYPE.exec(contentType?.trim() ?? '') ?? []
  const [, quoted, bare] = BOUNDARY.exec(parameters) ?? []
  const boundary = quoted ?? bare
  if (boundary === undefined) throw new InferdError('unsupported_media_type', 'content-type must be multipart/form-data with a boundary')
  return boundary
}

/** `held` never grows past what the state waits for and one chunk. */
class MultipartParser {
  private readonly delimiter: Buffer
  private state: 'preamble' | 'delimiter' | 'head' | 'body' | 'end' = 'preamble'
  /** The first boundary has no line break before it. */
  private held: Buffer = Buffer.from('\r\n')
  private numParts = 0
  private numPreambleBytes = 0

  constructor(boundary: string) {
    this.delimiter = Buffer.from(`\r\n--${boundary}`)
  }

  *push(chunk: Uint8Array): Generator<MultipartEvent> {
    if (this.state === 'end') return
    this.held = Buffer.concat([this.held, chunk])
    while (yield* this.step()) continue
  }

  finish(): void {
    if (this.state !== 'end') throw malformed('the last boundary is missing')
  }

  /** False = more bytes are needed, or none any more. */
  private *step(): Generator<MultipartEvent, boolean> {
    switch (this.state) {
      case 'preamble':
        return this.skipPreamble()
      case 'delimiter':
        return this.readDelimiterEnd()
      case 'head':
        return yield* this.readHead()
      case 'body':
        return yield* this.readBody()
      case 'end':
        return false
    }
  }

  private skipPreamble(): boolean {
    const index = this.held.indexOf(this.delimiter)
    const numSkipped = index < 0 ? Math.max(0, this.held.length - this.delimiter.length) : index
    this.numPreambleBytes += numSkipped
    if (this.numPreambleBytes > MAX_PREAMBLE_BYTES) throw malformed('it does not begin with its boundary')
    this.drop(index < 0 ? numSkipped : index + this.delimiter.length)
    if (index >= 0) this.state = 'delimiter'
    return index >= 0
  }

  private readDelimiterEnd(): boolean {
    if (this.held.length < 2) return false
    const end = this.held.toString('latin1', 0, 2)
    if (end !== '--' && end !== '\r\n') throw malformed('a boundary is not followed by a line break')
    this.drop(end === '--' ? this.held.length : 2)
    this.state = end === '--' ? 'end' : 'head'
    return true
  }

  private *readHead(): Generator<MultipartEvent, boolean> {
    const index = this.held.indexOf(HEAD_END)
    if ((index < 0 ? this.held.length : index) > MAX_HEAD_BYTES) throw malformed(`the head of a part has more than ${MAX_HEAD_BYTES} bytes`)
    if (index < 0) return false
    if (++this.numParts > MAX_PARTS) throw new InferdError('payload_too_large', `the form has more than ${MAX_PARTS} parts`)
    const head = parseHead(this.held.toString('utf8', 0, index))
    this.drop(index + HEAD_END.length)
    this.state = 'body'
    yield { type: 'part-start', ...head }
    return true
  }

  private *readBody(): Generator<MultipartEvent, boolean> {
    const index = this.held.indexOf(this.delimiter)
    const end = Math.max(0, index < 0 ? this.held.length - this.delimiter.length : index)
    if (end > 0) yield { type: 'part-bytes', bytes: this.held.subarray(0, end) }
    this.drop(index < 0 ? end : end + this.delimiter.length)
    if (index < 0) return false
    this.state = 'delimiter'
    yield { type: 'part-end' }
    return true
  }

  private drop(numBytes: number): void {
    this.held = this.held.subarray(numBytes)
  }
}

const PARAMETER = /;\s*(name|filename)=(?:"((?:[^"\\]|\\.)*)"|([^\s;"]*))/gi
const ESCAPES: Readonly<Record<string, string>> = { '%22': '"', '%0D': '\r', '%0A': '\n' }

function parseHead(head: string): PartHead {
  const disposition = head.split('\r\n').find((line) => /^content-disposition\s*:\s*form-data\s*(?:;|$)/i.test(line))
  if (disposition === undefined) throw malformed('a part has no content-disposition of form-data')
  const values = new Map<string, string>()
  for (const [, key = '', quoted, bare] of disposition.matchAll(PARAMETER)) {
    values.set(
      key.toLowerCase(),
      (quoted?.replace(/\\(.)/g, '$1') ?? bare ?? '').replace(/%22|%0D|%0A/gi, (escape) => ESCAPES[escape.toUpperCase()] ?? ''),
    )
  }
  const name = values.get('name')
  if (name === undefined || name === '') throw malformed('a part has no name')
  return { name, filename: values.get('filename') ?? null }
}

function malformed(why: string): InferdError {
  return new InferdError('malformed_body', `the body is not valid multipart/form-data: ${why}`)
}
