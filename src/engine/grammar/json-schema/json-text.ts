/** The pieces of JSON text that every schema shares: white space, strings, numbers, and values of any shape. */
import type { JsonValue, JsonWhitespace } from '#contract/generate'
import type { CharAutomaton, CharEdge } from '../char-automaton.ts'
import { chars, choice, EMPTY_TEXT, type Expr, optional, repeat, type RuleId, sequence, text } from '../grammar.ts'
import type { GrammarBuilder } from '../grammar-builder.ts'
import { isRecord } from './schema-source.ts'

/** Spaces and tabs behind a line break: without a bound a model may write nothing else. */
const MAX_INDENT = 40

/** Code points that stand for themselves in a JSON string. */
const PLAIN_CHARS = { kind: 'chars', ranges: [0x20, 0x21, 0x23, 0x5b, 0x5d, 0xd7ff, 0xe000, 0x10ffff] } as const
const HEX = chars('0', '9', 'A', 'F', 'a', 'f')
const SHORT_ESCAPES: ReadonlyMap<number, string> = new Map([
  [0x08, 'b'],
  [0x09, 't'],
  [0x0a, 'n'],
  [0x0c, 'f'],
  [0x0d, 'r'],
  [0x22, '"'],
  [0x5c, '\\'],
])

const HIGH_D = chars('D', 'D', 'd', 'd')
const ESCAPED_UNIT = choice(
  sequence(chars('0', '9', 'A', 'C', 'E', 'F', 'a', 'c', 'e', 'f'), HEX, HEX, HEX),
  sequence(HIGH_D, chars('0', '7'), HEX, HEX),
  sequence(HIGH_D, chars('8', '9', 'A', 'B', 'a', 'b'), HEX, HEX, text('\\u'), HIGH_D, chars('C', 'F', 'c', 'f'), HEX, HEX),
)
/** A character of a string in any spelling: itself, an escape, or a pair of escaped surrogates. */
const STRING_CHAR = choice(
  PLAIN_CHARS,
  sequence(
    text('\\'),
    choice(chars('"', '"', '\\', '\\', '/', '/', 'b', 'b', 'f', 'f', 'n', 'n', 'r', 'r', 't', 't'), sequence(text('u'), ESCAPED_UNIT)),
  ),
)

const INTEGER = choice(text('0'), sequence(optional(text('-')), chars('1', '9'), repeat(chars('0', '9'), 0, 19)))
const FRACTION = sequence(text('.'), repeat(chars('0', '9'), 1, 20))
/** At most 10^279, so that no number becomes infinite in a double. */
const EXPONENT = sequence(
  chars('E', 'E', 'e', 'e'),
  optional(chars('+', '+', '-', '-')),
  choice(repeat(chars('0', '9'), 1, 2), sequence(text('1'), chars('0', '9'), chars('0', '9')), sequence(text('2'), chars('0', '7'), chars('0', '9'))),
)
const NUMBER = sequence(choice(INTEGER, sequence(text('-0'), FRACTION), sequence(INTEGER, FRACTION)), optional(EXPONENT))

/** The shared rules, made in a builder when they are first asked for. */
export class JsonText {
  readonly builder: GrammarBuilder
  private readonly whitespace: JsonWhitespace
  private readonly shared = new Map<string, Expr>()

  constructor(builder: GrammarBuilder, whitespace: JsonWhitespace) {
    this.builder = builder
    this.whitespace = whitespace
  }

  /** One rule for equal keys. */
  once(name: string, make: () => Expr, key = name): Expr {
    let expr = this.shared.get(key)
    if (expr === undefined) {
      expr = this.builder.add(name, make())
      this.shared.set(key, expr)
    }
    return expr
  }

  /** Before a token inside an object or array, but for `:` and `,`: nothing, one space, or one line break and its indent. */
  get space(): Expr {
    if (this.whitespace === 'none') return EMPTY_TEXT
    const indent = repeat(chars(' ', ' ', '\t', '\t'), 0, MAX_INDENT)
    return this.once('json-space', () => choice(EMPTY_TEXT, text(' '), sequence(choice(text('\n'), text('\r\n')), indent)))
  }

  get comma(): Expr {
    return sequence(text(','), this.space)
  }

  get integer(): Expr {
    return this.once('json-integer', () => INTEGER)
  }

  get number(): Expr {
    return this.once('json-number', () => NUMBER)
  }

