import { expect, test } from 'vitest'
import { ACCEPTS, BOUNDARY, FREE_TEXT, UNBOUNDED, UNCOUNTED, type Automaton } from './automaton.ts'
import { compileAutomaton } from './compile-automaton.ts'
import { chars, choice, EMPTY_TEXT, NOTHING, optional, repeat, sequence, text, type Expr, type Grammar, type RuleId } from './grammar.ts'
import { DEFAULT_GRAMMAR_LIMITS, type GrammarLimits } from './grammar-limits.ts'
import { createReferenceVocabulary } from './reference-matcher.ts'
import type { TokenMatcher } from './token-matcher.ts'

const BYTES = createReferenceVocabulary(Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte)))
const FREE_CHARS: Expr = { kind: 'chars', ranges: [0x20, 0x21, 0x23, 0x5b, 0x5d, 0xd7ff, 0xe000, 0x10ffff] }
const STRING_CHAR = choice(FREE_CHARS, sequence(text('\\'), chars('n', 'n', '"', '"', '\\', '\\')))
const DIGIT = chars('0', '9')

function rule(id: number): Expr {
  return { kind: 'rule', id: id as RuleId }
}

/** Rule 0 is the root. */
function grammar(...bodies: readonly Expr[]): Grammar {
  return { rules: bodies.map((body, id) => ({ name: `r${id}`, body })), root: 0 as RuleId }
}

function compile(root: Expr, ...others: readonly Expr[]): Automaton {
  return compileAutomaton(grammar(root, ...others), DEFAULT_GRAMMAR_LIMITS)
}

/** Null: not a beginning. */
function read(automaton: Automaton, input: string): TokenMatcher | null {
  const matcher = BYTES.load(automaton).createMatcher()
  for (const byte of new TextEncoder().encode(input)) if (!matcher.accept(byte)) return null
  return matcher
}

function accepts(automaton: Automaton, input: string): boolean {
  return read(automaton, input)?.canEnd ?? false
}

function refusal(limits: Partial<GrammarLimits>, ...bodies: readonly Expr[]): string {
  try {
    compileAutomaton(grammar(...bodies), { ...DEFAULT_GRAMMAR_LIMITS, ...limits })
    return ''
  } catch (error) {
    expect(error).toMatchObject({ name: 'InferdError', code: 'invalid_parameter' })
    return (error as Error).message
  }
}

test('a grammar whose rules never come to an end, or that has no way through, is refused', () => {
  const message = 'the grammar matches no text'
  expect(refusal({}, NOTHING)).toBe(message)
  expect(refusal({}, sequence(text('a'), NOTHING))).toBe(message)
  expect(refusal({}, sequence(text('a'), rule(0)))).toBe(message)
  expect(refusal({}, sequence(text('a'), rule(0), text('b')))).toBe(message)
  expect(refusal({}, rule(1), rule(0))).toBe(message)
  expect(refusal({}, repeat(DIGIT, 5, 3))).toBe(message)
  expect(refusal({}, repeat(DIGIT, 500, 300))).toBe(message)
  expect(refusal({}, repeat(NOTHING, 1, 3))).toBe(message)
})

test('a branch that never comes to an end is gone', () => {
  const endless = sequence(text('a'), rule(1), text('b'))
  const automaton = compile(choice(text('a!'), sequence(rule(1), rule(1)), repeat(text('c'), 300, 200)), endless)
  expect(accepts(automaton, 'a!')).toBe(true)
  expect(read(automaton, 'aa')).toBeNull()
  expect(read(automaton, 'c')).toBeNull()
})

test('a grammar that has only the empty text may end at once, and nothing else', () => {
  for (const automaton of [
    compile(EMPTY_TEXT),
    compile(repeat(NOTHING, 0, 900)),
    compile(sequence(rule(1), rule(1)), repeat(EMPTY_TEXT, 500, 500)),
  ]) {
    expect(automaton).toMatchObject({ matchesEmpty: true, numStates: 1, numRules: 1 })
    const matcher = read(automaton, '')!
    expect(matcher.isComplete).toBe(true)
    expect(matcher.forcedBytes(5)).toEqual(new Uint8Array())
  }
})

