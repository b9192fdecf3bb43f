/** Copies of what callers of an endpoint send and get, for its operator: which calls, and what the server tells of each. */

/** Of one configuration of an endpoint. */
export interface CaptureTerms {
  /** False: declared, and off. */
  readonly isEnabled: boolean
  /** Of the calls, 0 to 100; which of them follows from their ids alone. */
  readonly percent: number
  /** Whose bucket it is. */
  readonly team: string
  /** `s3://bucket/prefix`. */
  readonly uri: string
  readonly input: boolean
  readonly output: boolean
  /** Content types whose bodies are kept as text and called CSV; lower case, without parameters. */
  readonly csvTypes: readonly string[]
  /** The same for JSON. Bodies of all others are kept in Base64. */
  readonly jsonTypes: readonly string[]
}

/** As it was sent, decompressed. */
export interface CapturedRequest {
  readonly contentType: string
  readonly bytes: Uint8Array
}

export interface AnsweredCall {
  /** The unit that answered; null = none did. */
  readonly servedBy: string | null
  /** The caller's own. */
  readonly inferenceId: string | null
  readonly request: CapturedRequest
  readonly answerType: string
}

/** One call that may be kept. Exactly one of `finish` and `abandon` ends it. Nothing here throws or waits. */
export interface CaptureTee {
  /** Of the answer's body, in order. Hot: per event. */
  add(piece: string | Uint8Array): void
  finish(call: AnsweredCall): void
  /** It was refused, or failed before its answer began. */
  abandon(): void
}

export interface CallCaptures {
  /** `model`: as it was called. null = nothing of this call is kept. Hot: per call. */
  begin(model: string, requestId: string): CaptureTee | null
}
