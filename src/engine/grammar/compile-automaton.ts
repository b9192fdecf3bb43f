/**
 * Grammar to automaton: plan (what is inlined, what is counted), nondeterministic automata of all rules, which rules match nothing or the
 * empty text, then rule by rule from the root: subsets, minimization, counting, free text. Only what the root needs is ever made
 * deterministic, and what can reach no end is gone, so the result has no dead ends.
 */
import type { Automaton } from './automaton.ts'
import { UNBOUNDED } from './automaton.ts'
import { buildNfa } from './build-nfa.ts'
import { checkAmbiguity } from './check-ambiguity.ts'
import { loopOverBody, loopOverCall } from './count-rules.ts'
import { determinizeRule, SubsetBudget } from './determinize-rule.ts'
import { flattenRules, type FinishedRule } from './flatten-rules.ts'
import { isolateFreeText } from './free-text.ts'
import type { Grammar } from './grammar.ts'
import { refuseGrammar, type GrammarLimits } from './grammar-limits.ts'
import type { CountRange, GrammarNfa } from './grammar-nfa.ts'
import { minimizeRule } from './minimize-rule.ts'
import { findRuleFacts, type RuleFacts } from './nullable-rules.ts'
import { planRules } from './plan-rules.ts'
import type { RuleDfa } from './rule-dfa.ts'

const ROOT = 0

/** Refuses (InferdError) beyond the limits, and a grammar that matches no text. Time and memory are bounded by the limits. */
export function compileAutomaton(grammar: Grammar, limits: GrammarLimits): Automaton {
  const nfa = buildNfa(grammar, planRules(grammar, limits), limits)
  const facts = findRuleFacts(nfa)
  const matchesEmpty = facts.nullable[ROOT] === 1
  if (facts.productive[ROOT] === 0) {
    if (!matchesEmpty) throw refuseGrammar('the grammar matches no text')
    return flattenRules([EMPTY_TEXT_RULE], matchesEmpty, limits)
  }
  const rules = new RuleFinisher(nfa, facts, limits).finish()
  checkAmbiguity(rules)
  return flattenRules(rules, matchesEmpty, limits)
}

const EMPTY_TEXT_RULE: FinishedRule = { dfa: { states: [{ accepts: true, bytes: [], calls: [], tokens: [] }] }, count: null, freeStates: [] }

/** Numbers rules in the order in which they are called. */
class RuleFinisher {
  private readonly nfa: GrammarNfa
  private readonly facts: RuleFacts
  private readonly limits: GrammarLimits
  private readonly budget: SubsetBudget
  private readonly finished: (FinishedRule | null)[] = []
  /** By rule of the arena; -1 = not called so far. */
  private readonly names: Int32Array
  private readonly open: number[] = []

  constructor(nfa: GrammarNfa, facts: RuleFacts, limits: GrammarLimits) {
    this.nfa = nfa
    this.facts = facts
    this.limits = limits
    this.budget = new SubsetBudget(limits)
    this.names = new Int32Array(nfa.rules.length).fill(-1)
  }

  /** Rule 0 is the root. */
  finish(): FinishedRule[] {
    this.nameOf(ROOT)
    while (this.open.length > 0) {
      const rule = this.open.pop()!
      const dfa = minimizeRule(determinizeRule(this.nfa, this.facts, rule, this.budget))
      this.finishRule(this.names[rule]!, this.renameCalls(dfa), this.countOf(rule))
    }
    return this.finished.map((rule) => rule!)
  }

  private nameOf(rule: number): number {
    if (this.names[rule] === -1) {
      this.names[rule] = this.reserve()
      this.open.push(rule)
    }
    return this.names[rule]!
  }

  private reserve(): number {
    if (this.finished.length >= this.limits.maxRules) throw refuseGrammar(`the grammar has more than ${this.limits.maxRules} rules`)
    return this.finished.push(null) - 1
  }

  private renameCalls(dfa: RuleDfa): RuleDfa {
    return {
      states: dfa.states.map((state) => ({ ...state, calls: state.calls.map((value, index) => (index % 2 === 0 ? this.nameOf(value) : value)) })),
    }
  }

  /** A body that matches the empty text can stand in for repeats that are missing. */
  private countOf(rule: number): CountRange | null {
    const { count } = this.nfa.rules[rule]!
    return count === null || this.facts.bodyNullable[rule] === 0 ? count : { min: 0, max: count.max }
  }

  private finishRule(name: number, body: RuleDfa, count: CountRange | null): void {
    if (count === null) return this.store(name, body, null)
    const loop = loopOverBody(body)
    const isPlainLoop = count.min === 0 && count.max === UNBOUNDED
    if (loop !== null) return this.store(name, loop, isPlainLoop ? null : count)
    const bodyRule = this.reserve()
    this.store(bodyRule, body, null)
    this.store(name, loopOverCall(bodyRule), isPlainLoop ? null : count)
  }

  private store(name: number, plain: RuleDfa, count: CountRange | null): void {
    const { dfa, freeStates } = isolateFreeText(plain)
    this.finished[name] = { dfa, count, freeStates }
  }
}
