/** Finds the FREE_TEXT states of one rule (automaton.ts has the definition), and gives each its own states inside code points. */
import { targetsOf, renameTargets, type DfaState, type RuleDfa } from './rule-dfa.ts'
import { utf8Paths, type Utf8Path } from './utf8-ranges.ts'

/** What stands for itself in a JSON string (RFC 8259, section 7), as UTF-8. */
const FREE_PATHS: readonly Utf8Path[] = [...utf8Paths(0x20, 0x21), ...utf8Paths(0x23, 0x5b), ...utf8Paths(0x5d, 0x10ffff)]

export interface FreeTextResult {
  readonly dfa: RuleDfa
  /** Ascending. */
  readonly freeStates: readonly number[]
}

export function isolateFreeText(dfa: RuleDfa): FreeTextResult {
  const freeStates: number[] = []
  let states: readonly DfaState[] = dfa.states
  for (let state = 0; state < dfa.states.length; state++) {
    const inner = innerStates(states, state)
    if (inner === null) continue
    freeStates.push(state)
    if (hasOtherEntry(states, state, inner)) states = withOwnCopy(states, state, inner)
  }
  return { dfa: { states }, freeStates }
}

/** The states between the bytes of free code points; null when `state` is not a free-text state even with these to itself. */
function innerStates(states: readonly DfaState[], state: number): Set<number> | null {
  if (target(states[state]!, 0x20, 0x21) !== state) return null
  const inner = new Set<number>()
  for (const path of FREE_PATHS) {
    let at = state
    for (let i = 0; i < path.length; i += 2) {
      const next = target(states[at]!, path[i]!, path[i + 1]!)
      const isLast = i === path.length - 2
      if (next === -1 || (next === state) !== isLast) return null
      if (!isLast) inner.add(next)
      at = next
    }
  }
  for (const member of inner) {
    const { accepts, calls, tokens } = states[member]!
    if (accepts || calls.length > 0 || tokens.length > 0) return null
    if (targetsOf(states[member]!).some((next) => next !== state && !inner.has(next))) return null
  }
  return inner
}

/** Where the bytes first to last all lead; -1 when not to one state. */
function target({ bytes }: DfaState, first: number, last: number): number {
  for (let i = 0; i < bytes.length; i += 3) if (bytes[i]! <= first && bytes[i + 1]! >= last) return bytes[i + 2]!
  return -1
}

function hasOtherEntry(states: readonly DfaState[], state: number, inner: ReadonlySet<number>): boolean {
  return states.some((source, index) => index !== state && !inner.has(index) && targetsOf(source).some((next) => inner.has(next)))
}

function withOwnCopy(states: readonly DfaState[], state: number, inner: ReadonlySet<number>): DfaState[] {
  const names = states.map((_, index) => index)
  for (const member of inner) names[member] = states.length + [...inner].indexOf(member)
  const copy = states.slice()
  copy[state] = renameTargets(states[state]!, names)
  for (const member of inner) copy.push(renameTargets(states[member]!, names))
  return copy
}
