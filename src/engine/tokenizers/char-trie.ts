/** A trie over UTF-16 units in one flat hash table, for vocabularies of hundreds of thousands of pieces. */
import { MergeTable } from './merge-table.ts'
import { quoteForMessage, unsupportedTokenizer } from './vocabulary.ts'

/** Longest piece that a trie takes, UTF-16 units: it bounds the work per character of text. */
const MAX_PIECE_LENGTH = 512
export const ROOT = 0

export interface TriePiece {
  readonly text: string
  readonly id: number
}

export class CharTrie {
  /** (node, unit) -> node. */
  private readonly edges: MergeTable
  /** Token id that ends at each node, or -1. */
  private readonly ids: Int32Array

  /** The first of equal pieces wins. Throws InferdError('unsupported_model') for a piece beyond the limit. */
  constructor(pieces: readonly TriePiece[]) {
    let totalLength = 0
    for (const piece of pieces) {
      if (piece.text.length > MAX_PIECE_LENGTH) {
        throw unsupportedTokenizer('vocab', `has ${quoteForMessage(piece.text)}, longer than ${MAX_PIECE_LENGTH} characters`)
      }
      totalLength += piece.text.length
    }
    this.edges = new MergeTable(totalLength)
    this.ids = new Int32Array(totalLength + 1).fill(-1)
    let numNodes = 1
    for (const piece of pieces) {
      let node = ROOT
      for (let index = 0; index < piece.text.length; index += 1) {
        const unit = piece.text.charCodeAt(index)
        let child = this.step(node, unit)
        if (child < 0) {
          child = numNodes
          numNodes += 1
          this.edges.add({ left: node, right: unit, rank: 0, merged: child })
        }
        node = child
      }
      if (this.ids[node] === -1) this.ids[node] = piece.id
    }
  }

  /** Hot: per character. The child of `node` along `unit`, or -1. */
  step(node: number, unit: number): number {
    const handle = this.edges.find(node, unit)
    return handle < 0 ? -1 : this.edges.mergedAt(handle)
  }

  /** Token id that ends at the node, or -1. */
  idAt(node: number): number {
    return this.ids[node]!
  }
}
