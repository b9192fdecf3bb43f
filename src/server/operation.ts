/**
 * The seam between `http/` (sockets, limits, time) and the protocol families (pure translation). A family is a table of
 * routes; each route says how bytes become neutral requests and how neutral results become bytes. No I/O on this page.
 */
import type { ErrorRecord } from '#contract/errors'
import type { EmbedRequest, EmbedResult, GenerateEvent, GenerateRequest, ModelFacts } from '#contract/generate'
import type { GenerateOutcome } from '#server/generate-outcome'

/** A parsed body. Read own keys only: `constructor` and `__proto__` are plain data here. */
export interface JsonObject {
  readonly [key: string]: unknown
}

/** Bounds on what one call may ask for; each has a documented refusal. */
export interface ProtocolLimits {
  /** Choices of one prompt. */
  readonly maxChoices: number
  /** Prompts x choices of one call. */
  readonly maxTotalChoices: number
  readonly maxPrompts: number
  readonly maxMessages: number
  readonly maxContentParts: number
  readonly maxStopStrings: number
  readonly maxStopStringBytes: number
  readonly maxStopTokenIds: number
  readonly maxTopLogprobs: number
  readonly maxLogitBiasEntries: number
  readonly maxEmbeddingInputs: number
  /** Choices x output tokens x (1 + alternatives) of an answer with logprobs that is held until it is whole. */
  readonly maxLogprobEntries: number
  readonly maxTools: number
  /** In UTF-16 units. */
  readonly maxToolDescriptionLength: number
  /** Of one assistant message. */
  readonly maxToolCalls: number
  readonly maxFormatChoices: number
  readonly maxTemplateVariables: number
}

export interface DecodeContext {
  readonly responseId: string
  readonly createdSeconds: number
  readonly systemFingerprint: string
  readonly facts: ModelFacts
  readonly limits: ProtocolLimits
}

/** Puts a place of the engine (a RequestPlace, `requests[i].` before it when the call has several requests) in the caller's words. */
export type PlaceOf = (place: string) => string

/** One decoded generation call. Request `p` of `requests` answers choices `p * numChoices` and up. */
export interface GenerateCall {
  readonly stream: boolean
  readonly requests: readonly GenerateRequest[]
  readonly placeOf: PlaceOf
  /** The JSON body of the non-stream answer. */
  encodeResponse(outcome: GenerateOutcome): string
  startStream(): EventStream
}

/** One answer as a stream: its head, and the bytes of each event. */
export interface EventStream {
  /** The content type, and what else the head must say. */
  readonly headers: Readonly<Record<string, string>>
  /** Written while the model is silent, also before the first event; null = only the head is sent. */
  readonly heartbeat: string | Uint8Array | null
  /** Hot: per event, in order. Empty = nothing to write. Text that is written in one turn of the event loop is joined. */
  readonly encode: (event: GenerateEvent) => string | Uint8Array
}

export interface EmbedCall {
  readonly request: EmbedRequest
  /** Places are `input` and `input[i]`. */
  readonly placeOf: PlaceOf
  encodeResponse(result: EmbedResult): string
}

export interface ModelCard {
  readonly name: string
  readonly createdSeconds: number
}

export type ProtocolRoute =
  | {
      readonly kind: 'generate'
      readonly method: 'POST'
      readonly path: string
      readonly idPrefix: string
      modelOf(body: JsonObject): string
      decode(body: JsonObject, context: DecodeContext): GenerateCall
    }
  | {
      readonly kind: 'embed'
      readonly method: 'POST'
      readonly path: string
      readonly idPrefix: string
      modelOf(body: JsonObject): string
      decode(body: JsonObject, context: DecodeContext): EmbedCall
    }
  | { readonly kind: 'list-models'; readonly method: 'GET'; readonly path: string; encode(cards: readonly ModelCard[]): string }
  /** `path` ends with `*`: a model's name may contain slashes. */
  | { readonly kind: 'get-model'; readonly method: 'GET'; readonly path: string; encode(card: ModelCard): string }

export interface WireError {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export interface ProtocolFamily {
  readonly name: string
  /** Errors of paths under it have this family's shape, also where there is no route; of several families the longest prefix counts. */
  readonly pathPrefix: string
  readonly routes: readonly ProtocolRoute[]
  encodeError(error: ErrorRecord): WireError
}
