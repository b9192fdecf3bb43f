/** The only parser of request JSON: strict UTF-8, no byte order mark, bounded depth, no duplicate keys, one object. */
import { InferdError } from '#contract/errors'
import type { JsonObject } from '#server/operation'
import { scanJson } from './json-scan.ts'

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Throws malformed_body. `__proto__` arrives as an own key like any other (ECMA-262, JSON.parse). */
export function parseJsonObject(bytes: Uint8Array): JsonObject {
  if (bytes.length === 0) throw malformed('the request body is empty')
  const text = decode(bytes)
  if (text.charCodeAt(0) === 0xfeff) throw malformed('the request body starts with a byte order mark')
  scanJson(text)
  const value = parse(text)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed('the request body must be a JSON object')
  return value as JsonObject
}

function decode(bytes: Uint8Array): string {
  try {
    return strictUtf8.decode(bytes)
  } catch (cause) {
    throw malformed('the request body is not valid UTF-8', cause)
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch (cause) {
    throw malformed('the request body is not valid JSON', cause)
  }
}

function malformed(message: string, cause?: unknown): InferdError {
  return new InferdError('malformed_body', message, cause === undefined ? {} : { cause })
}
