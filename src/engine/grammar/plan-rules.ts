/**
 * What becomes of each expression before automata are built: which rules are spelled out where they are used, and which repeats are
 * counted by a rule of their own. Walks expressions with stacks of its own, so that deep nesting costs memory in proportion and no call stack.
 */
import { unreachable } from '#base/assert'
import { type Expr, type Grammar, type RuleId } from './grammar.ts'
import { refuseGrammar, type GrammarLimits } from './grammar-limits.ts'

/** Copies of a repeat's body are written out up to this many states; beyond, a rule counts them. */
const MAX_UNROLLED_STATES = 64
/** A rule without calls of at most this many states is spelled out at each use: cheaper than a frame. */
const MAX_LEAF_STATES = 8
/** UTF-8 states of a class that goes beyond ASCII, roughly. */
const WIDE_CHARS_STATES = 6

type RepeatExpr = Extract<Expr, { kind: 'repeat' }>

export interface RulePlan {
  /** By RuleId: spelled out where it is used. Never a rule that comes back to itself through such rules. */
  readonly inlined: readonly boolean[]
  readonly counted: ReadonlySet<RepeatExpr>
  /** Expressions whose parts are called, as they cannot be made deterministic together. */
  readonly split: ReadonlySet<Expr>
}

/** Refuses more than maxExprNodes nodes in the rules that the root reaches, a node used twice counted twice. */
export function planRules(grammar: Grammar, limits: GrammarLimits, split: ReadonlySet<Expr>): RulePlan {
  const uses = new Int32Array(grammar.rules.length)
  const callees: RuleId[][] = grammar.rules.map(() => [])
  uses[grammar.root] = 2
  countUses(grammar, limits.maxExprNodes, uses, callees)
  const inlined: boolean[] = grammar.rules.map(() => false)
  const isLeaf: boolean[] = grammar.rules.map(() => false)
  const counted = new Set<RepeatExpr>()
  const sizes: number[] = grammar.rules.map(() => 1)
  for (const rule of calleesFirst(callees, grammar.root)) {
    const size = sizeOf(grammar.rules[rule]!.body, inlined, sizes, counted)
    isLeaf[rule] = callees[rule]!.every((callee) => inlined[callee]! && isLeaf[callee]!) && !hasCounted(grammar.rules[rule]!.body, counted)
    inlined[rule] = uses[rule] === 1 || (isLeaf[rule]! && size <= MAX_LEAF_STATES)
    if (inlined[rule]) sizes[rule] = size
  }
  return { inlined, counted, split }
}

/** What the root reaches; in a cycle of rules somewhere a caller comes first. */
function calleesFirst(callees: readonly (readonly RuleId[])[], root: RuleId): RuleId[] {
  const order: RuleId[] = []
  const seen = new Set<RuleId>([root])
  const path = [{ rule: root, next: 0 }]
  while (path.length > 0) {
    const place = path[path.length - 1]!
    const callee = callees[place.rule]![place.next++]
    if (callee === undefined) {
      order.push(place.rule)
      path.pop()
    } else if (!seen.has(callee)) {
      seen.add(callee)
      path.push({ rule: callee, next: 0 })
    }
  }
  return order
}

/** A use within a repeat of several copies counts as two. */
function countUses(grammar: Grammar, maxNodes: number, uses: Int32Array, callees: RuleId[][]): void {
  const reached = new Set<RuleId>([grammar.root])
  let numNodes = 0
  for (const rule of reached) {
    const stack: { expr: Expr; copies: number }[] = [{ expr: grammar.rules[rule]!.body, copies: 1 }]
    while (stack.length > 0) {
      const { expr, copies } = stack.pop()!
      numNodes += 1
      if (numNodes > maxNodes) throw refuseGrammar(`the grammar has more than ${maxNodes} parts`)
      if (expr.kind === 'rule') {
        uses[expr.id]! += copies
        callees[rule]!.push(expr.id)
        reached.add(expr.id)
      } else if (expr.kind === 'repeat') {
        stack.push({ expr: expr.body, copies: numCopies(expr) > 1 ? 2 : copies })
      } else if (expr.kind === 'sequence' || expr.kind === 'choice') {
        for (const item of expr.items) stack.push({ expr: item, copies })
      }
    }
  }
}

