/**
 * Keeps out counted repeats whose counts a matcher could not keep apart: where a repeat may go on or the next one begin with the same
 * byte, many counts are alive at once, each with its own frames; nested, they multiply. Quotes, commas and brackets between repeats make
 * the boundary plain, so that arrays of strings pass at any length. An estimate from what may follow what: a grammar that is ambiguous in
 * ways it does not see is stopped by MAX_CONFIGURATIONS while it runs.
 */
import { UNBOUNDED } from './automaton.ts'
import type { FinishedRule } from './flatten-rules.ts'
import { refuseGrammar } from './grammar-limits.ts'
import { targetsOf, type RuleDfa } from './rule-dfa.ts'

/** Configurations of one position that ambiguous counts alone may take. */
const MAX_AMBIGUOUS_COUNTS = 8_192
/** Longer bodies are taken for this long: the number of starts that are alive together. */
const MAX_SPAN = 128

/** 256 bits for bytes, one more for any token. */
type SymbolSet = Uint32Array
const SET_WORDS = 9
const ANY_TOKEN = 256

export function checkAmbiguity(rules: readonly FinishedRule[]): void {
  if (rules.every(({ count }) => count === null)) return
  const callers = callersOf(rules)
  const firsts = solve(rules, callers, (rule, sets) => firstSymbols(rules[rule]!.dfa, 0, sets))
  const afterEnds = solve(rules, callers, (rule, sets) => symbolsAfterEnd(rules[rule]!, firsts, sets))
  const isAmbiguous = rules.map((rule, index) => rule.count !== null && boundaryIsAmbiguous(rule.dfa, firsts[index]!, afterEnds))
  if (!isAmbiguous.includes(true)) return
  checkCosts(rules, callers, isAmbiguous)
}

/** By rule: who calls it, without repetition. */
function callersOf(rules: readonly FinishedRule[]): number[][] {
  const callers: Set<number>[] = rules.map(() => new Set())
  for (const [rule, { dfa }] of rules.entries()) {
    for (const { calls } of dfa.states) for (let i = 0; i < calls.length; i += 2) callers[calls[i]!]!.add(rule)
  }
  return callers.map((set) => [...set])
}

/** The least sets with sets[rule] = rule's own `gather`; a set that grows is gathered again by its callers. */
function solve(
  rules: readonly FinishedRule[],
  callers: readonly (readonly number[])[],
  gather: (rule: number, sets: readonly SymbolSet[]) => SymbolSet,
): SymbolSet[] {
  const sets: SymbolSet[] = rules.map(() => new Uint32Array(SET_WORDS))
  const open = rules.map((_, rule) => rule)
  const isOpen = new Uint8Array(rules.length).fill(1)
  while (open.length > 0) {
    const rule = open.pop()!
    isOpen[rule] = 0
    if (!addAll(sets[rule]!, gather(rule, sets))) continue
    for (const caller of callers[rule]!) {
      if (isOpen[caller] === 1) continue
      isOpen[caller] = 1
      open.push(caller)
    }
  }
  return sets
}

function firstSymbols(dfa: RuleDfa, state: number, firsts: readonly SymbolSet[]): SymbolSet {
  const { bytes, calls, tokens } = dfa.states[state]!
  const set: SymbolSet = new Uint32Array(SET_WORDS)
  for (let i = 0; i < bytes.length; i += 3) for (let byte = bytes[i]!; byte <= bytes[i + 1]!; byte++) addSymbol(set, byte)
  for (let i = 0; i < calls.length; i += 2) addAll(set, firsts[calls[i]!]!)
  if (tokens.length > 0) addSymbol(set, ANY_TOKEN)
  return set
}

/** What the rule may read where it might have ended. */
function symbolsAfterEnd({ dfa }: FinishedRule, firsts: readonly SymbolSet[], afterEnds: readonly SymbolSet[]): SymbolSet {
  const set: SymbolSet = new Uint32Array(SET_WORDS)
  for (const [state, { accepts, calls }] of dfa.states.entries()) {
    if (accepts) addAll(set, firstSymbols(dfa, state, firsts))
    for (let i = 0; i < calls.length; i += 2) if (dfa.states[calls[i + 1]!]!.accepts) addAll(set, afterEnds[calls[i]!]!)
  }
  return set
}

