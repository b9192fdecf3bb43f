/** What stands for a character that a vocabulary lacks: its UTF-8 bytes as `<0xXX>` tokens, or the unknown token. */
import type { IdList } from './piece-list.ts'
import { unsupportedTokenizer, type Vocabulary } from './vocabulary.ts'

export class ByteFallback {
  private readonly byteTokens: Int32Array | null
  private readonly unknownTokenId: number | null
  private endsWithUnknown = false

  /** Throws InferdError('unsupported_model') when neither exists: text would be lost. */
  constructor(vocabulary: Vocabulary, options: { readonly useBytes: boolean; readonly unknownTokenId: number | null }) {
    this.byteTokens = options.useBytes ? findByteTokens(vocabulary) : null
    this.unknownTokenId = options.unknownTokenId
    if (this.byteTokens === null && this.unknownTokenId === null) {
      throw unsupportedTokenizer('model', 'has neither an unknown token nor all 256 byte tokens, so that it would lose text')
    }
  }

  /** Whether a run of unknown characters, however long, is one token. */
  get joinsUnknown(): boolean {
    return this.byteTokens === null
  }

  /** Call before each word and after each known token: a run of unknown characters becomes one unknown token. */
  endRun(): void {
    this.endsWithUnknown = false
  }

  push(codePoint: number, out: IdList): void {
    if (this.byteTokens === null) {
      if (!this.endsWithUnknown) out.push(this.unknownTokenId!)
      this.endsWithUnknown = true
      return
    }
    if (codePoint < 0x80) return out.push(this.byteTokens[codePoint]!)
    const numTail = codePoint < 0x800 ? 1 : codePoint < 0x10000 ? 2 : 3
    const lead = [0, 0xc0, 0xe0, 0xf0][numTail]!
    out.push(this.byteTokens[lead | (codePoint >> (6 * numTail))]!)
    for (let tail = numTail - 1; tail >= 0; tail -= 1) out.push(this.byteTokens[0x80 | ((codePoint >> (6 * tail)) & 63)]!)
  }
}

function byteTokenText(byte: number): string {
  return `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`
}

/** The byte of a `<0xXX>` token, or null. */
export function byteOfTokenText(text: string): number | null {
  const match = /^<0x([0-9A-Fa-f]{2})>$/.exec(text)
  return match === null ? null : Number.parseInt(match[1]!, 16)
}

/** Token id of each byte; null unless all 256 exist. */
function findByteTokens(vocabulary: Vocabulary): Int32Array | null {
  const tokens = new Int32Array(256)
  for (let byte = 0; byte < 256; byte += 1) {
    const tokenId = vocabulary.id(byteTokenText(byte))
    if (tokenId === null) return null
    tokens[byte] = tokenId
  }
  return tokens
}
