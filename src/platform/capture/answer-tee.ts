/** What a caller is sent, kept beside its sending up to a bound. */
import type { AnsweredCall, CaptureTee } from '#contract/capture'
import type { CapturedBody } from './capture-record.ts'
import type { HeldBytes } from './held-bytes.ts'

export interface TeeParts {
  /** False: the answer is not asked for, and none of it is kept. */
  readonly keepsAnswer: boolean
  readonly maxBodyBytes: number
  readonly held: HeldBytes
  /** Takes over what the answer holds. */
  readonly onFinish: (call: AnsweredCall, answer: KeptAnswer) => void
}

/** `body.bytes` are taken from `held`. */
export type KeptAnswer =
  | { readonly kind: 'kept'; readonly body: CapturedBody }
  | { readonly kind: 'unasked' }
  /** There was no room for it; nothing is held. */
  | { readonly kind: 'lost' }

export class AnswerTee implements CaptureTee {
  private readonly parts: TeeParts
  private pieces: (string | Uint8Array)[] = []
  private numBytes = 0
  private state: 'keeping' | 'full' | 'lost' | 'ended' = 'keeping'

  constructor(parts: TeeParts) {
    this.parts = parts
    if (!parts.keepsAnswer) this.state = 'full'
  }

  add(piece: string | Uint8Array): void {
    if (this.state !== 'keeping' || piece.length === 0) return
    const { held, maxBodyBytes } = this.parts
    const numRoom = maxBodyBytes - this.numBytes
    const numPieceBytes = typeof piece === 'string' ? Buffer.byteLength(piece) : piece.length
    const numTaken = Math.min(numRoom, numPieceBytes)
    if (!held.take(numTaken)) {
      this.letGo('lost')
      return
    }
    this.numBytes += numTaken
    this.pieces.push(numTaken === numPieceBytes ? piece : bytesOf(piece).slice(0, numTaken))
    if (numTaken < numPieceBytes) this.state = 'full'
  }

  finish(call: AnsweredCall): void {
    const { state, parts, pieces } = this
    if (state === 'ended') return
    this.state = 'ended'
    if (!parts.keepsAnswer || state === 'lost') return parts.onFinish(call, { kind: state === 'lost' ? 'lost' : 'unasked' })
    this.pieces = []
    const bytes = Buffer.concat(pieces.map(bytesOf))
    parts.onFinish(call, { kind: 'kept', body: { contentType: call.answerType, bytes, isTruncated: state === 'full' } })
  }

  abandon(): void {
    if (this.state !== 'ended') this.letGo('ended')
  }

  private letGo(state: 'lost' | 'ended'): void {
    this.parts.held.release(this.numBytes)
    this.numBytes = 0
    this.pieces = []
    this.state = state
  }
}

function bytesOf(piece: string | Uint8Array): Uint8Array {
  return typeof piece === 'string' ? Buffer.from(piece) : piece
}
