/**
 * Finds stop strings in text that arrives in pieces. One Aho-Corasick automaton for all of them: linear in the text, whatever
 * the strings. Text is held back only while it may still become a stop string.
 */
import { assert } from '#base/assert'

export interface StopScan {
  /** Text that may be sent now. */
  readonly text: string
  /** The stop string that ended the text, or null. Nothing may be pushed after it. */
  readonly matched: string | null
}

interface StateTable {
  /** Per state: unit -> state, along the trie only. */
  readonly children: readonly ReadonlyMap<number, number>[]
  /** Per state: the state of the longest proper suffix. */
  readonly failure: readonly number[]
  /** Per state: length of the longest stop string that ends here; 0 for none. */
  readonly matchLength: readonly number[]
  /** Per state: how many units of text it stands for. */
  readonly depth: readonly number[]
}

export class StopStringMatcher {
  private readonly table: StateTable | null
  private readonly includeStopString: boolean
  private state = 0
  private held = ''
  private ended = false

  /** Empty strings are left out; a half surrogate pair matches nothing but U+FFFD. */
  constructor(stopStrings: readonly string[], includeStopString: boolean) {
    const strings = stopStrings.filter((text) => text !== '').map((text) => text.toWellFormed())
    this.table = strings.length === 0 ? null : buildTable(strings)
    this.includeStopString = includeStopString
  }

  /**
   * The earliest end of a stop string wins; of those that end there, the one that begins first.
   */
  push(text: string): StopScan {
    assert(!this.ended, 'text pushed after a stop string')
    if (this.table === null) return { text, matched: null }
    const { table } = this
    const window = this.held + text
    for (let index = this.held.length; index < window.length; index += 1) {
      this.state = nextState(table, this.state, window.charCodeAt(index))
      const matchLength = table.matchLength[this.state]!
      if (matchLength === 0) continue
      this.ended = true
      this.held = ''
      const start = index + 1 - matchLength
      return { text: window.slice(0, this.includeStopString ? index + 1 : start), matched: window.slice(start, index + 1) }
    }
    const numSafe = window.length - table.depth[this.state]!
    this.held = window.slice(numSafe)
    return { text: window.slice(0, numSafe), matched: null }
  }

  /** The text that was held back for a stop string that never came. */
  finish(): string {
    const rest = this.held
    this.held = ''
    return rest
  }
}

function nextState(table: StateTable, state: number, unit: number): number {
  for (let current = state; ; current = table.failure[current]!) {
    const child = table.children[current]!.get(unit)
    if (child !== undefined) return child
    if (current === 0) return 0
  }
}

function buildTable(strings: readonly string[]): StateTable {
  const children: Map<number, number>[] = [new Map()]
  const depth = [0]
  const matchLength = [0]
  for (const text of strings) {
    let state = 0
    for (let index = 0; index < text.length; index += 1) {
      const unit = text.charCodeAt(index)
      let child = children[state]!.get(unit)
      if (child === undefined) {
        child = children.length
        children.push(new Map())
        depth.push(index + 1)
        matchLength.push(0)
        children[state]!.set(unit, child)
      }
      state = child
    }
    matchLength[state] = text.length
  }
  const table = { children, failure: Array.from(children, () => 0), matchLength, depth }
  linkFailures(table)
  return table
}

/** Breadth first, so that a state's failure, which is shallower, is ready before it. */
function linkFailures(table: { children: Map<number, number>[]; failure: number[]; matchLength: number[]; depth: number[] }): void {
  const queue = [...table.children[0]!.values()]
  for (let head = 0; head < queue.length; head += 1) {
    const state = queue[head]!
    for (const [unit, child] of table.children[state]!) {
      table.failure[child] = nextState(table, table.failure[state]!, unit)
      queue.push(child)
    }
    if (table.matchLength[state] === 0) table.matchLength[state] = table.matchLength[table.failure[state]!]!
  }
}
