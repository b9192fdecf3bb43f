/**
 * The seam between `http/` (sockets, limits, time) and the protocol families (pure translation). A family is a table of
 * routes; each route says how bytes become neutral requests and how neutral results become bytes. No I/O on this page.
 */
import type { CallOptions, CallReport, OnlineCall } from '#contract/call'
import type { ErrorRecord } from '#contract/errors'
import type { CountRequest, EmbedRequest, EmbedResult, GenerateEvent, GenerateRequest, ModelFacts } from '#contract/generate'
import type { Principal, Scope } from '#contract/principal'
import type { GenerateOutcome } from '#server/generate-outcome'
import type { ServerServices } from '#server/services'

/** A parsed body. Read own keys only: `constructor` and `__proto__` are plain data here. */
export interface JsonObject {
  readonly [key: string]: unknown
}

/** A request that is through the door, whoever's dialect it is in. */
export interface Incoming {
  readonly method: string
  /** Without query, as it was sent. */
  readonly path: string
  /** Of the route's path, decoded. */
  readonly params: Readonly<Record<string, string>>
  readonly query: URLSearchParams
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string | undefined>>
  /** {} where the route takes none. */
  readonly body: JsonObject
  /** The body as it was sent, decompressed; empty where the route streams it. */
  readonly bytes: Uint8Array
  /** The body of a route that streams it: read once, never kept. Throws like reading a whole body. */
  readonly stream: AsyncIterable<Uint8Array> | null
}

export interface WireReply {
  readonly status: number
  /** With its content-type. */
  readonly headers: Readonly<Record<string, string>>
  /** Pieces are sent as they come; the sending ends with the connection or the request's deadline. */
  readonly body: string | Uint8Array | AsyncIterable<string | Uint8Array>
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
  /** The model that was asked for, by the name that found it. */
  readonly model: string
  /** Of the HTTP exchange, as in `x-request-id`. */
  readonly requestId: string
  readonly responseId: string
  readonly createdSeconds: number
  readonly systemFingerprint: string
  readonly facts: ModelFacts
  readonly limits: ProtocolLimits
  readonly principal: Principal
  readonly services: ServerServices
  /** Whole milliseconds since the headers were read. */
  readonly elapsedMs: () => number
}

/** Puts a place of the engine (a RequestPlace, `requests[i].` before it when the call has several requests) in the caller's words. */
export type PlaceOf = (place: string) => string

/** One decoded generation call. Request `p` of `requests` answers choices `p * numChoices` and up. */
export interface GenerateCall {
  readonly stream: boolean
  readonly operation: OnlineCall['operation']
  readonly requests: readonly GenerateRequest[]
  readonly options: CallOptions
  readonly placeOf: PlaceOf
  /** The non-stream answer. `report` is complete. */
  encodeResponse(outcome: GenerateOutcome, report: CallReport): WireReply
  /** `report` is complete when the terminal event comes. */
  startStream(report: CallReport): EventStream
  /** Runs when the answer is whole and before its end is sent: what is stored is there for the caller's next request. */
  readonly onComplete?: (outcome: GenerateOutcome, report: CallReport) => Promise<void>
  /** The call outlives its connection: it is answered as soon as it is known, and `onComplete` keeps the answer. */
  readonly background?: BackgroundCall
}

export interface BackgroundCall {
  /** Of the response, for its run. */
  readonly id: string
  /** Makes the response known as one that waits. */
  readonly accept: () => Promise<void>
  readonly onStart: () => Promise<void>
  /** `cancelled`: the caller has taken it back. */
  readonly onFailure: (error: ErrorRecord) => Promise<void>
  /** What the caller is told at once. */
  readonly encodeAccepted: () => WireReply
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
  readonly options: CallOptions
  /** Places are `input` and `input[i]`. */
  readonly placeOf: PlaceOf
  encodeResponse(result: EmbedResult, report: CallReport): WireReply
}

export interface CountCall {
  readonly request: CountRequest
  readonly placeOf: PlaceOf
  encodeResponse(numTokens: number): WireReply
}

/** What a route that is no model call gets. */
export interface ServiceContext {
  readonly requestId: string
  readonly principal: Principal
  readonly services: ServerServices
  readonly limits: ProtocolLimits
  /** Models that the caller may use. */
  readonly models: readonly ModelCard[]
  readonly newId: (prefix: string) => string
  readonly nowSeconds: number
  readonly signal: AbortSignal
}

export interface ModelCard {
  readonly name: string
  readonly createdSeconds: number
  readonly state: { readonly kind: 'loading' | 'ready' | 'asleep' | 'failed' | 'stopping' }
}

export type ListModels = () => readonly ModelCard[]

interface RouteBase {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** Segments `:name` are parameters; `*` at the end takes the rest, slashes too. */
  readonly path: string
  /** What the caller's key must allow; inference when not given. */
  readonly scope?: Scope
  /** Of several routes with one method and path the first that matches answers; without it always. */
  readonly matches?: (headers: Incoming['headers']) => boolean
  /**
   * bytes: any content type, nothing is parsed; stream: the same, never held whole. blob-json: JSON that may also be labelled as bytes, or
   * not at all. json when not given, none: it is not read; GET and DELETE have none.
   */
  readonly bodyKind?: 'json' | 'blob-json' | 'bytes' | 'stream' | 'none'
}

export type ProtocolRoute =
  | (RouteBase & {
      readonly kind: 'generate'
      /** Of response ids. */
      readonly idPrefix: string
      /** `listModels`: what the caller may use, in the server's order. */
      modelOf(incoming: Incoming, listModels: ListModels): string
      decode(incoming: Incoming, context: DecodeContext): GenerateCall | Promise<GenerateCall>
    })
  | (RouteBase & {
      readonly kind: 'embed'
      readonly idPrefix: string
      modelOf(incoming: Incoming, listModels: ListModels): string
      decode(incoming: Incoming, context: DecodeContext): EmbedCall
    })
  | (RouteBase & {
      readonly kind: 'count'
      readonly idPrefix: string
      modelOf(incoming: Incoming, listModels: ListModels): string
      decode(incoming: Incoming, context: DecodeContext): CountCall | Promise<CountCall>
    })
  /** One route for bodies of either kind: `choose` looks at the body and says which of the others it is. */
  | (RouteBase & { readonly kind: 'dispatch'; choose(incoming: Incoming): Exclude<ProtocolRoute, { readonly kind: 'dispatch' }> })
  | (RouteBase & { readonly kind: 'list-models'; encode(cards: readonly ModelCard[], incoming: Incoming, requestId: string): WireReply })
  /** `path` ends with `*`: a model's name may contain slashes. */
  | (RouteBase & { readonly kind: 'get-model'; encode(card: ModelCard, requestId: string): WireReply })
  /** Everything that a platform service answers. Throws InferdError. */
  | (RouteBase & { readonly kind: 'service'; handle(incoming: Incoming, context: ServiceContext): Promise<WireReply> })

export interface WireError {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | Uint8Array
}

export interface ProtocolFamily {
  readonly name: string
  /** Errors of paths under them have this family's shape, also where there is no route; of several families the longest prefix counts. */
  readonly pathPrefixes: readonly string[]
  /** Where a path alone does not tell: this family's callers, before any prefix or mark is looked at. */
  readonly claims?: (path: string, headers: Readonly<Record<string, unknown>>) => boolean
  /** A header that only this family's clients send: under its prefix it decides before paths do. */
  readonly headerMark?: { readonly name: string; readonly pathPrefix: string }
  readonly routes: readonly ProtocolRoute[]
  encodeError(error: ErrorRecord, requestId: string): WireError
}
