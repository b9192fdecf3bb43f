/**
 * What gateway and worker say to each other over the inherited pipe. Calls carry a number that the gateway gave; the events of one
 * engine step, whichever calls they belong to, travel in one message.
 */
import type { ErrorRecord } from '#contract/errors'
import type { CountRequest, EmbedRequest, EmbedResult, GenerateEvent, GenerateRequest, ModelFacts, SamplingChange, Usage } from '#contract/generate'
import type { EngineOptions, EnginePlan, EngineStats } from '#engine/engine'

export type CallId = number & { readonly __brand: 'CallId' }

export type ToWorker =
  | { readonly type: 'load'; readonly options: EngineOptions }
  /** What would this model be and take? Nothing is loaded. Answered with `planned` or `load-failed`. */
  | { readonly type: 'plan'; readonly options: EngineOptions; readonly freeBytes: number }
  | { readonly type: 'generate'; readonly call: CallId; readonly request: GenerateRequest }
  | { readonly type: 'embed'; readonly call: CallId; readonly request: EmbedRequest }
  /** Answered with `counted`. */
  | { readonly type: 'count'; readonly call: CallId; readonly request: CountRequest }
  /** Answered with `probed` once the step loop has turned. */
  | { readonly type: 'probe'; readonly call: CallId }
  | { readonly type: 'abort'; readonly call: CallId }
  /** A generation samples otherwise from now on; one that has ended does not care. */
  | { readonly type: 'adjust'; readonly call: CallId; readonly change: SamplingChange }
  /** Ends every request with `shutting_down`, then the process. */
  | { readonly type: 'close' }

export type FromWorker =
  /** The first one, of 0 bytes, says that the process is up. */
  | { readonly type: 'progress'; readonly loadedBytes: number; readonly totalBytes: number }
  | { readonly type: 'ready'; readonly facts: ModelFacts }
  | { readonly type: 'load-failed'; readonly error: ErrorRecord }
  | { readonly type: 'planned'; readonly plan: EnginePlan }
  /** The step loop is beyond repair and has ended its requests: the process wants to be replaced. */
  | { readonly type: 'broken'; readonly reason: string }
  /** Parallel lists: events[i] belongs to calls[i]. */
  | { readonly type: 'events'; readonly calls: readonly CallId[]; readonly events: readonly GenerateEvent[] }
  /** A generation that was aborted has ended: what it had computed. */
  | { readonly type: 'aborted'; readonly call: CallId; readonly usage: Usage }
  | { readonly type: 'rejected'; readonly call: CallId; readonly error: ErrorRecord }
  | { readonly type: 'embedded'; readonly call: CallId; readonly result: EmbedResult }
  | { readonly type: 'counted'; readonly call: CallId; readonly numTokens: number }
  | { readonly type: 'probed'; readonly call: CallId; readonly stats: EngineStats }
