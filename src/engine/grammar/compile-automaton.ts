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
import type { Expr, Grammar } from './grammar.ts'
import { refuseGrammar, type GrammarLimits } from './grammar-limits.ts'
import type { CountRange, GrammarNfa, NfaRule } from './grammar-nfa.ts'
import { minimizeRule } from './minimize-rule.ts'
import { findRuleFacts, type RuleFacts } from './nullable-rules.ts'
import { planRules } from './plan-rules.ts'
import type { RuleDfa } from './rule-dfa.ts'

const ROOT = 0
/** Each round goes twice as many levels down into what cannot be made deterministic. */
const MAX_SPLIT_ROUNDS = 6
/** A rule built from more states is not worth another round. */
const MAX_SPLIT_STATES = 50_000

/** Refuses (InferdError) beyond the limits, and a grammar that matches no text. Time and memory are bounded by the limits. */
export function compileAutomaton(grammar: Grammar, limits: GrammarLimits): Automaton {
  const split = new Set<Expr>()
  for (let round = 0; round < MAX_SPLIT_ROUNDS; round++) {
    const automaton = compileSplit(grammar, limits, { split, levels: 2 ** round })
    if (automaton !== null) return automaton
  }
  throw refuseGrammar('the grammar has too many parts that cannot be made deterministic')
}

/** Null: more expressions are in `split` than before. */
function compileSplit(grammar: Grammar, limits: GrammarLimits, { split, levels }: { split: Set<Expr>; levels: number }): Automaton | null {
  const plan = planRules(grammar, limits, split)
  const nfa = buildNfa(grammar, plan, limits)
  const facts = findRuleFacts(nfa)
  const matchesEmpty = facts.nullable[ROOT] === 1
  if (facts.productive[ROOT] === 0) {
    if (!matchesEmpty) throw refuseGrammar('the grammar matches no text')
    return flattenRules([EMPTY_TEXT_RULE], matchesEmpty, limits)
  }
  const finisher = new RuleFinisher(nfa, facts, limits)
  const rules = finisher.finish(({ body, numStates }) => numStates <= MAX_SPLIT_STATES && splittable(body, grammar, split) !== null)
  for (const rule of finisher.blownUp) addParts(splittable(nfa.rules[rule]!.body, grammar, split)!, levels, split)
  if (finisher.blownUp.length > 0) return null
  checkAmbiguity(rules)
  return flattenRules(rules, matchesEmpty, limits)
}

/** The expression whose parts can be called instead: through references; null when there is none that is not split already. */
function splittable(body: Expr, grammar: Grammar, split: ReadonlySet<Expr>): Expr | null {
  let expr = body
  for (let steps = 0; expr.kind === 'rule' && steps < grammar.rules.length; steps++) expr = grammar.rules[expr.id]!.body
  const hasParts = expr.kind === 'sequence' || expr.kind === 'choice' || expr.kind === 'repeat'
  return hasParts && !split.has(expr) ? expr : null
}

function addParts(expr: Expr, levels: number, split: Set<Expr>): void {
  let level: Expr[] = [expr]
  for (let depth = 0; depth < levels && level.length > 0; depth++) {
    for (const part of level) split.add(part)
    level = level.flatMap((part) => (part.kind === 'repeat' ? [part.body] : part.kind === 'sequence' || part.kind === 'choice' ? part.items : []))
  }
}

const EMPTY_TEXT_RULE: FinishedRule = { dfa: { states: [{ accepts: true, bytes: [], calls: [], tokens: [] }] }, count: null, freeStates: [] }

/** Numbers rules in the order in which they are called. */
class RuleFinisher {
  readonly nfa: GrammarNfa
  readonly facts: RuleFacts
  readonly budget: SubsetBudget
  /** Rules of the arena that cannot be made deterministic within reason. */
  readonly blownUp: number[] = []
  private readonly limits: GrammarLimits
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

  /** Rule 0 is the root. Incomplete when rules have blown up. */
  finish(maySplit: (rule: NfaRule) => boolean): FinishedRule[] {
    this.nameOf(ROOT)
    while (this.open.length > 0) {
      const rule = this.open.pop()!
      const dfa = determinizeRule(this, rule, maySplit(this.nfa.rules[rule]!))
      if (dfa === null) this.blownUp.push(rule)
      else this.finishRule(this.names[rule]!, this.renameCalls(minimizeRule(dfa)), this.countOf(rule))
    }
    return this.finished.filter((rule) => rule !== null)
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
      states: dfa.states.map((state) => {
        if (state.calls.length === 0) return state
        return { ...state, calls: state.calls.map((value, index) => (index % 2 === 0 ? this.nameOf(value) : value)) }
      }),
    }
  }

  /** A repeat that matches the empty text without repeats, or through empty ones, has no least count for the others. */
  private countOf(rule: number): CountRange | null {
    const { count } = this.nfa.rules[rule]!
    return count === null || this.facts.nullable[rule] === 0 ? count : { min: 0, max: count.max }
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
