import { expect, test } from 'vitest'
import { compileAutomaton } from '#engine/grammar/compile-automaton'
import type { Expr } from '#engine/grammar/grammar'
import { DEFAULT_GRAMMAR_LIMITS as LIMITS } from '#engine/grammar/grammar-limits'
import { createReferenceVocabulary } from '#engine/grammar/reference-matcher'
import { parseGbnf } from './parse-gbnf.ts'

const BYTE_VOCABULARY = createReferenceVocabulary(Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte)))

/** Which of the texts the grammar takes as a whole. */
function accepted(source: string, texts: readonly string[]): string[] {
  const loaded = BYTE_VOCABULARY.load(compileAutomaton(parseGbnf(source, LIMITS), LIMITS))
  return texts.filter((text) => {
    const matcher = loaded.createMatcher()
    return [...new TextEncoder().encode(text)].every((byte) => matcher.accept(byte)) && matcher.canEnd
  })
}

/** The body of a grammar's only rule. */
function body(source: string): Expr {
  return parseGbnf(`root ::= ${source}`, LIMITS).rules[0]!.body
}

test('a grammar of several rules, comments and counts accepts its texts', () => {
  const source = `# a list of moves
root ::= (
    # the first move
    "1. " move " " move "\\n"

    ([1-9] [0-9]? ". " move " " move "\\n"){0,2}
)
move ::= (pawn | castle) [+#]?   # a check or mate may follow
pawn ::= ([a-h] "x")? [a-h] [1-8] ("=" [NBKQR])?
castle ::= "O-O" "-O"?
unused ::= pawn`
  const texts = ['1. e4 e5\n', '1. e4 e5\n2. O-O O-O-O+\n', '1. e4 e5\n2. O-O O-O-O+\n3. dxe8=Q# a1\n', '1. e9 e5\n', '1. e4 e5', '']
  expect(accepted(source, texts)).toEqual(texts.slice(0, 3))
})

test('JSON as a recursive grammar accepts JSON', () => {
  const source = `root   ::= object
value  ::= object | array | string | number | ("true" | "false" | "null") ws
object ::= "{" ws ( string ":" ws value ("," ws string ":" ws value)* )? "}" ws
array  ::= "[" ws ( value ("," ws value)* )? "]" ws
string ::= "\\"" ( [^"\\\\\\x7F\\x00-\\x1F] | "\\\\" (["\\\\bfnrt] | "u" [0-9a-fA-F]{4}) )* "\\"" ws
number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? ws
ws ::= | " " | "\\n" [ \\t]{0,20}`
  const good = ['{}', '{"a": [1, -2.5e+3, {"b": null}], "\\u00e9\\n": "x😀"}', '{"a":\n  true}']
  expect(accepted(source, [...good, '{"a": }', '{"a": "\n"}', '[1]', '{"a": 1,}'])).toEqual(good)
})

test('left, right and middle recursion mean what they say', () => {
  expect(accepted('root ::= root "a" | "b"', ['b', 'baa', 'ab', ''])).toEqual(['b', 'baa'])
  expect(accepted('root ::= "a" root "b" | ""', ['', 'aabb', 'aab'])).toEqual(['', 'aabb'])
})

test('bodies go on over lines, as xgrammar takes them, until the next rule begins', () => {
  const source = 'root ::= a\n  b\n| "z"\n\r\na ::=\n  "x"\n  *\nb ::= "y" |\n  "w"\r\n'
  expect(accepted(source, ['xxy', 'w', 'z', 'x', 'yz'])).toEqual(['xxy', 'w', 'z'])
})

test('an empty body and an empty branch are the empty text', () => {
  expect(accepted('root ::= a b\na ::=\nb ::= "x" |\n', ['', 'x', 'xx'])).toEqual(['', 'x'])
})

test('escapes are those of llama.cpp and of xgrammar', () => {
  expect(body('"\\x41B\\u00e9\\U0001F600\\ud83d\\ude00\\n\\t\\"\\\\\\/\\\'\\e\\0"')).toEqual({ kind: 'text', text: 'ABé😀😀\n\t"\\/\'\u001b\0' })
  expect(body("'it\"s'")).toEqual({ kind: 'text', text: 'it"s' })
  expect(body('[\\]\\-a-c^-]')).toEqual({ kind: 'chars', ranges: [0x2d, 0x2d, 0x5d, 0x5e, 0x61, 0x63] })
  expect(body('[^a]')).toEqual({ kind: 'chars', ranges: [0, 0x60, 0x62, 0xd7ff, 0xe000, 0x10ffff] })
  expect(body('[^]')).toEqual(body('.'))
  expect(body('.')).toEqual({ kind: 'chars', ranges: [0, 0xd7ff, 0xe000, 0x10ffff] })
})

test('counts follow a part and each other', () => {
  const a: Expr = { kind: 'text', text: 'a' }
  expect(body('"a"{2}')).toEqual({ kind: 'repeat', body: a, min: 2, max: 2 })
  expect(body('"a" { 2 , }')).toEqual({ kind: 'repeat', body: a, min: 2, max: null })
  expect(body('"a"{0,3}?')).toEqual({ kind: 'repeat', body: { kind: 'repeat', body: a, min: 0, max: 3 }, min: 0, max: 1 })
})

