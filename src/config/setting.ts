/** The kinds of setting: how text from a flag or the environment becomes a checked value. */
import { InferdError } from '#contract/errors'

export interface Setting<T> {
  /** What `--help` and the reference page say. */
  readonly doc: string
  /** As the reference page shows it. */
  readonly defaultText: string
  readonly default: T
  /** Words for the values that pass: `0 to 65535`. */
  readonly range: string
  /** Placeholder in the usage line: `--port N`. */
  readonly placeholder: string
  /** Throws InferdError('invalid_parameter') with range and given value. */
  parse(text: string, name: string): T
}

interface IntRange<D extends number | null> {
  readonly default: D
  readonly min: number
  readonly max: number
  readonly doc: string
  /** Says what null means: `as many as the machine has`. */
  readonly defaultText?: string
}

/** A whole number in [min, max]. */
export function int<D extends number | null>({ default: value, min, max, doc, defaultText }: IntRange<D>): Setting<number | D> {
  return {
    doc,
    default: value,
    defaultText: defaultText ?? String(value),
    placeholder: 'N',
    range: `${min} to ${max}`,
    parse(text, name) {
      const parsed = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN
      if (!(parsed >= min && parsed <= max)) {
        throw new InferdError('invalid_parameter', `${name} must be a whole number from ${min} to ${max}, not '${text}'`, { param: name })
      }
      return parsed
    },
  }
}

/** One of a closed list of words. */
export function choice<const W extends string>({
  default: value,
  words,
  doc,
}: {
  readonly default: NoInfer<W>
  readonly words: readonly W[]
  readonly doc: string
}): Setting<W> {
  return {
    doc,
    default: value,
    defaultText: value,
    placeholder: words.join('|'),
    range: words.join(', '),
    parse(text, name) {
      const word = words.find((candidate) => candidate === text)
      if (word === undefined) throw new InferdError('invalid_parameter', `${name} must be one of ${words.join(', ')}, not '${text}'`, { param: name })
      return word
    },
  }
}

/** Free text, not empty. */
export function text({
  default: value,
  placeholder,
  doc,
}: {
  readonly default: string
  readonly placeholder: string
  readonly doc: string
}): Setting<string> {
  return {
    doc,
    default: value,
    defaultText: value,
    placeholder,
    range: 'not empty',
    parse(given, name) {
      if (given === '') throw new InferdError('invalid_parameter', `${name} must not be empty`, { param: name })
      return given
    },
  }
}
