/** The texts that string shapes stand for, as automata; patterns and formats are built once for each schema. */
import { InferdError } from '#contract/errors'
import { ANY_TEXT, intersect, lengthBetween, subtract, unite } from '../char-algebra.ts'
import { CharBudget } from '../char-algebra-budget.ts'
import { isEmpty } from '../char-algebra-inspect.ts'
import { fromTexts } from '../char-algebra-texts.ts'
import type { CharAutomaton } from '../char-automaton.ts'
import { type GrammarLimits, refuseGrammar } from '../grammar-limits.ts'
import type { Enforcement } from './enforcement.ts'
import { formatOf } from './formats.ts'
import { patternLanguage } from './pattern-language.ts'
import { regexMatchingWhole } from '../regex/compile-regex.ts'
import { placeOf, shown } from './schema-source.ts'
import { ANY_SHAPE, type Shape, STRING } from './shape.ts'

/** Built once: a third of the time of a schema with formats was spent on building them again. As many as there are formats. */
const textsByFormat = new WeakMap<GrammarLimits, Map<string, CharAutomaton>>()

/** Of a pattern or format together with a length. */
const MAX_COUNTED_STATES = 4_096

export class StringLanguages {
  readonly budget: CharBudget
  private readonly limits: GrammarLimits
  private readonly enforcement: Enforcement
  private readonly patterns = new Map<string, CharAutomaton>()
  private readonly formats = new Map<string, Shape>()
  /** By shape; exact and narrowed. */
  private readonly shapes = [new WeakMap<Shape, CharAutomaton>(), new WeakMap<Shape, CharAutomaton>()] as const

  constructor(limits: GrammarLimits, enforcement: Enforcement) {
    this.limits = limits
    this.enforcement = enforcement
    this.budget = new CharBudget(limits)
  }

  /** The texts in which `pattern` is found. Throws InferdError. */
  ofPattern(pattern: string, pointer: string): CharAutomaton {
    let language = this.patterns.get(pattern)
    if (language === undefined) {
      const where = { limits: this.limits, budget: this.budget.at(placeOf(pointer)), place: placeOf(pointer) }
      language = patternLanguage(pattern, where)
      this.patterns.set(pattern, language)
    }
    return language
  }

  /** Likewise; a list of none where the pattern is left out. */
  ofPatterns(patterns: readonly string[], pointer: string): readonly CharAutomaton[] {
    return patterns.flatMap((pattern) => this.enforcement.attempt(() => this.ofPattern(pattern, pointer), []))
  }

  /** What `format` says of strings, and of numbers where it is a format of numbers. */
  ofFormat(format: string, pointer: string): Shape {
    let shape = this.formats.get(format)
    if (shape === undefined) {
      const meaning = formatOf(format)
      if (meaning === null) this.enforcement.leaveOut(`\`format\` '${shown(format)}' is not enforced by this server`, placeOf(pointer))
      shape = ANY_SHAPE
      if (meaning?.kind === 'integers') shape = { ...ANY_SHAPE, number: { ...ANY_SHAPE.number, min: meaning.min, max: meaning.max, isInteger: true } }
      if (meaning?.kind === 'texts') {
        const texts = this.textsOfFormat(format, meaning.pattern, pointer)
        shape = { ...ANY_SHAPE, string: { ...ANY_SHAPE.string, [meaning.isExact ? 'languages' : 'narrowed']: [texts] } }
      }
      this.formats.set(format, shape)
    }
    return shape
  }

  private textsOfFormat(format: string, pattern: string, pointer: string): CharAutomaton {
    let known = textsByFormat.get(this.limits)
    if (known === undefined) textsByFormat.set(this.limits, (known = new Map()))
    let texts = known.get(format)
    if (texts === undefined) {
      texts = regexMatchingWhole(pattern, this.limits, this.budget.at(placeOf(pointer)))
      known.set(format, texts)
    }
    return texts
  }

