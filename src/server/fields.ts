/**
 * Checked reading of one JSON object: every reader returns a value of the promised type and range, `null` for an absent or
 * null field, or throws `invalid_parameter` with the field's path. Only own keys are read.
 */
import { InferdError } from '#contract/errors'
import type { JsonRecord } from '#contract/generate'
import type { JsonObject } from '#server/operation'

/** `read`: the decoder reads it. Otherwise accepted only while the value cannot change the answer. */
export type FieldRule = 'read' | ((value: unknown) => boolean)

export type FieldRules = Readonly<Record<string, FieldRule>>

export interface NumberRange {
  readonly min: number
  readonly max: number
  /** True: `min` itself is out. */
  readonly aboveMin?: boolean
}

export interface TextBounds {
  readonly minLength?: 0 | 1
  readonly maxLength?: number
}

export class Fields {
  private readonly object: JsonObject
  private readonly path: string

  /** `path` is the caller's name of the object, '' for the body itself. */
  constructor(object: JsonObject, path = '') {
    this.object = object
    this.path = path
  }

  pathOf(key: string): string {
    return this.path === '' ? key : `${this.path}.${key}`
  }

  /** undefined when absent or null. */
  value(key: string): unknown {
    return Object.hasOwn(this.object, key) ? (this.object[key] ?? undefined) : undefined
  }

  /** Refuses unknown keys and known ones whose meaning is not offered here. */
  check(rules: FieldRules): void {
    for (const key of Object.keys(this.object)) {
      if (!Object.hasOwn(rules, key)) throw invalid(this.pathOf(clip(key)), `unrecognized argument: ${this.pathOf(clip(key))}`)
      const rule = rules[key]
      const value = this.value(key)
      if (rule === 'read' || rule === undefined || value === undefined || rule(value)) continue
      throw unsupported(this.pathOf(key), `${this.pathOf(key)} with this value is not supported by this server`)
    }
  }

  boolean(key: string): boolean | null {
    const value = this.value(key)
    if (value === undefined) return null
    if (typeof value !== 'boolean') throw this.mismatch(key, 'true or false', value)
    return value
  }

  /** Length in UTF-16 units. Without `maxLength` the body is the limit. */
  text(key: string, { minLength = 0, maxLength = Number.POSITIVE_INFINITY }: TextBounds = {}): string | null {
    const value = this.value(key)
    if (value === undefined) return null
    if (typeof value !== 'string') throw this.mismatch(key, 'a string', value)
    if (value.length >= minLength && value.length <= maxLength) return value
    const path = this.pathOf(key)
    if (maxLength === Number.POSITIVE_INFINITY) throw invalid(path, `${path} must not be empty`)
    throw invalid(path, `${path} must have ${minLength} to ${maxLength} characters, got ${value.length}`)
  }

  requiredText(key: string, bounds: TextBounds = {}): string {
    const text = this.text(key, bounds)
    if (text === null) throw this.missing(key)
    return text
  }

  /** One of these words. */
  word<Word extends string>(key: string, words: readonly Word[]): Word | null {
    const value = this.value(key)
    if (value === undefined) return null
    const word = words.find((each) => each === value)
    if (word === undefined) throw invalid(this.pathOf(key), `${this.pathOf(key)} must be one of ${words.join(', ')}`)
    return word
  }

  number(key: string, range: NumberRange): number | null {
    const value = this.value(key)
    return value === undefined ? null : checkedNumber(value, this.pathOf(key), range)
  }

  integer(key: string, range: { readonly min: number; readonly max: number }): number | null {
    const value = this.value(key)
    return value === undefined ? null : checkedInteger(value, this.pathOf(key), range)
  }

  nested(key: string): JsonObject | null {
    const value = this.value(key)
    if (value === undefined) return null
    if (!isJsonObject(value)) throw this.mismatch(key, 'an object', value)
    return value
  }

  nestedFields(key: string): Fields | null {
    const object = this.nested(key)
    return object === null ? null : new Fields(object, this.pathOf(key))
  }

  requiredFields(key: string): Fields {
    const nested = this.nestedFields(key)
    if (nested === null) throw this.missing(key)
    return nested
  }

  /** A nested object as data. A body is parsed JSON, and so is every part of it. */
  record(key: string): JsonRecord | null {
    return this.nested(key) as JsonRecord | null
  }

  list(key: string, { minItems = 0, maxItems }: { readonly minItems?: number; readonly maxItems: number }): readonly unknown[] | null {
    const value = this.value(key)
    if (value === undefined) return null
    if (!Array.isArray(value)) throw this.mismatch(key, 'an array', value)
    checkItemCount(value, this.pathOf(key), { minItems, maxItems })
    return value
  }

  missing(key: string): InferdError {
    return invalid(this.pathOf(key), `missing required parameter: ${this.pathOf(key)}`)
  }

  mismatch(key: string, expected: string, value: unknown): InferdError {
    return typeMismatch(this.pathOf(key), expected, value)
  }
}

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function checkItemCount(
  items: readonly unknown[],
  path: string,
  { minItems = 0, maxItems }: { readonly minItems?: number; readonly maxItems: number },
): void {
  if (items.length < minItems || items.length > maxItems) {
    throw invalid(path, `${path} must have ${minItems} to ${maxItems} items, got ${items.length}`)
  }
}

/** -0 is read as 0. */
export function checkedNumber(value: unknown, path: string, { min, max, aboveMin = false }: NumberRange): number {
  if (typeof value !== 'number' || !Number.isFinite(value)) throw typeMismatch(path, 'a finite number', value)
  if (value > max || value < min || (aboveMin && value === min)) {
    throw invalid(path, `${path} must be ${aboveMin ? 'above' : 'at least'} ${min} and at most ${max}, got ${value}`)
  }
  return value + 0
}

export function checkedInteger(value: unknown, path: string, { min, max }: { readonly min: number; readonly max: number }): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || Object.is(value, -0)) throw typeMismatch(path, 'an integer', value)
  if (value < min || value > max) throw invalid(path, `${path} must be an integer from ${min} to ${max}, got ${value}`)
  return value
}

export function invalid(param: string, message: string): InferdError {
  return new InferdError('invalid_parameter', message, { param })
}

/** What is known and not offered here. */
export function unsupported(param: string, message: string): InferdError {
  return new InferdError('unsupported_parameter', message, { param })
}

/** Names the type that was given, and its value only when it is a number: text never enters a message. */
export function typeMismatch(path: string, expected: string, value: unknown): InferdError {
  return invalid(path, `${path} must be ${expected}, got ${describe(value)}`)
}

function describe(value: unknown): string {
  if (value === null || value === undefined) return 'null'
  if (Array.isArray(value)) return 'an array'
  if (typeof value === 'number') return Object.is(value, -0) ? '-0' : String(value)
  if (typeof value === 'object') return 'an object'
  return `a ${typeof value}`
}

function clip(key: string): string {
  return key.length <= 64 ? key : `${key.slice(0, 64)}...`
}
