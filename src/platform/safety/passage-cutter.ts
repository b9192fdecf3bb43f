/** Cuts text that arrives in pieces into passages that a judge of meaning can read: whole sentences, at places that depend on the text alone. */

/** A passage ends with the first sentence end from here on, */
const MIN_PASSAGE = 160
/** or, where none comes, here: the most that is held back. UTF-16 units. */
export const MAX_PASSAGE = 1200

export class PassageCutter {
  private text = ''
  private walked = 0
  /** Characters of the whole text before `text`. */
  private base = 0

  /** Adds a piece and gives the first passage that it completes, then, for '', the next; null = none is complete. */
  push(piece: string): { readonly text: string; readonly start: number; readonly end: number; readonly seenTo: number } | null {
    this.text += piece
    while (this.walked < this.text.length) {
      const at = this.walked++
      // A sentence has ended when white space follows its sign: one character later.
      const isEnd = at > MIN_PASSAGE && /\s/.test(this.text[at]!) && /[.!?\n。！？]/.test(this.text[at - 1]!)
      if (isEnd || at >= MAX_PASSAGE) return this.cut(isLowSurrogate(this.text.charCodeAt(at)) ? at - 1 : at)
    }
    return null
  }

  /** What is left; '' = nothing. */
  rest(): { readonly text: string; readonly start: number; readonly end: number } {
    return { text: this.text, start: this.base, end: this.base + this.text.length }
  }

  private cut(at: number): { readonly text: string; readonly start: number; readonly end: number; readonly seenTo: number } {
    const passage = { text: this.text.slice(0, at), start: this.base, end: this.base + at, seenTo: this.base + this.walked }
    this.text = this.text.slice(at)
    this.base += at
    this.walked = 0
    return passage
  }
}

/** Sentences, at most `limit`; what is left is the last one. */
export function sentencesOf(text: string, limit: number): string[] {
  const sentences = text
    .split(/(?<=[.!?。！？])\s+|\n+/)
    .map((sentence) => sentence.trim())
    .filter((sentence) => sentence !== '')
  return sentences.length <= limit ? sentences : [...sentences.slice(0, limit - 1), sentences.slice(limit - 1).join(' ')]
}

function isLowSurrogate(code: number): boolean {
  return code >= 0xdc00 && code <= 0xdfff
}
