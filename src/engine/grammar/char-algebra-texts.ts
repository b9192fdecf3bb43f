/** Finite sets of texts: the minimal automaton is built word by word (Daciuk and others, 2000), never larger than itself and one word. */
import type { CharBudget } from './char-algebra-budget.ts'
import { mergeEdges, renumber } from './char-algebra-minimize.ts'
import type { CharAutomaton, CharEdge } from './char-automaton.ts'

/** Exactly these texts; duplicates count once. A text with a lone surrogate has no UTF-8 and falls out. */
export function fromTexts(texts: readonly string[], budget: CharBudget): CharAutomaton {
  const set = new WordSet(budget)
  // Any order will do in which texts with a common beginning are neighbours.
  const sorted = [...new Set(texts)].filter((text) => text.isWellFormed()).sort()
  for (const text of sorted) set.add(Array.from(text, (char) => char.codePointAt(0)!))
  return set.finish()
}

class WordSet {
  private readonly budget: CharBudget
  private readonly accepting: boolean[] = [false]
  /** By state: flat pairs of code point and target, in order of arrival. */
  private readonly moves: number[][] = [[]]
  /** Finished states by what they accept. */
  private readonly finished = new Map<string, number>()
  /** States that were equal to a finished one: their numbers are used again. */
  private readonly free: number[] = []
  /** The states along the last word, the start first, and the word itself. */
  private readonly path: number[] = [0]
  private lastWord: readonly number[] = []

  constructor(budget: CharBudget) {
    this.budget = budget
  }

  add(word: readonly number[]): void {
    this.budget.spend(word.length + 1)
    let common = 0
    while (common < word.length && common < this.lastWord.length && word[common] === this.lastWord[common]) common++
    this.finishFrom(common)
    for (let at = common; at < word.length; at++) {
      const state = this.newState()
      this.moves[this.path[at]!]!.push(word[at]!, state)
      this.path.push(state)
    }
    this.accepting[this.path.at(-1)!] = true
    this.lastWord = word
  }

  finish(): CharAutomaton {
    this.finishFrom(0)
    const edges = this.moves.map((pairs) => {
      const out: CharEdge[] = []
      for (let i = 0; i < pairs.length; i += 2) out.push({ first: pairs[i]!, last: pairs[i]!, target: pairs[i + 1]! })
      return mergeEdges(out)
    })
    return renumber({ edges, accepting: this.accepting }, 0)
  }

  /** The states deeper than `depth` get no more edges: each becomes finished, or gives way to its equal. */
  private finishFrom(depth: number): void {
    while (this.path.length > depth + 1) {
      const state = this.path.pop()!
      const key = `${this.accepting[state]! ? 1 : 0},${this.moves[state]!.join(',')}`
      this.budget.spend(1 + (this.moves[state]!.length >> 1))
      const equal = this.finished.get(key)
      if (equal === undefined) {
        this.finished.set(key, state)
        continue
      }
      const parent = this.moves[this.path.at(-1)!]!
      parent[parent.length - 1] = equal
      this.moves[state] = []
      this.accepting[state] = false
      this.free.push(state)
    }
  }

  private newState(): number {
    const recycled = this.free.pop()
    if (recycled !== undefined) return recycled
    this.budget.checkStates(this.moves.length + 1)
    this.accepting.push(false)
    return this.moves.push([]) - 1
  }
}