  /** Length in code points; an escaped surrogate pair is one. */
  string(min: number, max: number | null): Expr {
    const key = min === 0 && max === null ? 'json-string' : `json-string-${min}-${max ?? ''}`
    return this.once(key, () => sequence(text('"'), repeat(STRING_CHAR, min, max), text('"')))
  }

  get value(): Expr {
    return this.recursive('json-value', () =>
      choice(text('null'), text('true'), text('false'), this.number, this.string(0, null), this.object, this.array),
    )
  }

  get object(): Expr {
    return this.recursive('json-object', () => {
      const member = sequence(this.string(0, null), this.colon, this.value)
      return sequence(text('{'), this.space, optional(sequence(member, repeat(sequence(this.comma, member), 0, null), this.space)), text('}'))
    })
  }

  get array(): Expr {
    return this.recursive('json-array', () =>
      sequence(text('['), this.space, optional(sequence(this.value, repeat(sequence(this.comma, this.value), 0, null), this.space)), text(']')),
    )
  }

  get colon(): Expr {
    return sequence(text(':'), this.space)
  }

  /** The canonical text of a value, with white space where it is flexible. Depth of the value is bounded by its schema's. */
  constant(value: JsonValue): Expr {
    if (Array.isArray(value))
      return this.bracketed(
        '[',
        (value as readonly JsonValue[]).map((item) => this.constant(item)),
        ']',
      )
    if (!isRecord(value)) return text(JSON.stringify(value))
    const members = Object.entries(value).map(([name, member]) => sequence(text(JSON.stringify(name)), this.colon, this.constant(member)))
    return this.bracketed('{', members, '}')
  }

  private bracketed(open: string, items: readonly Expr[], close: string): Expr {
    const parts = items.flatMap((item, index) => (index === 0 ? [this.space, item] : [this.comma, item]))
    return sequence(text(open), ...parts, this.space, text(close))
  }

  private recursive(name: string, make: () => Expr): Expr {
    const known = this.shared.get(name)
    if (known !== undefined) return known
    const id: RuleId = this.builder.declare(name)
    const expr: Expr = { kind: 'rule', id }
    this.shared.set(name, expr)
    this.builder.define(id, make())
    return expr
  }
}

/** The texts of strings as JSON spells them without need: characters as themselves, escapes only for what must be escaped. No quotes. */
export function spelledTexts(texts: CharAutomaton): CharAutomaton {
  const edges: CharEdge[][] = texts.edges.map(() => [])
  const accepting = [...texts.accepting]
  const addState = (): number => {
    accepting.push(false)
    return edges.push([]) - 1
  }
  const link = (from: number, char: string, target: number): void => {
    const codePoint = char.codePointAt(0)!
    edges[from]!.push({ first: codePoint, last: codePoint, target })
  }
  texts.edges.forEach((list, state) => {
    let escape = -1
    const hex = [-1, -1]
    const escaped = (codePoint: number, target: number): void => {
      if (escape < 0) link(state, '\\', (escape = addState()))
      const short = SHORT_ESCAPES.get(codePoint)
      if (short !== undefined) return link(escape, short, target)
      const high = codePoint >> 4
      if (hex[0]! < 0 && hex[1]! < 0) {
        const [unit, zeros, more] = [addState(), addState(), addState()]
        link(escape, 'u', unit)
        link(unit, '0', zeros)
        link(zeros, '0', more)
        hex[2] = more
      }
      if (hex[high]! < 0) link(hex[2]!, String(high), (hex[high] = addState()))
      link(hex[high]!, (codePoint & 15).toString(16), target)
    }
    for (const edge of list) {
      for (let codePoint = edge.first; codePoint <= Math.min(edge.last, 0x1f); codePoint++) escaped(codePoint, edge.target)
      for (const quoted of [0x22, 0x5c]) if (edge.first <= quoted && quoted <= edge.last) escaped(quoted, edge.target)
      for (let i = 0; i < PLAIN_CHARS.ranges.length; i += 2) {
        const first = Math.max(edge.first, PLAIN_CHARS.ranges[i]!)
        const last = Math.min(edge.last, PLAIN_CHARS.ranges[i + 1]!)
        if (first <= last) edges[state]!.push({ first, last, target: edge.target })
      }
    }
  })
  return { edges: edges.map((list) => list.toSorted((a, b) => a.first - b.first)), accepting }
}
