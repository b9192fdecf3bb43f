/**
 * Objects to grammar. Declared properties come in the order of the schema, names that are only required after them, then further keys. Keys
 * are spelled without needless escapes, so that a further key is never a declared name in another spelling.
 */
import { ANY_TEXT, intersect, subtract } from '../char-algebra.ts'
import { isEmpty } from '../char-algebra-inspect.ts'
import type { CharAutomaton } from '../char-automaton.ts'
import { choice, EMPTY_TEXT, type Expr, NOTHING, optional, repeat, sequence, text } from '../grammar.ts'
import { refuseGrammar } from '../grammar-limits.ts'
import { spelledTexts } from './json-text.ts'
import type { SchemaLowering } from './lower-json-schema.ts'
import { memberLiterals } from './member-literals.ts'
import { placeOf } from './schema-source.ts'
import type { Literal, ObjectRule, ObjectShape, Shape } from './shape.ts'

/** Different patterns of names in one object: their combinations are its classes of further keys. */
const MAX_NAME_PATTERNS = 5
/** Declared properties times counts, where properties are counted. */
const MAX_COUNTED_STATES = 4_096

/** Optional properties that one rule spells out; the size of that grows with their square. */
const MAX_FLAT_OPTIONALS = 24

interface Member {
  /** `"key": value`. */
  readonly pair: Expr
  readonly isRequired: boolean
}

interface Members {
  readonly declared: readonly Member[]
  /** One further member; null = there is none. */
  readonly further: Expr | null
  readonly min: number
  readonly max: number | null
}

/** NOTHING when no object satisfies the shape. */
export function lowerObject(lowering: SchemaLowering, shape: Shape): Expr {
  const { json } = lowering
  const declared = declaredMembers(lowering, shape)
  if (declared === null) return NOTHING
  const further = furtherMember(lowering, shape)
  const { minProperties, maxProperties } = shape.object
  const numRequired = declared.filter((member) => member.isRequired).length
  const max = maxProperties !== null && (further !== null || maxProperties < declared.length) ? maxProperties : null
  const members: Members = { declared, further, min: minProperties <= numRequired ? 0 : minProperties, max }
  if (minProperties > declared.length + 1 && further !== null) {
    lowering.enforcement.leaveOut('`minProperties` is not enforced beyond the declared properties and one more', placeOf(shape.pointer))
    return lowerObject(lowering, { ...shape, object: { ...shape.object, minProperties: 0 } })
  }
  const isPlain = members.min <= 1 && (max === null || numRequired === declared.length)
  if (max === null && members.min <= 1 && declared.length - numRequired > MAX_FLAT_OPTIONALS) {
    return sequence(text('{'), json.space, chainedList(lowering, members, numRequired), text('}'))
  }
  const list = isPlain ? plainList(lowering, members, numRequired) : countedList(lowering, members, shape)
  return sequence(text('{'), json.space, list, text('}'))
}

function declaredMembers(lowering: SchemaLowering, shape: Shape): Member[] | null {
  const { object } = shape
  const { judge } = lowering.expander
  const required = new Set(object.required)
  const names = new Set([...object.rules.flatMap((rule) => [...rule.properties.keys()]), ...required])
  const members: Member[] = []
  for (const name of names) {
    const literals = memberLiterals(object, name)
    const isRequired = required.has(name)
    const isAllowed = !object.forbidden.includes(name) && (object.names.length === 0 || judge.holds(name, object.names)) && judge.isPossible(literals)
    if (!isAllowed) {
      if (isRequired) return null
      continue
    }
    if (!name.isWellFormed()) throw refuseGrammar('a name with a lone surrogate cannot be written', placeOf(shape.pointer))
    members.push({ pair: sequence(text(JSON.stringify(name)), lowering.json.colon, lowering.exprOf(literals)), isRequired })
  }
  return members
}

/** A member that is not declared, in classes by the patterns that its name matches. */
function furtherMember(lowering: SchemaLowering, shape: Shape): Expr | null {
  const { object } = shape
  const { languages, judge } = lowering.expander
  const patterns = [...new Set(object.rules.flatMap((rule) => rule.patterns.map(({ language }) => language)))]
  if (patterns.length > MAX_NAME_PATTERNS) {
    throw refuseGrammar(`more than ${MAX_NAME_PATTERNS} \`patternProperties\` in one object are not enforced`, placeOf(shape.pointer))
  }
  const isClosed = lowering.options.closedObjects && closesByDefault(object)
  if (isClosed && patterns.length === 0) return null
  const free = freeNames(lowering, object)
  const members: Expr[] = []
  for (let mask = isClosed ? 1 : 0; mask < 1 << patterns.length; mask++) {
    const matched = new Set(patterns.filter((_, index) => (mask & (1 << index)) !== 0))
    const literals = object.rules.flatMap((rule) => literalsOfClass(rule, matched))
    if (!judge.isPossible(literals)) continue
    let names = free
    for (const pattern of patterns) {
      names = matched.has(pattern) ? intersect(names, pattern, languages.budget) : subtract(names, pattern, languages.budget)
    }
    if (!isEmpty(names)) members.push(sequence(quoted(lowering, names), lowering.json.colon, lowering.exprOf(literals)))
  }
  return members.length === 0 ? null : choice(...members)
}

/** All keys that are not declared and that `propertyNames` holds. */
function freeNames(lowering: SchemaLowering, object: ObjectShape): CharAutomaton {
  const { languages } = lowering.expander
  const taken = [...object.rules.flatMap((rule) => [...rule.properties.keys()]), ...object.required, ...object.forbidden]
  const all = object.names.length === 0 ? ANY_TEXT : languages.ofShapes(lowering.expander.expand(object.names))
  return taken.length === 0 ? all : subtract(all, languages.fromTexts(taken), languages.budget)
}

