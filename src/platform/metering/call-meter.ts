/** Counts one call from its events: when its pieces came and what it used. */
import { InferdError } from '#contract/errors'
import { type GenerateEvent, NO_USAGE, type Usage } from '#contract/generate'

export interface CallTimes {
  /** Monotonic. */
  readonly firstPieceMs: number | null
  readonly lastPieceMs: number | null
  /** When the model took the call up; null = it did not. */
  readonly startedMs: number | null
}

export class CallMeter {
  private prompt: { readonly promptTokens: number; readonly cachedTokens: number } | null = null
  private startedMs: number | null = null
  private firstPieceMs: number | null = null
  private lastPieceMs: number | null = null
  private numPieces = 0
  private numReasoningPieces = 0
  private exact: Usage | null = null
  /** The answer came to its end: then `exact` is true even of nothing, as for words that no model made. */
  private isEnded = false

  /** Hot: per event. Returns whether the event is the terminal one. */
  observe(event: GenerateEvent, nowMs: number): boolean {
    switch (event.type) {
      case 'response-start':
        this.prompt = event
        this.startedMs ??= nowMs
        return false
      case 'reasoning-delta':
        this.numReasoningPieces++
        this.piece(nowMs)
        return false
      case 'text-delta':
      case 'tool-call-start':
      case 'tool-call-delta':
        this.piece(nowMs)
        return false
      case 'tool-call-end':
      case 'choice-end':
        return false
      case 'response-end':
        this.isEnded = true
        this.exact = event.usage
        return true
      case 'response-error':
        this.exact = event.usage
        return true
    }
  }

  get times(): CallTimes {
    return { firstPieceMs: this.firstPieceMs, lastPieceMs: this.lastPieceMs, startedMs: this.startedMs }
  }

  /**
   * What the model said that it used. Where it could not say it (its process died, the stream was cut under us) what was seen: the
   * prompt, and one token for each piece of the answer, which is the least that it can have been.
   */
  get usage(): Usage {
    const { exact, prompt, numPieces, numReasoningPieces } = this
    if (exact !== null && (this.isEnded || exact.completionTokens > 0 || numPieces === 0)) return exact
    if (prompt === null) return exact ?? NO_USAGE
    return {
      ...NO_USAGE,
      promptTokens: prompt.promptTokens,
      cachedTokens: prompt.cachedTokens,
      completionTokens: numPieces,
      reasoningTokens: numReasoningPieces,
    }
  }

  private piece(nowMs: number): void {
    this.firstPieceMs ??= nowMs
    this.lastPieceMs = nowMs
    this.numPieces++
  }
}

/** Refused before a model saw it: counted by metrics, no record. Least of all one for want of room in the ledger. */
export function isRefusal(error: unknown): boolean {
  return error instanceof InferdError && ['rate_limited', 'budget_exceeded', 'overloaded', 'shutting_down', 'store_failed'].includes(error.code)
}