  /** null = no constraint but the length. `isExact`: without what is narrowed. */
  ofShape(shape: Shape, isExact: boolean): CharAutomaton | null {
    const { languages, narrowed, minLength, maxLength } = shape.string
    const parts = isExact ? languages : [...languages, ...narrowed]
    const excluded = [...shape.excluded.values()].filter((value) => typeof value === 'string')
    if (parts.length === 0 && excluded.length === 0) return null
    const known = this.shapes[isExact ? 0 : 1].get(shape)
    if (known !== undefined) return known
    let texts = parts.reduce((all, part) => (all === ANY_TEXT ? part : intersect(all, part, this.budget)), ANY_TEXT)
    if (minLength > 0 || maxLength !== null) {
      const length = { min: minLength, max: maxLength }
      texts = isExact ? this.withLength(texts, length, shape.pointer) : this.withShorterLength(texts, length, shape.pointer)
    }
    if (excluded.length > 0) texts = subtract(texts, fromTexts(excluded, this.budget), this.budget)
    this.shapes[isExact ? 0 : 1].set(shape, texts)
    return texts
  }

  /** All the strings of some shapes, lengths and values included. */
  ofShapes(shapes: readonly Shape[]): CharAutomaton {
    const parts = shapes.filter((shape) => (shape.types & STRING) !== 0).map((shape) => this.whole(shape))
    return unite(
      parts.filter((part) => !isEmpty(part)),
      this.budget,
    )
  }

  fromTexts(texts: readonly string[]): CharAutomaton {
    return fromTexts(texts, this.budget)
  }

  private whole(shape: Shape): CharAutomaton {
    const texts = this.ofShape(shape, false) ?? this.withLength(ANY_TEXT, { min: shape.string.minLength, max: shape.string.maxLength }, shape.pointer)
    if (shape.values === null) return texts
    const values = [...shape.values.values()].filter((value) => typeof value === 'string')
    return intersect(texts, fromTexts(values, this.budget), this.budget)
  }

  private withLength(texts: CharAutomaton, length: LengthRange, pointer: string): CharAutomaton {
    if (length.min === 0 && length.max === null) return texts
    const budget = this.budget.at(placeOf(pointer))
    if (texts === ANY_TEXT) return lengthBetween(length, budget)
    const counted = countedTexts(texts, length, budget)
    if (counted !== null) return counted
    throw refuseGrammar(`a pattern counted to this length takes more than ${MAX_COUNTED_STATES} states`, placeOf(pointer))
  }

  /** Likewise, with a smaller maxLength where the given one takes too many states: URIs of at most 2,083 characters are written shorter. */
  private withShorterLength(texts: CharAutomaton, length: LengthRange, pointer: string): CharAutomaton {
    if (length.max === null || texts === ANY_TEXT) return this.withLength(texts, length, pointer)
    const budget = this.budget.at(placeOf(pointer))
    const counted = countedTexts(texts, length, budget)
    if (counted !== null) return counted
    const max = Math.max(length.min, Math.floor(MAX_COUNTED_STATES / texts.edges.length))
    return this.withLength(texts, { min: length.min, max: Math.min(max, length.max) }, pointer)
  }
}

interface LengthRange {
  readonly min: number
  readonly max: number | null
}

/** null = too many states. */
function countedTexts(texts: CharAutomaton, length: LengthRange, budget: CharBudget): CharAutomaton | null {
  const longest = length.max ?? length.min
  if (longest > budget.maxStates) return null
  const small = budget.withMaxStates(Math.max(2 * MAX_COUNTED_STATES, longest + 1))
  const lengths = lengthBetween(length, small)
  try {
    const counted = intersect(texts, lengths, small)
    return counted.edges.length <= MAX_COUNTED_STATES ? counted : null
  } catch (error) {
    if (error instanceof InferdError && small.stepsLeft >= 0) return null
    throw error
  }
}
