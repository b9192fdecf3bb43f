/** What became of one request, with the times that figures are made of. Times are milliseconds of one monotonic clock. */

export interface Answered {
  readonly kind: 'answered'
  /** When the load had it come; it was sent later where the client had no room for it. */
  readonly dueMs: number
  readonly sentMs: number
  /** When the first piece came; null = the answer was not streamed. */
  readonly firstMs: number | null
  /** When the answer was over. */
  readonly endMs: number
  /** Between neighbouring pieces. */
  readonly gapsMs: readonly number[]
  readonly numPromptTokens: number
  readonly numOutputTokens: number
  /** False where the server told no usage: pieces are counted as tokens then, and the prompt has none. */
  readonly isUsageTold: boolean
}

export interface Failed {
  readonly kind: 'failed'
  readonly sentMs: number
  readonly endMs: number
  readonly error: RequestError
}

/** Taken back because the run was stopped. */
export interface Cancelled {
  readonly kind: 'cancelled'
}

export type RequestOutcome = Answered | Failed | Cancelled

export interface RequestError {
  /** `http 429`, `timeout`, `connection`, `error in stream`, `broken stream`, `unreadable`, `no tokens`. */
  readonly kind: string
  /** The server's own, cut. */
  readonly words: string
}
