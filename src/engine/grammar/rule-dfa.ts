/** One rule as an automaton that is deterministic over its symbols: bytes, calls, tokens. The form between construction and tables. */

/** State 0 is the start. Calls hold rules of the arena (later: of the automaton). */
export interface RuleDfa {
  readonly states: readonly DfaState[]
}

export interface DfaState {
  readonly accepts: boolean
  /** Flat: first, last, target; ascending, disjoint, and neighbours to one target joined. */
  readonly bytes: readonly number[]
  /** Flat: rule, return state; at most one of each rule. */
  readonly calls: readonly number[]
  /** Flat: token id, target; at most one of each id. */
  readonly tokens: readonly number[]
}

export function hasEdges(state: DfaState): boolean {
  return state.bytes.length > 0 || state.calls.length > 0 || state.tokens.length > 0
}

/** Every target of an edge, once for each edge. */
export function targetsOf(state: DfaState): number[] {
  const targets: number[] = []
  for (let i = 2; i < state.bytes.length; i += 3) targets.push(state.bytes[i]!)
  for (let i = 1; i < state.calls.length; i += 2) targets.push(state.calls[i]!)
  for (let i = 1; i < state.tokens.length; i += 2) targets.push(state.tokens[i]!)
  return targets
}

/** The same state with other names for the states it leads to; edges to a state named -1 are left out. */
export function renameTargets(state: DfaState, names: ArrayLike<number>): DfaState {
  return {
    accepts: state.accepts,
    bytes: joinBytes(state.bytes, names),
    calls: renamePairs(state.calls, names),
    tokens: renamePairs(state.tokens, names),
  }
}

function joinBytes(bytes: readonly number[], names: ArrayLike<number>): number[] {
  const joined: number[] = []
  for (let i = 0; i < bytes.length; i += 3) {
    const target = names[bytes[i + 2]!]!
    if (target >= 0) appendBytes(joined, bytes[i]!, bytes[i + 1]!, target)
  }
  return joined
}

/** Appends behind the last range, or makes that longer. */
export function appendBytes(bytes: number[], first: number, last: number, target: number): void {
  const end = bytes.length
  if (end > 0 && bytes[end - 1] === target && bytes[end - 2] === first - 1) bytes[end - 2] = last
  else bytes.push(first, last, target)
}

function renamePairs(pairs: readonly number[], names: ArrayLike<number>): readonly number[] {
  if (pairs.length === 0) return pairs
  const renamed: number[] = []
  for (let i = 0; i < pairs.length; i += 2) {
    const target = names[pairs[i + 1]!]!
    if (target >= 0) renamed.push(pairs[i]!, target)
  }
  return renamed
}
