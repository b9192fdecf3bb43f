/**
 * Thompson construction over all rules that the root reaches (Thompson, CACM 1968), UTF-8 spelled out. Works from a list of tasks "spell
 * this expression between these two states", so that nesting costs no call stack.
 */
import { unreachable } from '#base/assert'
import { UNBOUNDED } from './automaton.ts'
import type { CharAutomaton, CharRanges } from './char-automaton.ts'
import type { Expr, Grammar, RuleId } from './grammar.ts'
import { refuseGrammar, type GrammarLimits } from './grammar-limits.ts'
import { GrammarNfa, type CountRange } from './grammar-nfa.ts'
import { numCopies, type RulePlan } from './plan-rules.ts'
import { utf8Paths } from './utf8-ranges.ts'

/** The arena may hold this many times maxStates: subset construction and minimization make fewer of them. */
const NFA_STATES_PER_STATE = 4

type RepeatExpr = Extract<Expr, { kind: 'repeat' }>

interface Span {
  readonly from: number
  readonly to: number
  /** Of a split expression: what is composed gets a rule of its own. */
  readonly isPart: boolean
}

interface SpellTask {
  readonly expr: Expr
  readonly from: number
  readonly to: number
  readonly isPart?: boolean
}

/** Rule 0 is the root. The parts of an expression in `plan.split` become rules of their own. */
export function buildNfa(grammar: Grammar, plan: RulePlan, limits: GrammarLimits): GrammarNfa {
  return new NfaBuilder(grammar, plan, limits).build()
}

class NfaBuilder {
  private readonly grammar: Grammar
  private readonly plan: RulePlan
  private readonly maxRules: number
  private readonly nfa: GrammarNfa
  /** By rule of the arena: the grammar's rule that it is; null = a repeat or another part. */
  private readonly ids: (RuleId | null)[] = []
  private readonly ruleOfPart = new Map<Expr, number>()
  private readonly ruleOfId = new Map<RuleId, number>()
  private readonly ruleOfRepeat = new Map<RepeatExpr, number>()
  private readonly ruleOfClass = new Map<string, number>()
  private readonly encoder = new TextEncoder()
  private readonly tasks: SpellTask[] = []
  private current = 0

  constructor(grammar: Grammar, plan: RulePlan, limits: GrammarLimits) {
    this.grammar = grammar
    this.plan = plan
    this.maxRules = limits.maxRules
    this.nfa = new GrammarNfa(limits.maxStates * NFA_STATES_PER_STATE)
  }

  build(): GrammarNfa {
    this.ruleFor(this.grammar.root)
    for (this.current = 0; this.current < this.nfa.rules.length; this.current++) {
      const rule = this.nfa.rules[this.current]!
      const numBefore = this.nfa.numStates
      this.tasks.push({ expr: rule.body, from: rule.start, to: rule.final })
      while (this.tasks.length > 0) this.spell(this.tasks.pop()!)
      rule.numStates += this.nfa.numStates - numBefore
    }
    return this.nfa
  }

  private spell({ expr, from, to, isPart = false }: SpellTask): void {
    if (isPart && isComposed(expr)) return this.nfa.addCall(from, expr.kind === 'rule' ? this.ruleFor(expr.id) : this.ruleForPart(expr), to)
    const isPartOf = this.plan.split.has(expr)
    switch (expr.kind) {
      case 'text':
        return this.spellText(expr.text, from, to)
      case 'chars':
        return this.spellChars(expr.ranges, from, to, new Map())
      case 'regular':
        return this.spellRegular(expr.automaton, from, to)
      case 'sequence':
        return this.spellSequence(expr.items, { from, to, isPart: isPartOf })
      case 'choice':
        for (const item of expr.items) this.tasks.push({ expr: item, from, to, isPart: isPartOf })
        return
      case 'repeat':
        return this.spellRepeat(expr, { from, to, isPart: isPartOf })
      case 'rule':
        return this.spellRule(expr.id, from, to)
      case 'token':
        return this.nfa.addToken(from, expr.tokenId, to)
      default:
        unreachable(expr)
    }
  }

  private spellText(text: string, from: number, to: number): void {
    if (!text.isWellFormed()) throw refuseGrammar('a literal text has half a surrogate pair')
    const bytes = this.encoder.encode(text)
    if (bytes.length === 0) return this.nfa.addEpsilon(from, to)
    let state = from
    for (let i = 0; i < bytes.length; i++) {
      const next = i === bytes.length - 1 ? to : this.nfa.addState()
      this.nfa.addBytes(state, bytes[i]!, bytes[i]!, next)
      state = next
    }
  }

