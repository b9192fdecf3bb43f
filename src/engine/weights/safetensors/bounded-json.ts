/**
 * JSON from a stranger's file. One pass over the bytes bounds the nesting and, where asked, refuses duplicate keys before
 * JSON.parse builds anything; keys such as `__proto__` come out as data, for JSON.parse defines own properties.
 */
import { InferdError } from '#contract/errors'

const keyDecoder = new TextDecoder()

interface JsonLimits {
  /** File name and part, for messages. */
  readonly what: string
  readonly maxDepth: number
  /** True: an object with one key twice is refused. For headers, where the second would silently win. */
  readonly refuseDuplicateKeys: boolean
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d
const OPEN_BRACKET = 0x5b
const CLOSE_BRACKET = 0x5d
const COLON = 0x3a

/** Throws InferdError('invalid_model_file') for what is not UTF-8, not JSON, or beyond the limits. */
export function parseBoundedJson(bytes: Uint8Array, limits: JsonLimits): unknown {
  const text = decodeUtf8(bytes, limits)
  scanStructure(bytes, limits)
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new InferdError('invalid_model_file', `${limits.what}: not valid JSON`, { cause: error })
  }
}

export function isJsonObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function decodeUtf8(bytes: Uint8Array, { what }: JsonLimits): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (error) {
    throw new InferdError('invalid_model_file', `${what}: not valid UTF-8`, { cause: error })
  }
}

function scanStructure(bytes: Uint8Array, limits: JsonLimits): void {
  /** Keys seen in each open container; arrays have a set that stays empty. */
  const openKeys: Set<string>[] = []
  let depth = 0
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]!
    if (byte === QUOTE) {
      const end = stringEnd(bytes, at)
      if (limits.refuseDuplicateKeys && depth > 0 && isKey(bytes, end)) addKey({ bytes, at, end }, openKeys[depth - 1]!, limits)
      at = end
    } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      depth++
      if (depth > limits.maxDepth) throw new InferdError('invalid_model_file', `${limits.what}: nested deeper than ${limits.maxDepth} at byte ${at}`)
      if (limits.refuseDuplicateKeys) openKeys.push(new Set())
    } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
      // Unbalanced text is left to JSON.parse to refuse.
      depth = Math.max(0, depth - 1)
      openKeys.pop()
    }
  }
}

/** Index of the quote that closes the string opened at `at`, or of the last byte. */
function stringEnd(bytes: Uint8Array, at: number): number {
  for (let end = at + 1; end < bytes.length; end++) {
    if (bytes[end] === BACKSLASH) end++
    else if (bytes[end] === QUOTE) return end
  }
  return bytes.length - 1
}

function isKey(bytes: Uint8Array, end: number): boolean {
  let next = end + 1
  while (next < bytes.length && (bytes[next] === 0x20 || bytes[next] === 0x09 || bytes[next] === 0x0a || bytes[next] === 0x0d)) next++
  return bytes[next] === COLON
}

interface KeyLiteral {
  readonly bytes: Uint8Array
  /** Its two quotes. */
  readonly at: number
  readonly end: number
}

function addKey({ bytes, at, end }: KeyLiteral, keys: Set<string>, limits: JsonLimits): void {
  const key = decodeKey(keyDecoder.decode(bytes.subarray(at, end + 1)))
  if (key === null) return
  if (keys.has(key)) {
    throw new InferdError('invalid_model_file', `${limits.what}: key ${JSON.stringify(key.slice(0, 100))} appears twice (byte ${at})`)
  }
  keys.add(key)
}

/** Null for a malformed key, which JSON.parse refuses afterwards. */
function decodeKey(literal: string): string | null {
  try {
    return JSON.parse(literal) as string
  } catch {
    return null
  }
}