test('special tokens are looked up by id or text, and refused when there is none', () => {
  const tokenIdOf = (reference: number | string): number | null => (reference === '<think>' || reference === 1000 ? 7 : null)
  const { rules } = parseGbnf('root ::= <think> "a" <[1000]>', LIMITS, tokenIdOf)
  const token: Expr = { kind: 'token', tokenId: 7 }
  expect(rules[0]!.body).toEqual({ kind: 'sequence', items: [token, { kind: 'text', text: 'a' }, token] })
  expect(() => parseGbnf('root ::= "a" <[1001]>', LIMITS, tokenIdOf)).toThrow('<[1001]> is not a special token of this model (at line 1, column 14)')
  expect(() => parseGbnf('root ::= <think>', LIMITS)).toThrow('<think> is not a special token of this model (at line 1, column 10)')
})

test('what is wrong is named with line and column', () => {
  const cases: [string, string][] = [
    ['root ::= a\nb ::= "x"', 'the rule a is not defined (at line 1, column 10)'],
    ['a ::= "x"', 'the grammar has no rule named root'],
    ['', 'the grammar has no rule named root'],
    ['root ::= "a"\nroot ::= "b"', 'the rule root is defined twice (at line 2, column 1)'],
    ['root ::= "a', 'a string has no closing quote (at line 1, column 10)'],
    ['root ::= [a', 'a class has no closing bracket (at line 1, column 10)'],
    ['root ::= []', 'a class is empty (at line 1, column 10)'],
    ['root ::= [z-a]', 'the range of a class is out of order (at line 1, column 12)'],
    ['root ::= ("a"\n"b"', 'a group has no closing parenthesis (at line 1, column 10)'],
    ['root ::= "a")', '")" is not expected here (at line 1, column 13)'],
    ['root ::= * "a"', '* has nothing to repeat (at line 1, column 10)'],
    ['root ::= "a"{,3}', 'a count must be written as {m}, {m,} or {m,n} (at line 1, column 13)'],
    ['root ::= "a"{3,2}', 'the numbers of a count are out of order (at line 1, column 13)'],
    ['root ::= "a"{1000001}', 'a count is larger than 1000000 (at line 1, column 13)'],
    ['root ::= !<think>', 'negated tokens are not supported (at line 1, column 10)'],
    ['root ::= "a" (= "b")', 'look-ahead (= is not supported (at line 1, column 14)'],
    ['root[max_tokens=3] ::= "a"', 'options of rules are not supported (at line 1, column 5)'],
    ['root ::= "a" b ::= "c"', '::= must follow a name at the beginning of a line (at line 1, column 16)'],
    ['root ::= [\\d]', 'the escape \\d is not supported (at line 1, column 11)'],
    ['root ::= "\\ud800"', 'the escape is not a code point of text (at line 1, column 11)'],
    ['root ::= "\\x4"', 'the escape needs 2 hexadecimal digits (at line 1, column 11)'],
    ['root = "a"', 'a rule must begin with its name and ::= (at line 1, column 1)'],
    ['# 😀\r\n  root ::= "😀" $', '"$" is not expected here (at line 2, column 16)'],
  ]
  for (const [source, message] of cases) expect(() => parseGbnf(source, LIMITS), source).toThrow(message)
})

test('Lark grammars are told that they are not supported', () => {
  for (const source of ['start: "a"', '?start: value', '%import common.WORD', '// comment\nstart: A', 'root ::= "a"\nvalue: "b"'])
    expect(() => parseGbnf(source, LIMITS), source).toThrow(/Lark|::= must follow a name/)
})

test('depth, bytes, rules and parts have limits', () => {
  expect(parseGbnf(`root ::= ${'('.repeat(64)}"a"${')'.repeat(64)}`, LIMITS).rules).toHaveLength(1)
  expect(() => parseGbnf(`root ::= ${'('.repeat(100_000)}`, LIMITS)).toThrow('the grammar is nested deeper than 64 (at line 1, column 74)')
  expect(() => parseGbnf(`root ::= "a"${'*'.repeat(100_000)}`, LIMITS)).toThrow('more than 4 counts follow one part (at line 1, column 17)')
  expect(() => parseGbnf(`root ::= "${'é'.repeat(131_072)}"`, LIMITS)).toThrow('more than 262144 bytes')
  expect(() => parseGbnf('root ::= a b c', { ...LIMITS, maxRules: 3 })).toThrow('more than 3 rules (at line 1, column 14)')
  expect(() => parseGbnf('root ::= . . . .', { ...LIMITS, maxExprNodes: 3 })).toThrow('more than 3 parts')
  expect(() => parseGbnf(`${'n'.repeat(257)} ::= "a"`, LIMITS)).toThrow('the name of a rule has more than 256 characters')
})

test('sixty thousand references on one line are one sequence', () => {
  const { rules } = parseGbnf(`root ::= ${'a '.repeat(60_000)}\na ::= "a"`, LIMITS)
  expect(rules[0]!.body).toMatchObject({ kind: 'sequence' })
})

test('names of rules may be words that objects inherit', () => {
  expect(accepted('root ::= constructor toString\nconstructor ::= "a"\ntoString ::= "b"', ['ab', 'a'])).toEqual(['ab'])
})