  /** `tails`: the states that spell the rest of a path into `to`, by that rest. */
  private spellChars(ranges: CharRanges, from: number, to: number, tails: Map<string, number>): void {
    for (let i = 0; i < ranges.length; i += 2) {
      for (const path of utf8Paths(ranges[i]!, ranges[i + 1]!)) {
        let target = to
        for (let at = path.length - 2; at > 0; at -= 2) {
          const key = `${path[at]!},${path[at + 1]!},${target}`
          let state = tails.get(key)
          if (state === undefined) {
            state = this.nfa.addState()
            this.nfa.addBytes(state, path[at]!, path[at + 1]!, target)
            tails.set(key, state)
          }
          target = state
        }
        this.nfa.addBytes(from, path[0]!, path[1]!, target)
      }
    }
  }

  private spellRegular(automaton: CharAutomaton, from: number, to: number): void {
    const states = automaton.edges.map(() => this.nfa.addState())
    const tails = new Map<string, number>()
    this.nfa.addEpsilon(from, states[0]!)
    for (const [state, edges] of automaton.edges.entries()) {
      if (automaton.accepting[state]!) this.nfa.addEpsilon(states[state]!, to)
      for (const { first, last, target } of edges) this.spellChars([first, last], states[state]!, states[target]!, tails)
    }
  }

  private spellSequence(items: readonly Expr[], { from, to, isPart }: Span): void {
    if (items.length === 0) return this.nfa.addEpsilon(from, to)
    let state = from
    for (const [index, item] of items.entries()) {
      const next = index === items.length - 1 ? to : this.nfa.addState()
      this.tasks.push({ expr: item, from: state, to: next, isPart })
      state = next
    }
  }

  private spellRepeat(expr: RepeatExpr, { from, to, isPart }: Span): void {
    const { body, min, max } = expr
    if (max !== null && max < min) return
    if (this.plan.counted.has(expr)) return this.nfa.addCall(from, this.ruleForRepeat(expr), to)
    if (max === 0) return this.nfa.addEpsilon(from, to)
    let state = this.nfa.addState()
    this.nfa.addEpsilon(from, state)
    if (min === 0) this.nfa.addEpsilon(state, to)
    for (let copy = 1; copy <= numCopies(expr); copy++) {
      const next = this.nfa.addState()
      this.tasks.push({ expr: body, from: state, to: next, isPart })
      if (copy >= min) this.nfa.addEpsilon(next, to)
      if (max === null && copy === numCopies(expr)) this.nfa.addEpsilon(next, state)
      state = next
    }
  }

  /** A rule that ends with itself begins again: a frame for each round would only grow. */
  private spellRule(id: RuleId, from: number, to: number): void {
    const current = this.nfa.rules[this.current]!
    if (this.ids[this.current] === id && to === current.final) return this.nfa.addEpsilon(from, current.start)
    if (this.plan.inlined[id]!) this.tasks.push({ expr: this.grammar.rules[id]!.body, from, to })
    else this.nfa.addCall(from, this.ruleFor(id), to)
  }

  private ruleFor(id: RuleId): number {
    const known = this.ruleOfId.get(id)
    if (known !== undefined) return known
    const rule = this.addRule(this.grammar.rules[id]!.body, id, null)
    this.ruleOfId.set(id, rule)
    return rule
  }

  private ruleForPart(expr: Expr): number {
    const rule = this.ruleOfPart.get(expr) ?? this.addRule(expr, null, null)
    this.ruleOfPart.set(expr, rule)
    return rule
  }

  private ruleForRepeat(expr: RepeatExpr): number {
    const { body, min, max } = expr
    if (min >= UNBOUNDED) throw refuseGrammar(`a repeat of at least ${min} is too long`)
    const known = this.ruleOfRepeat.get(expr)
    if (known !== undefined) return known
    const classKey = body.kind === 'chars' ? `${body.ranges.join()};${min};${max}` : null
    const rule =
      (classKey === null ? undefined : this.ruleOfClass.get(classKey)) ??
      this.addRule(body, null, { min, max: Math.min(max ?? UNBOUNDED, UNBOUNDED) })
    this.ruleOfRepeat.set(expr, rule)
    if (classKey !== null) this.ruleOfClass.set(classKey, rule)
    return rule
  }

  private addRule(expr: Expr, id: RuleId | null, count: CountRange | null): number {
    if (this.nfa.rules.length >= this.maxRules) throw refuseGrammar(`the grammar has more than ${this.maxRules} rules`)
    this.ids.push(id)
    return this.nfa.rules.push({ body: expr, start: this.nfa.addState(), final: this.nfa.addState(), count, numStates: 2 }) - 1
  }
}

function isComposed(expr: Expr): boolean {
  return expr.kind !== 'text' && expr.kind !== 'chars' && expr.kind !== 'token'
}