test('strings and character classes give tight automata', () => {
  expect(compile(text('hello')).numStates).toBe(6)
  expect(compile(choice(text('cat'), text('car'), text('bar'))).numStates).toBe(6)
  expect(compile(repeat(chars('a', 'z', 'A', 'Z'), 0, null)).numStates).toBe(1)
  expect(compile(sequence(text('"'), repeat(FREE_CHARS, 0, null), text('"'))).numStates).toBe(10)
  expect(compile(repeat(sequence(text('ab')), 0, null)).numStates).toBe(2)
})

test('a repeat of characters is one counted state that allows all free text', () => {
  const automaton = compile(sequence(text('"'), repeat(STRING_CHAR, 2, 500), text('"')))
  expect([...automaton.ruleMax]).toEqual([UNCOUNTED, 500])
  expect([...automaton.ruleMin]).toEqual([0, 2])
  expect(automaton.stateFlags[automaton.ruleStart[1]!]).toBe(ACCEPTS | BOUNDARY | FREE_TEXT)
  expect([...automaton.stateFlags].filter((flags) => (flags & BOUNDARY) !== 0)).toHaveLength(1)
  expect(accepts(automaton, '"a"')).toBe(false)
  expect(accepts(automaton, `"${'日'.repeat(498)}\\n𝄞"`)).toBe(true)
  expect(read(automaton, `"${'日'.repeat(500)}a`)).toBeNull()
  const endless = compile(sequence(text('"'), repeat(STRING_CHAR, 70, null), text('"')))
  expect([...endless.ruleMax]).toEqual([UNCOUNTED, UNBOUNDED])
  expect(accepts(endless, `"${'a'.repeat(69)}"`)).toBe(false)
  expect(accepts(endless, `"${'a'.repeat(700)}"`)).toBe(true)
})

/** The definition in automaton.ts, word for word, over every code point. */
function isFreeText(automaton: Automaton, state: number): boolean {
  const inner = new Set<number>()
  const step = (from: number, byte: number): number => {
    for (let edge = automaton.byteStarts[from]!; edge < automaton.byteStarts[from + 1]!; edge++) {
      if (automaton.byteFirst[edge]! <= byte && byte <= automaton.byteLast[edge]!) return automaton.byteTarget[edge]!
    }
    return -1
  }
  for (let code = 0x20; code <= 0x10ffff; code++) {
    if (code === 0x22 || code === 0x5c || (code >= 0xd800 && code <= 0xdfff)) continue
    const bytes = Buffer.from(String.fromCodePoint(code))
    let at = state
    for (const [index, byte] of bytes.entries()) {
      at = step(at, byte)
      if (at === -1) return false
      if (index < bytes.length - 1) inner.add(at)
    }
    if (at !== state) return false
  }
  for (let from = 0; from < automaton.numStates; from++) {
    const isInside = from === state || inner.has(from)
    const targets = [
      ...automaton.byteTarget.subarray(automaton.byteStarts[from]!, automaton.byteStarts[from + 1]!),
      ...automaton.callReturn.subarray(automaton.callStarts[from]!, automaton.callStarts[from + 1]!),
    ]
    if (!isInside && targets.some((to) => inner.has(to))) return false
    if (inner.has(from) && (targets.some((to) => to !== state && !inner.has(to)) || (automaton.stateFlags[from]! & ACCEPTS) !== 0)) return false
  }
  return !inner.has(state)
}

