/** Reads `tokenizer.ggml.*` keys with their type checked. Absent keys are null. */
import type { GgufValue } from '#engine/models/architecture'
import type { TokenKind } from './tokenizer.ts'
import { invalidTokenizer, type Vocabulary } from './vocabulary.ts'

type GgufValues = ReadonlyMap<string, GgufValue>

/** llama.cpp's token types. */
export const KIND_BY_TOKEN_TYPE: ReadonlyMap<number, TokenKind> = new Map<number, TokenKind>([
  [0, 'unused'],
  [1, 'normal'],
  [2, 'unknown'],
  [3, 'control'],
  [4, 'user-defined'],
  [5, 'unused'],
  [6, 'byte'],
])

export function stringKey(values: GgufValues, key: string): string | null {
  const value = values.get(key)
  if (value === undefined) return null
  if (typeof value !== 'string') throw invalidTokenizer(key, 'is not a string')
  return value
}

export function booleanKey(values: GgufValues, key: string): boolean | null {
  const value = values.get(key)
  if (value === undefined) return null
  if (typeof value !== 'boolean') throw invalidTokenizer(key, 'is not a boolean')
  return value
}

export function stringsKey(values: GgufValues, key: string): readonly string[] | null {
  const value = values.get(key)
  if (value === undefined) return null
  if (!isStringArray(value)) throw invalidTokenizer(key, 'is not an array of strings')
  return value
}

export function numbersKey(values: GgufValues, key: string): ArrayLike<number | bigint> | null {
  const value = values.get(key)
  if (value === undefined) return null
  if (!ArrayBuffer.isView(value)) throw invalidTokenizer(key, 'is not an array of numbers')
  return value
}

/** A token id that the vocabulary has. */
export function idKey(values: GgufValues, key: string, vocabulary: Vocabulary): number | null {
  const value = values.get(key)
  if (value === undefined) return null
  const id = typeof value === 'bigint' ? Number(value) : value
  if (typeof id !== 'number' || !Number.isInteger(id)) throw invalidTokenizer(key, 'is not a token id')
  // Writers put -1 or 2^32 - 1 for "none".
  if (id === -1 || id === 0xffffffff) return null
  if (id < 0 || id >= vocabulary.size) throw invalidTokenizer(key, `is ${id}, beyond the vocabulary of ${vocabulary.size} tokens`)
  return id
}

function isStringArray(value: GgufValue): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string')
}