function quoted(lowering: SchemaLowering, names: CharAutomaton): Expr {
  if (names === ANY_TEXT) return lowering.json.string(0, null)
  return sequence(text('"'), { kind: 'regular', automaton: spelledTexts(names) }, text('"'))
}

function literalsOfClass(rule: ObjectRule, matched: ReadonlySet<CharAutomaton>): readonly Literal[] {
  const matching = rule.patterns.filter(({ language }) => matched.has(language)).map(({ literal }) => literal)
  if (matching.length > 0 || rule.additional === null) return matching
  return [rule.additional]
}

/** Properties are declared, and nothing is said of others. */
function closesByDefault({ rules }: ObjectShape): boolean {
  return rules.some((rule) => rule.properties.size > 0) && rules.every((rule) => rule.additional === null)
}

/** The members and the white space before the closing brace, where counts need no counting. min is 0 or 1. */
function plainList(lowering: SchemaLowering, members: Members, numRequired: number): Expr {
  const { json } = lowering
  const { declared, further, min, max } = members
  const more = (numBefore: number): Expr => {
    if (further === null || (max !== null && max <= numBefore)) return EMPTY_TEXT
    return repeat(sequence(json.comma, further), 0, max === null ? null : max - numBefore)
  }
  if (numRequired > 0) return sequence(...aroundRequired(json.comma, declared), more(numRequired), json.space)
  const lists: Expr[] = []
  // Without a required property, `max` is only set when nothing is declared.
  if (declared.length > 0) lists.push(sequence(someOf(declared, json.comma), more(0), json.space))
  if (further !== null && max !== 0) lists.push(sequence(further, more(1), json.space))
  const some = choice(...lists)
  return min === 0 ? optional(some) : some
}

/** Commas follow what comes before the first required member, and lead what comes after it. */
function aroundRequired(comma: Expr, members: readonly Member[]): Expr[] {
  const first = members.findIndex((member) => member.isRequired)
  return members.map(({ pair, isRequired }, index) => {
    if (index < first) return optional(sequence(pair, comma))
    if (index === first) return pair
    return isRequired ? sequence(comma, pair) : optional(sequence(comma, pair))
  })
}

/** At least one of the members, all optional: some of the first half and any of the second, or some of the second. */
function someOf(members: readonly Member[], comma: Expr): Expr {
  if (members.length === 1) return members[0]!.pair
  const middle = members.length >> 1
  const anyOfSecond = members.slice(middle).map(({ pair }) => optional(sequence(comma, pair)))
  return choice(sequence(someOf(members.slice(0, middle), comma), ...anyOfSecond), someOf(members.slice(middle), comma))
}

/** The same as plainList without an upper count: a rule for each optional member, so that size stays in proportion to their number. */
function chainedList(lowering: SchemaLowering, { declared, further, min }: Members, numRequired: number): Expr {
  const { comma, space, builder } = lowering.json
  const more = further === null ? EMPTY_TEXT : repeat(sequence(comma, further), 0, null)
  // What follows a comma, and what follows a member, from the last member to the first.
  let afterComma = further === null ? NOTHING : sequence(further, more, space)
  let afterMember = sequence(more, space)
  let mustFollow = false
  for (const { pair, isRequired } of declared.toReversed()) {
    const here = sequence(pair, afterMember)
    afterComma = isRequired ? here : builder.add('members', choice(here, afterComma))
    mustFollow ||= isRequired
    afterMember = mustFollow ? sequence(comma, afterComma) : choice(space, sequence(comma, afterComma))
  }
  return numRequired === 0 && min === 0 ? optional(afterComma) : afterComma
}

/** One rule for each number of members so far, from the last member to the first. */
function countedList(lowering: SchemaLowering, members: Members, shape: Shape): Expr {
  const { json } = lowering
  const { declared, min, max } = members
  const cap = Math.min(max ?? min, declared.length + 1)
  if ((declared.length + 1) * (cap + 1) > MAX_COUNTED_STATES) {
    throw refuseGrammar('`minProperties` or `maxProperties` of an object with this many properties is not enforced', placeOf(shape.pointer))
  }
  const isNothing = (expr: Expr): boolean => expr.kind === 'choice' && expr.items.length === 0
  let after = Array.from({ length: cap + 1 }, (_, count) => lastMembers(members, count, json.comma, json.space))
  for (const { pair, isRequired } of declared.toReversed()) {
    const next = after
    after = next.map((without, count) => {
      const following = max !== null && count >= max ? NOTHING : next[Math.min(count + 1, cap)]!
      const items: Expr[] = []
      if (!isNothing(following)) items.push(sequence(count === 0 ? EMPTY_TEXT : json.comma, pair, following))
      if (!isRequired && !isNothing(without)) items.push(without)
      return items.length < 2 ? choice(...items) : json.builder.add(`members-${shape.pointer}`, choice(...items))
    })
  }
  return after[0]!
}

/** What may follow `count` declared members: a further key may repeat another, so at most one of them counts towards `min`. */
function lastMembers(members: Members, count: number, comma: Expr, space: Expr): Expr {
  const { further, min, max } = members
  const missing = Math.max(0, min - count)
  const room = max === null ? null : max - count
  const end = count === 0 ? EMPTY_TEXT : space
  if (missing > 1 || (missing === 1 && (further === null || room === 0))) return NOTHING
  if (further === null || room === 0) return end
  const some = sequence(count === 0 ? EMPTY_TEXT : comma, further, repeat(sequence(comma, further), 0, room === null ? null : room - 1), space)
  return missing === 1 ? some : choice(end, some)
}
