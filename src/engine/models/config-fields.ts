/**
 * Checked reading of one set of model configuration fields, GGUF metadata or a config.json object. Model files are
 * strangers: every read names the key, what stands there and what would be allowed.
 */
import { InferdError } from '#contract/errors'
import type { GgufValue } from './architecture.ts'

export interface FieldRange {
  readonly min: number
  readonly max: number
}

/** Far above every published model, far below what would hurt to allocate for. */
export const RANGES = {
  layers: { min: 1, max: 1024 },
  heads: { min: 1, max: 1024 },
  headDim: { min: 2, max: 1024 },
  width: { min: 1, max: 1 << 20 },
  vocabulary: { min: 1, max: 1 << 22 },
  contextLength: { min: 2, max: 1 << 27 },
  epsilon: { min: 1e-12, max: 1 },
  theta: { min: 2, max: 1e12 },
  ropeFactor: { min: 1e-3, max: 1e4 },
  softcap: { min: 1e-3, max: 1e6 },
  positive: { min: 1e-9, max: 1e9 },
  partial: { min: 1e-3, max: 1 },
} as const satisfies Record<string, FieldRange>

/** Absent and null read the same, except to `has`. All methods throw InferdError('invalid_model_file') on a wrong type or range. */
export class ConfigFields {
  /** Stands before every key in messages: `config.json`, `metadata`. */
  private readonly source: string
  /** Stands before keys that begin with a dot: `.block_count` reads `llama.block_count`. */
  private readonly prefix: string
  private readonly valueOf: (fullKey: string) => unknown

  private constructor(source: string, prefix: string, valueOf: (fullKey: string) => unknown) {
    this.source = source
    this.prefix = prefix
    this.valueOf = valueOf
  }

  static ofGguf(values: ReadonlyMap<string, GgufValue>, architecture: string): ConfigFields {
    return new ConfigFields('metadata', architecture, (fullKey) => values.get(fullKey))
  }

  static ofJson(object: Readonly<Record<string, unknown>>, source = 'config.json'): ConfigFields {
    return new ConfigFields(source, '', (fullKey) => (Object.hasOwn(object, fullKey) ? object[fullKey] : undefined))
  }

  /** Whether the key is there at all, be it null. */
  has(key: string): boolean {
    return this.lookup(key) !== undefined
  }

  integer(key: string, range: FieldRange): number {
    return this.required(key, this.integerOr(key, range, null))
  }

  integerOr<Fallback extends number | null>(key: string, range: FieldRange, fallback: Fallback): number | Fallback {
    const value = this.scalar(key)
    if (value === null) return fallback
    if (typeof value !== 'number' || !Number.isSafeInteger(value)) throw this.fault(key, `must be an integer, is ${describe(value)}`)
    return this.within(key, value, range)
  }

  /** An integer, or a list with the same integer for every layer, as GGUF files may give it. */
  uniformInteger(key: string, range: FieldRange): number {
    return this.required(key, this.uniformIntegerOr(key, range, null))
  }

  uniformIntegerOr<Fallback extends number | null>(key: string, range: FieldRange, fallback: Fallback): number | Fallback {
    const list = this.lookup(key)
    if (!isList(list)) return this.integerOr(key, range, fallback)
    const values = this.numbers(key)
    const first = values[0]
    if (first === undefined || !Number.isSafeInteger(first)) throw this.fault(key, `must be an integer, is ${describe(list)}`)
    if (values.some((value) => value !== first)) throw this.unsupported(key, 'differs between layers')
    return this.within(key, first, range)
  }

  number(key: string, range: FieldRange): number {
    return this.required(key, this.numberOr(key, range, null))
  }

  numberOr<Fallback extends number | null>(key: string, range: FieldRange, fallback: Fallback): number | Fallback {
    const value = this.scalar(key)
    if (value === null) return fallback
    if (typeof value !== 'number' || !Number.isFinite(value)) throw this.fault(key, `must be a number, is ${describe(value)}`)
    return this.within(key, value, range)
  }

  booleanOr(key: string, fallback: boolean): boolean {
    const value = this.scalar(key)
    if (value === null) return fallback
    if (typeof value !== 'boolean') throw this.fault(key, `must be true or false, is ${describe(value)}`)
    return value
  }

  textOr<Fallback extends string | null>(key: string, fallback: Fallback): string | Fallback {
    const value = this.scalar(key)
    if (value === null) return fallback
    if (typeof value !== 'string') throw this.fault(key, `must be a string, is ${describe(value)}`)
    return value
  }

  /** A list of finite numbers; booleans count as 0 and 1. */
  numbers(key: string): readonly number[] {
    const list = this.lookup(key)
    if (!isList(list)) throw this.fault(key, `must be a list of numbers, is ${describe(list)}`)
    return Array.from(list as ArrayLike<unknown>, (item) => {
      const value = typeof item === 'bigint' || typeof item === 'boolean' ? Number(item) : item
      if (typeof value !== 'number' || !Number.isFinite(value)) throw this.fault(key, `must be a list of numbers, has ${describe(item)}`)
      return value
    })
  }

  textsOr<Fallback extends readonly string[] | null>(key: string, fallback: Fallback): readonly string[] | Fallback {
    const list = this.lookup(key)
    if (list === undefined || list === null) return fallback
    if (!Array.isArray(list) || list.some((item) => typeof item !== 'string')) throw this.fault(key, `must be a list of strings, is ${describe(list)}`)
    return list as readonly string[]
  }

  isList(key: string): boolean {
    return isList(this.lookup(key))
  }

  sectionOr<Fallback extends null>(key: string, fallback: Fallback): ConfigFields | Fallback {
    const value = this.lookup(key)
    if (value === undefined || value === null) return fallback
    if (typeof value !== 'object' || isList(value)) throw this.fault(key, `must be an object, is ${describe(value)}`)
    return ConfigFields.ofJson(value as Readonly<Record<string, unknown>>, `${this.source} ${key}`)
  }

  /** The file contradicts itself or what is possible. */
  fault(key: string, problem: string): InferdError {
    return new InferdError('invalid_model_file', `${this.source}: ${this.fullKey(key)} ${problem}`)
  }

  /** The file is sound, but we do not run it. */
  unsupported(key: string, problem: string): InferdError {
    return new InferdError('unsupported_model', `${this.source}: ${this.fullKey(key)} ${problem}`)
  }

  private fullKey(key: string): string {
    return key.startsWith('.') ? `${this.prefix}${key}` : key
  }

  private lookup(key: string): unknown {
    return this.valueOf(this.fullKey(key))
  }

  private scalar(key: string): unknown {
    const value = this.lookup(key)
    if (value === undefined || value === null) return null
    return typeof value === 'bigint' && Number.isSafeInteger(Number(value)) ? Number(value) : value
  }

  private required<Value>(key: string, value: Value | null): Value {
    if (value === null) throw this.fault(key, 'is missing')
    return value
  }

  private within(key: string, value: number, { min, max }: FieldRange): number {
    if (value < min || value > max) throw this.fault(key, `is ${value}, allowed are ${min} to ${max}`)
    return value
  }
}

function isList(value: unknown): boolean {
  return Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView))
}

function describe(value: unknown): string {
  if (isList(value)) return `a list of ${(value as ArrayLike<unknown>).length}`
  if (typeof value === 'string') return `the string ${JSON.stringify(value.slice(0, 40))}`
  if (typeof value === 'object' && value !== null) return 'an object'
  return String(value)
}
