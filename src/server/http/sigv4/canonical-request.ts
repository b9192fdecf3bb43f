/**
 * A request in the one spelling that both sides of a SigV4 signature hash ("Create a signed AWS API request", AWS IAM user guide), for
 * services other than S3: the path is normalized and encoded once more. Header values and targets are text of one character a byte.
 */
import { createHash } from 'node:crypto'

export interface SignedParts {
  readonly method: string
  /** As it was sent. */
  readonly path: string
  /** As it was sent, without `?`; without the signature itself. */
  readonly query: string
  /** In the order in which they were signed. */
  readonly headers: readonly SignedHeader[]
  /** Hex SHA-256 of the body. */
  readonly payloadHash: string
}

export interface SignedHeader {
  /** Lower case. */
  readonly name: string
  /** One for each line that had the name. */
  readonly values: readonly string[]
}

const UNRESERVED = new Set(Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~'))

export function canonicalRequest({ method, path, query, headers, payloadHash }: SignedParts): string {
  const lines = headers.map(({ name, values }) => `${name}:${values.map(canonicalValue).join(',')}\n`)
  const names = headers.map(({ name }) => name).join(';')
  return `${method}\n${canonicalPath(path)}\n${canonicalQuery(query)}\n${lines.join('')}\n${names}\n${payloadHash}`
}

/** Of bytes, or of text of one character a byte. */
export function sha256Hex(bytes: string | Uint8Array): string {
  return createHash('sha256')
    .update(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes)
    .digest('hex')
}

/** Without empty and dot segments (RFC 3986, 5.2.4), each byte of the sent form encoded once more. */
function canonicalPath(path: string): string {
  const kept: string[] = []
  const segments = path.split('/')
  for (const segment of segments) {
    if (segment === '..') kept.pop()
    else if (segment !== '' && segment !== '.') kept.push(segment)
  }
  const isFolder = kept.length > 0 && segments.at(-1) === ''
  return `/${kept.map((segment) => encodeBytes(Buffer.from(segment, 'latin1'))).join('/')}${isFolder ? '/' : ''}`
}

/** By meaning: `+` is a space, as routes read it, and every spelling of a character is one. Sorted by name, then by value. */
function canonicalQuery(query: string): string {
  const pairs = queryPairs(query).map(({ name, value }) => ({ name: encodeBytes(name), value: encodeBytes(value) }))
  pairs.sort((a, b) => compare(a.name, b.name) || compare(a.value, b.value))
  return pairs.map(({ name, value }) => `${name}=${value}`).join('&')
}

/** In the order of the text; a name without `=` has an empty value. */
export function queryPairs(query: string): { readonly name: Buffer; readonly value: Buffer }[] {
  return query
    .split('&')
    .filter((pair) => pair !== '')
    .map((pair) => {
      const end = pair.indexOf('=')
      const [name, value] = end < 0 ? [pair, ''] : [pair.slice(0, end), pair.slice(end + 1)]
      return { name: decodeBytes(name), value: decodeBytes(value) }
    })
}

/** Blanks at the ends are gone, a run of them is one. A byte 0xa0 is part of a character, not a blank. */
function canonicalValue(value: string): string {
  return value.replace(/[ \t]+/g, ' ').replace(/^ | $/g, '')
}

/** What is no escape stays as it is. */
function decodeBytes(text: string): Buffer {
  const plain = text.replaceAll('+', ' ').replace(/%([0-9a-f]{2})/gi, (_escape, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
  return Buffer.from(plain, 'latin1')
}

function encodeBytes(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) {
    text += UNRESERVED.has(byte) ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
  }
  return text
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