/** Only a call can bring a repeat to an end that it might not be: bytes lead to the boundary or not. */
function boundaryIsAmbiguous(dfa: RuleDfa, first: SymbolSet, afterEnds: readonly SymbolSet[]): boolean {
  for (const { calls } of dfa.states) {
    for (let i = 0; i < calls.length; i += 2) if (calls[i + 1] === 0 && intersects(afterEnds[calls[i]!]!, first)) return true
  }
  return false
}

/** Powers of two, rounded up, so that a cost within a cycle of rules grows beyond the bound in a few rounds. */
function checkCosts(rules: readonly FinishedRule[], callers: readonly (readonly number[])[], isAmbiguous: readonly boolean[]): void {
  const factors = rules.map((rule, index) => (isAmbiguous[index]! ? ambiguityOf(rule, rules) : 0))
  const costs = new Float64Array(rules.length)
  const open = rules.map((_, rule) => rule).filter((rule) => isAmbiguous[rule]!)
  for (const rule of open) costs[rule] = factors[rule]!
  while (open.length > 0) {
    const rule = open.pop()!
    if (2 ** costs[rule]! > MAX_AMBIGUOUS_COUNTS)
      throw refuseGrammar('a repeat with bounds is ambiguous: its repeats can be told apart in too many ways')
    for (const caller of callers[rule]!) {
      const cost = costs[rule]! + factors[caller]!
      if (cost <= costs[caller]!) continue
      costs[caller] = cost
      open.push(caller)
    }
  }
}

/** log2, rounded up, of the counts times the starts of a repeat that may be alive at one position. */
function ambiguityOf({ dfa, count }: FinishedRule, rules: readonly FinishedRule[]): number {
  const { min, max } = count!
  const [state] = dfa.states
  const bodyRule = dfa.states.length === 1 && state!.bytes.length === 0 && state!.calls.length === 2 ? rules[state!.calls[0]!]! : null
  const span = bodyRule === null ? MAX_SPAN : spanOf(bodyRule)
  return Math.ceil(Math.log2((max === UNBOUNDED ? Math.max(1, min) : max) * span))
}

/** Bytes of the longest text, at most MAX_SPAN; that also for a rule with calls. */
function spanOf({ dfa, count }: FinishedRule): number {
  if (count !== null && dfa.states.length === 1 && dfa.states[0]!.calls.length === 0) return Math.min(count.max, MAX_SPAN)
  const lengths = new Int32Array(dfa.states.length)
  const numIncoming = new Int32Array(dfa.states.length)
  for (const state of dfa.states) for (const next of targetsOf(state)) numIncoming[next]! += 1
  const order = numIncoming[0] === 0 ? [0] : []
  for (const index of order) {
    const state = dfa.states[index]!
    if (state.calls.length > 0) return MAX_SPAN
    for (const next of targetsOf(state)) {
      lengths[next] = Math.max(lengths[next]!, lengths[index]! + 1)
      numIncoming[next]! -= 1
      if (numIncoming[next] === 0) order.push(next)
    }
  }
  return order.length < dfa.states.length
    ? MAX_SPAN
    : lengths.reduce((longest, length) => Math.max(longest, length), 0) > MAX_SPAN
      ? MAX_SPAN
      : lengths.reduce((longest, length) => Math.max(longest, length), 1)
}

function addSymbol(set: SymbolSet, symbol: number): void {
  set[symbol >> 5]! |= 1 << (symbol & 31)
}

/** True when `set` grew. */
function addAll(set: SymbolSet, more: SymbolSet): boolean {
  let grew = false
  for (let word = 0; word < SET_WORDS; word++) {
    const joined = (set[word]! | more[word]!) >>> 0
    if (joined !== set[word]) grew = true
    set[word] = joined
  }
  return grew
}

function intersects(a: SymbolSet, b: SymbolSet): boolean {
  return a.some((word, index) => (word & b[index]!) !== 0)
}
