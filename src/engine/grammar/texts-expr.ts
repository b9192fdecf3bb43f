/**
 * A regular language as an expression in which long runs of one class of characters are counted: `\p{L}{1,500}` becomes one counted rule and
 * not five hundred copies of the class in UTF-8. Runs are found in the minimal automaton, so it does not matter what wrote it (a pattern, a
 * format beside a length); as that is deterministic, a counted run never leaves in doubt where it ends.
 */
import { fromChars } from './char-algebra.ts'
import { renumber } from './char-algebra-minimize.ts'
import type { CharAutomaton, CharEdge, CharRanges } from './char-automaton.ts'
import { choice, type Expr, repeat, sequence } from './grammar.ts'

/** Shorter runs are cheap as they are. */
const MIN_RUN_LENGTH = 16
/** Counted runs that follow one another. */
const MAX_RUNS = 8

/** `ranges`, min to max times, lead from `head` to `end`; what follows is what `end` goes on with. */
interface Run {
  readonly head: number
  readonly end: number
  readonly ranges: CharRanges
  readonly min: number
  readonly max: number
}

/** The texts of `automaton`, each spelled as `spell` spells languages character by character. */
export function textsExpr(automaton: CharAutomaton, spell: (texts: CharAutomaton) => CharAutomaton, maxRuns = MAX_RUNS): Expr {
  const regular = (texts: CharAutomaton): Expr => ({ kind: 'regular', automaton: spell(texts) })
  const run = maxRuns === 0 ? null : findRun(automaton)
  if (run === null) return regular(automaton)
  const { head, end, ranges, min, max } = run
  const cut = automaton.edges.map((edges, state) => (state === head ? [] : edges))
  const before = renumber({ edges: cut, accepting: cut.map((_, state) => state === head) }, 0)
  const aside = renumber({ edges: cut, accepting: automaton.accepting.map((accepts, state) => accepts && state !== head) }, 0)
  const through = sequence(regular(before), repeat(regular(fromChars(ranges)), min, max), textsExpr(renumber(automaton, end), spell, maxRuns - 1))
  return aside.accepting.includes(true) ? choice(regular(aside), through) : through
}

/** The first long run, breadth first, to which what follows it does not come back. */
function findRun(automaton: CharAutomaton): Run | null {
  if (automaton.edges.length <= MIN_RUN_LENGTH) return null
  const numSources = countSources(automaton)
  const isInRun = new Uint8Array(automaton.edges.length)
  for (let state = 0; state < automaton.edges.length; state++) {
    if (isInRun[state] === 1) continue
    for (const next of new Set(automaton.edges[state]!.map((edge) => edge.target))) {
      const run = runFrom(automaton, { head: state, next, numSources, isInRun })
      if (run !== null && run.max >= MIN_RUN_LENGTH && !reaches(automaton, run.end, run.head)) return run
    }
  }
  return null
}

/** By state: how many states lead to it. */
function countSources({ edges }: CharAutomaton): Int32Array {
  const numSources = new Int32Array(edges.length)
  for (const list of edges) for (const target of new Set(list.map((edge) => edge.target))) numSources[target]! += 1
  return numSources
}

interface RunStart {
  readonly head: number
  readonly next: number
  readonly numSources: Int32Array
  /** Set for the states inside of what is tried, so that no state is tried again from its middle. */
  readonly isInRun: Uint8Array
}

/** First states that only go on, then states that go on or leave as the last one does. */
function runFrom(automaton: CharAutomaton, { head, next, numSources, isInRun }: RunStart): Run | null {
  const ranges = automaton.edges[head]!.filter((edge) => edge.target === next).flatMap(({ first, last }) => [first, last])
  const states = [head]
  for (let state = next; ;) {
    states.push(state)
    const following = onlyTarget(automaton.edges[state]!, ranges)
    if (following === null || numSources[state] !== 1 || following === state || following === head) break
    isInRun[state] = 1
    state = following
  }
  const end = states.at(-1)!
  const max = states.length - 1
  const leaves = automaton.edges[end]!
  let min = max
  while (min > 0 && leavesAlike(automaton, states[min - 1]!, { target: states[min]!, end, leaves })) min--
  const onlyGoOn = states
    .slice(0, min)
    .every((state, index) => !automaton.accepting[state]! && automaton.edges[state]!.every((edge) => edge.target === states[index + 1]))
  return onlyGoOn ? { head, end, ranges, min, max } : null
}

/** Where exactly `ranges` lead from a state; null: nowhere together. */
function onlyTarget(edges: readonly CharEdge[], ranges: CharRanges): number | null {
  const target = edges.find((edge) => edge.first === ranges[0])?.target
  if (target === undefined) return null
  let at = 0
  for (const edge of edges) {
    if (edge.target !== target) continue
    if (edge.first !== ranges[at] || edge.last !== ranges[at + 1]) return null
    at += 2
  }
  return at === ranges.length ? target : null
}

/** The state leaves as the end does, but for its edges to `target`. */
function leavesAlike(
  automaton: CharAutomaton,
  state: number,
  like: { readonly target: number; readonly end: number; readonly leaves: readonly CharEdge[] },
): boolean {
  if (automaton.accepting[state] !== automaton.accepting[like.end]) return false
  const own = automaton.edges[state]!.filter((edge) => edge.target !== like.target)
  return own.length === like.leaves.length && own.every((edge, i) => isSame(edge, like.leaves[i]!))
}

function isSame(a: CharEdge, b: CharEdge): boolean {
  return a.first === b.first && a.last === b.last && a.target === b.target
}

function reaches({ edges }: CharAutomaton, from: number, goal: number): boolean {
  const seen = new Set([from])
  for (const state of seen) for (const edge of edges[state]!) seen.add(edge.target)
  return seen.has(goal)
}
