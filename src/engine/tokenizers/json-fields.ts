/** Reads fields of a stranger's JSON with the path in every fault. */
import { invalidTokenizer } from './vocabulary.ts'

export type JsonObject = Readonly<Record<string, unknown>>

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function objectAt(value: unknown, path: string): JsonObject {
  if (!isObject(value)) throw invalidTokenizer(path, 'is not an object')
  return value
}

export function arrayAt(value: unknown, path: string): readonly unknown[] {
  if (!Array.isArray(value)) throw invalidTokenizer(path, 'is not an array')
  return value
}

export function stringAt(value: unknown, path: string): string {
  if (typeof value !== 'string') throw invalidTokenizer(path, 'is not a string')
  return value
}

export function finiteAt(value: unknown, path: string): number {
  if (typeof value !== 'number' || !Number.isFinite(value)) throw invalidTokenizer(path, 'is not a finite number')
  return value
}

export function tokenIdAt(value: unknown, path: string): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0) throw invalidTokenizer(path, 'is not a token id')
  return value
}

/** Own property, so that `constructor` and its like are absent unless the file has them. */
export function field(object: JsonObject, name: string): unknown {
  return Object.hasOwn(object, name) ? object[name] : undefined
}

/** Absent and null are `fallback`. */
export function booleanField(object: JsonObject, name: string, path: string, fallback: boolean): boolean {
  const value = field(object, name) ?? fallback
  if (typeof value !== 'boolean') throw invalidTokenizer(`${path}.${name}`, 'is not a boolean')
  return value
}

/** Absent and null are null. */
export function stringField(object: JsonObject, name: string, path: string): string | null {
  const value = field(object, name) ?? null
  if (value !== null && typeof value !== 'string') throw invalidTokenizer(`${path}.${name}`, 'is not a string')
  return value
}
