/** What the lines of all batch dialects have in common. */
import { createHash } from 'node:crypto'
import type { InputLine, RecordPlace } from '#contract/batch'
import { isJsonObject } from '#server/fields'
import type { JsonObject } from '#server/operation'

const ID_LENGTH = 24

/** The object that the line holds, or what is wrong with it. */
export function parseInputLine(line: InputLine): JsonObject | string {
  if (line.kind === 'unreadable') return line.problem === 'too-long' ? 'This line is too long.' : 'This line is not valid UTF-8.'
  try {
    const value = JSON.parse(line.text) as unknown
    return isJsonObject(value) ? value : 'This line is not a JSON object.'
  } catch {
    return 'This line is not parseable as valid JSON.'
  }
}

/** The JSON of a request's body; null = it is nested too deep to be one. */
export function bodyText(body: JsonObject): string | null {
  try {
    return JSON.stringify(body)
  } catch {
    return null
  }
}

/** The JSON of an answer in one line; what is none becomes a JSON string. */
export function answerText(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')
  try {
    const value = JSON.parse(text) as unknown
    return /[\r\n]/.test(text) ? JSON.stringify(value) : text
  } catch {
    return JSON.stringify(text)
  }
}

/** The same for every attempt. Unguessable as the job's id is. */
export function recordId({ jobId, index }: RecordPlace): string {
  return createHash('sha256').update(`${jobId}/${index}`).digest('hex').slice(0, ID_LENGTH)
}

/** A count in an answer; what is none counts as 0. */
export function countIn(object: unknown, key: string): number {
  const value = isJsonObject(object) ? object[key] : undefined
  return typeof value === 'number' && Number.isFinite(value) ? value : 0
}

export function objectIn(object: unknown, key: string): JsonObject {
  const value = isJsonObject(object) ? object[key] : undefined
  return isJsonObject(value) ? value : {}
}
