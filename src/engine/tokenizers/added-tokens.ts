/**
 * Finds the literal texts of added tokens in a text: leftmost, then longest. A trie over UTF-16 units; the first unit is looked up in a
 * bit table, so that ordinary text costs one test a character.
 */
import type { ProtectedText } from './tokenizer.ts'
import { quoteForMessage, unsupportedTokenizer } from './vocabulary.ts'

/** Bounds the work per character on any text. */
const MAX_ADDED_TOKEN_LENGTH = 512

export interface AddedToken {
  readonly id: number
  readonly text: string
  /** True: matched only where the caller parses special tokens. False: matched in every text. */
  readonly special: boolean
  /** White space on that side belongs to the token. */
  readonly stripsLeft: boolean
  readonly stripsRight: boolean
  /** Matched only where no word character touches it. */
  readonly singleWord: boolean
}

interface TrieNode {
  readonly children: Map<number, TrieNode>
  token: AddedToken | null
}

export interface AddedTokenMatch {
  readonly token: AddedToken
  readonly start: number
  readonly end: number
}

export class AddedTokenMatcher {
  readonly tokens: readonly AddedToken[]
  private readonly root: TrieNode = { children: new Map(), token: null }
  private readonly firstUnits = new Uint8Array(65_536)

  /** Empty texts never match. Throws InferdError('unsupported_model') for a text beyond the limit. */
  constructor(tokens: readonly AddedToken[]) {
    this.tokens = tokens
    for (const token of tokens) {
      if (token.text === '') continue
      if (token.text.length > MAX_ADDED_TOKEN_LENGTH) {
        throw unsupportedTokenizer('added_tokens', `has ${quoteForMessage(token.text)}, longer than ${MAX_ADDED_TOKEN_LENGTH} characters`)
      }
      this.firstUnits[token.text.charCodeAt(0)] = 1
      let node = this.root
      for (let index = 0; index < token.text.length; index += 1) node = childOf(node, token.text.charCodeAt(index))
      node.token ??= token
    }
  }

  /** The first match at or after `from`, or null. */
  find(text: string, from: number, parseSpecial: boolean, guard: ProtectionCursor | null): AddedTokenMatch | null {
    for (let start = from; start < text.length; start += 1) {
      if (this.firstUnits[text.charCodeAt(start)] === 0) continue
      const match = this.longestAt(text, start, parseSpecial, guard)
      if (match !== null) return match
    }
    return null
  }

  private longestAt(text: string, start: number, parseSpecial: boolean, guard: ProtectionCursor | null): AddedTokenMatch | null {
    let node: TrieNode | undefined = this.root
    let best: AddedToken | null = null
    for (let index = start; index < text.length; index += 1) {
      node = node.children.get(text.charCodeAt(index))
      if (node === undefined) break
      const { token } = node
      if (token === null || (token.special && !parseSpecial)) continue
      if (guard !== null && guard.refuses(token, start, index + 1)) continue
      if (token.singleWord && (isWordUnit(text, start - 1) || isWordUnit(text, index + 1))) continue
      best = token
    }
    return best === null ? null : { token: best, start, end: start + best.text.length }
  }
}

/** Walks the protected ranges of one text in step with a matcher that only moves forward. */
export class ProtectionCursor {
  private readonly ranges: readonly number[]
  private readonly userDefinedTokenIds: ReadonlySet<number>
  private index = 0

  constructor(protectedText: ProtectedText) {
    this.ranges = protectedText.ranges
    this.userDefinedTokenIds = protectedText.userDefinedTokenIds
  }

  /** True when the token may not stand on [start, end). `start` never falls from call to call. */
  refuses(token: AddedToken, start: number, end: number): boolean {
    if (!token.special && !this.userDefinedTokenIds.has(token.id)) return false
    while (this.index < this.ranges.length && this.ranges[this.index + 1]! <= start) this.index += 2
    return this.index < this.ranges.length && this.ranges[this.index]! < end
  }
}

function childOf(node: TrieNode, unit: number): TrieNode {
  let child = node.children.get(unit)
  if (child === undefined) {
    child = { children: new Map(), token: null }
    node.children.set(unit, child)
  }
  return child
}

function isWordUnit(text: string, index: number): boolean {
  return index >= 0 && index < text.length && /[\p{L}\p{N}_]/u.test(text[index]!)
}
