/** Reading the JSON of strangers: what is not of the expected kind is absent. */
import type { JsonRecord, JsonValue } from '#contract/generate'

const MAX_COUNT = 1_000_000_000

/** null for what is no JSON object. */
export function parseRecord(text: string): JsonRecord | null {
  try {
    return asRecord(JSON.parse(text) as JsonValue)
  } catch {
    return null
  }
}

export function asRecord(value: JsonValue | undefined): JsonRecord | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonRecord) : null
}

export function asList(value: JsonValue | undefined): readonly JsonValue[] {
  return Array.isArray(value) ? (value as readonly JsonValue[]) : []
}

export function asText(value: JsonValue | undefined): string | null {
  return typeof value === 'string' ? value : null
}

/** Of tokens and places: an integer from 0; null for anything else. */
export function asCount(value: JsonValue | undefined): number | null {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= MAX_COUNT ? value : null
}