/** Copies of the body that writing the repeat out takes: the last one loops where there is no end. */
export function numCopies(expr: RepeatExpr): number {
  return expr.max ?? Math.max(1, expr.min)
}

/** States of an expression, roughly; decides on the way which repeats are counted. Postorder over the tree. */
function sizeOf(root: Expr, inlined: readonly boolean[], ruleSizes: readonly number[], counted: Set<RepeatExpr>): number {
  const stack: { expr: Expr; isDone: boolean }[] = [{ expr: root, isDone: false }]
  const sizes: number[] = []
  while (stack.length > 0) {
    const { expr, isDone } = stack.pop()!
    if (expr.kind === 'sequence' || expr.kind === 'choice') {
      if (isDone) {
        let sum = 0
        for (let i = 0; i < expr.items.length; i++) sum += sizes.pop()!
        sizes.push(sum)
        continue
      }
      stack.push({ expr, isDone: true })
      for (const item of expr.items) stack.push({ expr: item, isDone: false })
    } else if (expr.kind === 'repeat') {
      if (isDone) sizes.push(sizeOfRepeat(expr, sizes.pop()!, counted))
      else stack.push({ expr, isDone: true }, { expr: expr.body, isDone: false })
    } else {
      sizes.push(sizeOfLeaf(expr, inlined, ruleSizes))
    }
  }
  return sizes[0]!
}

function sizeOfLeaf(
  expr: Exclude<Expr, { kind: 'sequence' | 'choice' | 'repeat' }>,
  inlined: readonly boolean[],
  ruleSizes: readonly number[],
): number {
  switch (expr.kind) {
    case 'text':
      return expr.text.length
    case 'chars':
      return isWide(expr.ranges) ? WIDE_CHARS_STATES : 1
    case 'regular':
      return expr.automaton.edges.reduce((sum, edges) => sum + (edges.some((edge) => edge.last > 0x7f) ? WIDE_CHARS_STATES : 1), 0)
    case 'token':
      return 1
    case 'rule':
      return inlined[expr.id]! ? ruleSizes[expr.id]! : 1
    default:
      return unreachable(expr)
  }
}

function sizeOfRepeat(expr: RepeatExpr, bodySize: number, counted: Set<RepeatExpr>): number {
  const copies = numCopies(expr)
  if (copies <= 1) return bodySize
  if (!spellsText(expr.body) && bodySize * copies <= MAX_UNROLLED_STATES) return bodySize * copies
  counted.add(expr)
  return 1
}

/** One character of ordinary text, or an escape: better one boundary state that is FREE_TEXT than copies that are not. */
function spellsText(body: Expr): boolean {
  if (body.kind === 'choice') return body.items.some((item) => item.kind === 'chars' && isWide(item.ranges))
  if (body.kind === 'regular') return body.automaton.edges[0]!.some((edge) => edge.last > 0x7f)
  return body.kind === 'chars' && isWide(body.ranges)
}

function isWide(ranges: readonly number[]): boolean {
  return ranges.length > 0 && ranges[ranges.length - 1]! > 0x7f
}

function hasCounted(root: Expr, counted: ReadonlySet<RepeatExpr>): boolean {
  const stack: Expr[] = [root]
  while (stack.length > 0) {
    const expr = stack.pop()!
    if (expr.kind === 'repeat') {
      if (counted.has(expr)) return true
      stack.push(expr.body)
    } else if (expr.kind === 'sequence' || expr.kind === 'choice') {
      for (const item of expr.items) stack.push(item)
    }
  }
  return false
}