test('a state is marked as free text exactly where every free code point leads back to it by ways of its own', () => {
  const quoted = (body: Expr): Expr => sequence(text('"'), body, text('"'))
  const wide: Expr = { kind: 'chars', ranges: [0x80, 0xd7ff, 0xe000, 0x10ffff] }
  const narrow: Expr = { kind: 'chars', ranges: [0x20, 0x21, 0x23, 0x5b, 0x5d, 0x7f] }
  const cases: [Expr, number][] = [
    [quoted(repeat(STRING_CHAR, 0, null)), 1],
    [quoted(repeat(STRING_CHAR, 1, null)), 1],
    [quoted(repeat(STRING_CHAR, 3, null)), 1],
    [quoted(repeat(FREE_CHARS, 0, 40)), 1],
    [repeat({ kind: 'chars', ranges: [0, 0xd7ff, 0xe000, 0x10ffff] }, 0, null), 1],
    [choice(quoted(repeat(FREE_CHARS, 0, null)), sequence(text('<'), repeat(FREE_CHARS, 1, null), text('"'))), 1],
    [quoted(repeat(choice(narrow, sequence(wide, text('x'))), 0, null)), 0],
    [quoted(repeat(narrow, 0, null)), 0],
    [
      quoted(repeat(choice({ kind: 'chars', ranges: [0x20, 0x21, 0x5d, 0xd7ff, 0xe000, 0x10ffff] }, sequence(chars('#', '['), text('x'))), 0, null)),
      0,
    ],
    [quoted(repeat({ kind: 'chars', ranges: [0x20, 0x21, 0x23, 0x5b, 0x5d, 0xd7ff, 0xe000, 0x10fffe] }, 0, null)), 0],
    [quoted(repeat(sequence(FREE_CHARS, optional(FREE_CHARS), text('"')), 0, null)), 0],
  ]
  for (const [body, numFree] of cases) {
    const automaton = compile(body)
    const marked = Array.from({ length: automaton.numStates }, (_, state) => state).filter(
      (state) => (automaton.stateFlags[state]! & FREE_TEXT) !== 0,
    )
    expect(marked.length, JSON.stringify(body)).toBe(numFree)
    for (const state of marked) expect(isFreeText(automaton, state), JSON.stringify(body)).toBe(true)
  }
})

test('a rule that is used at several places is one rule, so that its masks are shared', () => {
  const string = sequence(text('"'), repeat(STRING_CHAR, 0, null), text('"'))
  const automaton = compile(sequence(text('['), rule(1), text(','), rule(1), text(']')), string)
  expect(automaton.numRules).toBe(2)
  expect(compile(sequence(text('['), rule(1), text(']')), string).numRules).toBe(1)
  expect(compile(sequence(text('['), repeat(rule(1), 2, 2), text(']')), string).numRules).toBe(2)
})

test('counted repeats with plain boundaries pass at any length, ambiguous ones that would multiply are refused', () => {
  const string = sequence(text('"'), repeat(STRING_CHAR, 0, 5_000), text('"'))
  const strings = sequence(text('['), string, repeat(sequence(text(','), string), 0, 5_000), text(']'))
  expect(refusal({}, sequence(text('['), repeat(sequence(strings, text(',')), 10, 5_000), text(']')))).toBe('')
  expect(refusal({}, sequence(text('['), rule(0), repeat(sequence(text(','), rule(0)), 0, 900), text(']')))).toContain('no text')
  expect(refusal({}, choice(DIGIT, sequence(text('['), rule(0), repeat(sequence(text(','), rule(0)), 0, 900), text(']'))))).toBe('')
  const a = chars('a', 'a')
  for (const ambiguous of [
    repeat(repeat(a, 1, 1_000), 1, 1_000),
    repeat(choice(repeat(a, 1, 99), text('b')), 1, 99),
    repeat(sequence(repeat(a, 1, null), optional(text('b'))), 2, 1_000),
    repeat(sequence(text('b'), repeat(repeat(choice(a, text('b')), 1, 200), 0, 90)), 0, 90),
  ]) {
    expect(refusal({}, ambiguous)).toContain('ambiguous')
  }
  expect(refusal({}, repeat(choice(text('a'), rule(0)), 1, 1_000))).toContain('ambiguous')
  expect(refusal({}, repeat(choice(text('a'), text('aa')), 1, 1_000))).toBe('')
})

