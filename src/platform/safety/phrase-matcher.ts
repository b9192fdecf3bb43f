/**
 * Finds all phrases of a set in one walk over folded text (Aho and Corasick, 1975). A step costs the number of failure links that it
 * follows, which over a text is no more than its length.
 */
import { foldCodePoint, foldLeet, foldText } from './fold-text.ts'

export interface PhraseMatch {
  /** Index into the phrases that the matcher was made of. */
  readonly phrase: number
  /** UTF-16 units of the text, not folded. */
  readonly start: number
  readonly end: number
}

interface Node {
  readonly next: Map<string, number>
  failure: number
  readonly depth: number
  /** Phrases that end here. */
  readonly phrases: number[]
  /** The nearest node on the failure path where a phrase ends; 0 = none. */
  output: number
}

/** So many invisible characters, or spaces beyond the first, may stand between two characters of a phrase. */
const MAX_GAP = 4
/** Scripts that put no space between words. */
const UNSPACED = /[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]/
const WORD = /[\p{L}\p{N}_]/u

export class PhraseMatcher {
  /** Longest match, UTF-16 units. */
  readonly maxLength: number
  private readonly nodes: Node[] = [newNode(0)]
  private readonly phrases: readonly string[]
  private readonly isLeet: boolean

  /** `isLeet`: digits and signs that look like letters are read as them, in the text; phrases have letters only. */
  constructor(phrases: readonly string[], { isLeet }: { readonly isLeet: boolean }) {
    this.isLeet = isLeet
    this.phrases = phrases.map(foldText)
    for (const [index, phrase] of this.phrases.entries()) if (phrase !== '') this.insert(phrase, index)
    this.link()
    this.maxLength = Math.max(0, ...this.phrases.map(({ length }) => length * (2 + MAX_GAP)))
  }

  /** State after one code point; `gap` counts what stood between two characters and does not count as one. */
  step(state: PhraseState, codePoint: number): PhraseState {
    const raw = foldCodePoint(codePoint)
    if (raw === '' || (raw === ' ' && state.isAfterSpace)) {
      return state.gap + 1 > MAX_GAP ? { node: 0, isAfterSpace: raw === ' ', gap: 0 } : { ...state, gap: state.gap + 1 }
    }
    let node = state.node
    for (const character of raw) node = this.follow(node, this.isLeet ? foldLeet(character) : character)
    return { node, isAfterSpace: raw === ' ', gap: 0 }
  }

  /** True: no phrase has begun that may go on. */
  isClosed(state: PhraseState): boolean {
    return state.node === 0
  }

  hasHit({ node }: PhraseState): boolean {
    return this.nodes[node]!.phrases.length > 0 || this.nodes[node]!.output !== 0
  }

  /** All whole-word matches that begin at `from` or later, in order of their ends; overlapping ones too. */
  find(text: string, from: number): PhraseMatch[] {
    const matches: PhraseMatch[] = []
    /** Where the last characters of folded text began, by folded index modulo its length. */
    const starts = new Int32Array(nextPowerOfTwo(Math.max(2, ...this.phrases.map(({ length }) => length + 2))))
    let numFolded = 0
    let state = START_OF_PHRASES
    for (let index = from; index < text.length;) {
      const codePoint = text.codePointAt(index)!
      const next = index + (codePoint > 0xffff ? 2 : 1)
      const raw = foldCodePoint(codePoint)
      const isSkipped = raw === '' || (raw === ' ' && state.isAfterSpace)
      if (!isSkipped) for (let i = 0; i < raw.length; i++) starts[numFolded++ & (starts.length - 1)] = index
      state = this.step(state, codePoint)
      if (!isSkipped && this.hasHit(state)) {
        for (const phrase of this.endingAt(state.node)) {
          const start = starts[(numFolded - this.phrases[phrase]!.length) & (starts.length - 1)]!
          if (isWhole(text, start, next)) matches.push({ phrase, start, end: next })
        }
      }
      index = next
    }
    return matches
  }

  private *endingAt(node: number): Generator<number> {
    for (let at = node; at !== 0; at = this.nodes[at]!.output) yield* this.nodes[at]!.phrases
  }

  private follow(from: number, character: string): number {
    let node = from
    for (;;) {
      const next = this.nodes[node]!.next.get(character)
      if (next !== undefined) return next
      if (node === 0) return 0
      node = this.nodes[node]!.failure
    }
  }

  private insert(phrase: string, index: number): void {
    let node = 0
    for (let i = 0; i < phrase.length; i++) {
      const { next, depth } = this.nodes[node]!
      let child = next.get(phrase[i]!)
      if (child === undefined) {
        child = this.nodes.push(newNode(depth + 1)) - 1
        next.set(phrase[i]!, child)
      }
      node = child
    }
    this.nodes[node]!.phrases.push(index)
  }

  private link(): void {
    const queue = [0]
    for (const at of queue) {
      for (const [character, child] of this.nodes[at]!.next) {
        const failure = at === 0 ? 0 : this.follow(this.nodes[at]!.failure, character)
        const target = this.nodes[failure]!
        this.nodes[child]!.failure = failure
        this.nodes[child]!.output = target.phrases.length > 0 ? failure : target.output
        queue.push(child)
      }
    }
  }
}

export interface PhraseState {
  readonly node: number
  readonly isAfterSpace: boolean
  readonly gap: number
}

export const START_OF_PHRASES: PhraseState = { node: 0, isAfterSpace: false, gap: 0 }

function newNode(depth: number): Node {
  return { next: new Map(), failure: 0, depth, phrases: [], output: 0 }
}

function isWhole(text: string, start: number, end: number): boolean {
  const first = String.fromCodePoint(text.codePointAt(start)!)
  const last = text[end - 1]!
  const before = start === 0 ? '' : text[start - 1]!
  const after = end >= text.length ? '' : text[end]!
  return isBoundary(first, before) && isBoundary(last, after)
}

function isBoundary(inside: string, outside: string): boolean {
  return [inside, outside].some((character) => UNSPACED.test(character) || !WORD.test(character))
}

function nextPowerOfTwo(value: number): number {
  return 2 ** Math.ceil(Math.log2(value))
}
