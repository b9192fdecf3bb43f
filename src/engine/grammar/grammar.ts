/**
 * A grammar as its front ends (JSON Schema, regex, EBNF, tool syntaxes) write it: context-free rules over code points. Plain data, so
 * that tests can print it, derive from it and hold the automaton against it. The language of a grammar is the language of its root.
 *
 * There is no ambiguity rule: `choice` is a set union. Rules may be recursive in any way, left recursion included.
 */
import type { CharAutomaton, CharRanges } from './char-automaton.ts'

export type RuleId = number & { readonly brand: 'RuleId' }

export type Expr =
  /** The literal text, as UTF-8. '' matches the empty text. */
  | { readonly kind: 'text'; readonly text: string }
  /** One code point of a set; never a surrogate. */
  | { readonly kind: 'chars'; readonly ranges: CharRanges }
  /** A regular language over code points. */
  | { readonly kind: 'regular'; readonly automaton: CharAutomaton }
  | { readonly kind: 'sequence'; readonly items: readonly Expr[] }
  /** No item: matches nothing at all. */
  | { readonly kind: 'choice'; readonly items: readonly Expr[] }
  /** `max` null = any number of times. */
  | { readonly kind: 'repeat'; readonly body: Expr; readonly min: number; readonly max: number | null }
  | { readonly kind: 'rule'; readonly id: RuleId }
  /** One special token, by id: it has no bytes of its own in the output text. */
  | { readonly kind: 'token'; readonly tokenId: number }

export interface Rule {
  /** For messages and printing; unique. */
  readonly name: string
  readonly body: Expr
}

export interface Grammar {
  /** By RuleId. */
  readonly rules: readonly Rule[]
  readonly root: RuleId
}

export const EMPTY_TEXT: Expr = { kind: 'text', text: '' }
export const NOTHING: Expr = { kind: 'choice', items: [] }

export function text(value: string): Expr {
  return { kind: 'text', text: value }
}

/** Code points: `chars('a', 'z', '_', '_')` in pairs of first and last. */
export function chars(...pairs: readonly string[]): Expr {
  return { kind: 'chars', ranges: pairs.map((char) => char.codePointAt(0)!) }
}

export function sequence(...items: readonly Expr[]): Expr {
  return items.length === 1 ? items[0]! : { kind: 'sequence', items }
}

export function choice(...items: readonly Expr[]): Expr {
  return items.length === 1 ? items[0]! : { kind: 'choice', items }
}

export function optional(body: Expr): Expr {
  return { kind: 'choice', items: [EMPTY_TEXT, body] }
}

export function repeat(body: Expr, min: number, max: number | null): Expr {
  return { kind: 'repeat', body, min, max }
}

export function token(tokenId: number): Expr {
  return { kind: 'token', tokenId }
}