test('what cannot be made deterministic is matched by rules that call each other', () => {
  const ab = chars('a', 'b')
  const automaton = compile(sequence(repeat(ab, 0, null), text('a'), repeat(ab, 24, 24)))
  expect(automaton.numStates).toBeLessThan(100)
  const tail = 'abba'.repeat(6)
  expect(accepts(automaton, `a${tail}`)).toBe(true)
  expect(accepts(automaton, `b${tail}`)).toBe(false)
  expect(accepts(automaton, `bbba${tail}`)).toBe(true)
  expect(accepts(automaton, `abbb${tail}`)).toBe(false)
})

test('a list that ends with itself is a loop and grows no frames', () => {
  const list = choice(DIGIT, sequence(DIGIT, text(','), rule(0)))
  const automaton = compile(list)
  expect(automaton.callRule).toHaveLength(0)
  const mutual = compile(sequence(text('['), rule(1)), choice(text(']'), sequence(DIGIT, rule(2))), choice(text(']'), sequence(text(','), rule(1))))
  expect(accepts(mutual, '[1,2,3]')).toBe(true)
  expect(accepts(mutual, '[1,2,,]')).toBe(false)
})

test('nesting of a hundred thousand levels is compiled or refused, not a stack overflow', () => {
  let nested: Expr = text('a')
  for (let i = 0; i < 100_000; i++) nested = i % 2 === 0 ? { kind: 'sequence', items: [nested, text('')] } : { kind: 'choice', items: [nested] }
  expect(accepts(compile(nested), 'a')).toBe(true)
  let repeats: Expr = text('a')
  for (let i = 0; i < 5_000; i++) repeats = repeat(repeats, 1, 2)
  expect(refusal({}, repeats)).toMatch(/ambiguous|states/)
  const chain = Array.from({ length: 20_000 }, (_, i): Expr => (i === 19_999 ? text('x') : sequence(text('('), rule(i + 1), rule(i + 1), text(')'))))
  expect(refusal({}, ...chain)).toBe('')
})

test('an expression that is shared without end counts at each use', () => {
  let doubled: Expr = text('a')
  for (let i = 0; i < 60; i++) doubled = sequence(doubled, doubled)
  expect(refusal({}, doubled)).toBe('the grammar has more than 500000 parts')
})

test('each bound of the compiler answers with a refusal that names it', () => {
  const word = text('abcdefghij')
  expect(refusal({ maxExprNodes: 3 }, sequence(word, word, word))).toBe('the grammar has more than 3 parts')
  expect(refusal({ maxExprNodes: 4 }, sequence(word, word, word))).toBe('')
  expect(refusal({ maxStates: 10 }, word)).toBe('the grammar needs more than 10 states')
  expect(refusal({ maxStates: 11 }, word)).toBe('')
  expect(refusal({ maxStates: 11 }, sequence(word, word, word, word, word))).toBe('the grammar expands to more than 44 states')
  expect(refusal({ maxEdges: 9 }, word)).toBe('the grammar needs more than 9 edges')
  expect(refusal({ maxEdges: 10 }, word)).toBe('')
  const recursive = sequence(rule(1), optional(rule(2)), rule(1))
  const others = [sequence(text('('), optional(rule(1)), text(')')), sequence(text('['), rule(1), optional(rule(2)), text(']'))]
  expect(refusal({ maxRules: 2 }, recursive, ...others)).toBe('the grammar has more than 2 rules')
  expect(refusal({ maxRules: 3 }, recursive, ...others)).toBe('')
  expect(refusal({}, text('\ud800'))).toContain('surrogate')
  expect(refusal({}, repeat(DIGIT, 2 ** 32, null))).toContain('too long')
})
