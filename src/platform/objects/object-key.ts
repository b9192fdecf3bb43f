/** Names of objects: what may be one, in which order they come, and how a location is written. */
import { InferdError } from '#contract/errors'

const MAX_KEY_BYTES = 1024

/** Control characters, and the two that no XML document holds. */
const UNSPEAKABLE = /[\p{Cc}\uFFFE\uFFFF]/u
const DOT_PART = /(^|\/)\.\.?(\/|$)/
/** More may come behind a prefix: `a/.` begins `a/.hidden`. */
const DOT_PART_BEHIND = /(^|\/)\.\.?\//

/** Throws invalid_parameter for what neither a folder nor S3 keeps under its name. Empty parts are fine. */
export function checkKey(key: string): void {
  const problem = keyProblem(key)
  if (problem !== null) throw refused(problem)
}

/** As checkKey, for the beginning of one, which may be empty. Throws invalid_parameter. */
export function checkPrefix(prefix: string): void {
  const problem = textProblem(prefix) ?? (DOT_PART_BEHIND.test(prefix) ? DOT_WORDS : null)
  if (problem !== null) throw refused(problem)
}

/** Whether an object of a bucket that others write to can be named here. */
export function isKey(key: string): boolean {
  return keyProblem(key) === null
}

/** By their UTF-8 bytes, without making them: code units in order, with surrogates behind everything else. */
export function compareKeys(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let index = 0; index < length; index++) {
    const [left, right] = [a.charCodeAt(index), b.charCodeAt(index)]
    if (left !== right) return rankOf(left) - rankOf(right)
  }
  return a.length - b.length
}

export interface ObjectAddress {
  readonly bucketName: string
  readonly key: string
}

/** `s3://bucket/key`, raw: a percent sign stands for itself. Throws invalid_parameter. */
export function parseUri(uri: string): ObjectAddress {
  const [, bucketName, key = ''] = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/(.*))?$/s.exec(uri) ?? []
  if (bucketName === undefined) throw refused('a location of objects is s3://bucket/key, with the name of a bucket in lower case')
  checkPrefix(key)
  return { bucketName, key }
}

const DOT_WORDS = "no part of an object's key is '.' or '..'"

function keyProblem(key: string): string | null {
  if (key === '') return 'the key of an object is empty'
  return textProblem(key) ?? (DOT_PART.test(key) ? DOT_WORDS : null)
}

function textProblem(text: string): string | null {
  if (Buffer.byteLength(text) > MAX_KEY_BYTES) return `the key of an object has at most ${MAX_KEY_BYTES} bytes`
  if (!text.isWellFormed()) return 'the key of an object is not well-formed Unicode'
  return UNSPEAKABLE.test(text) ? 'the key of an object holds no control characters' : null
}

function rankOf(unit: number): number {
  if (unit < 0xd800) return unit
  return unit >= 0xe000 ? unit - 0x800 : unit + 0x2000
}

function refused(words: string): InferdError {
  return new InferdError('invalid_parameter', words)
}
