/** A model that can be called, whatever stands behind it: a worker process, several of them, or a remote server. */
import type { ErrorRecord } from '#contract/errors'
import type { CountRequest, EmbedRequest, EmbedResult, GenerateEvent, GenerateRequest, ModelFacts, SamplingChange } from '#contract/generate'

export type ServedModelState =
  | { readonly kind: 'loading'; readonly loadedBytes: number; readonly totalBytes: number }
  | { readonly kind: 'ready'; readonly facts: ModelFacts }
  /** Ready to be called, and no worker serves it yet: a call is held while one starts. */
  | {
      readonly kind: 'asleep'
      /** null = its files have not been read: nobody has called it yet. */
      readonly facts: ModelFacts | null
      /** A worker starts; null = none does. */
      readonly waking: { readonly loadedBytes: number; readonly totalBytes: number } | null
      /** Why the last start failed: it is tried again after a rest. null = it did not. */
      readonly problem: ErrorRecord | null
    }
  | { readonly kind: 'failed'; readonly error: ErrorRecord }
  | { readonly kind: 'stopping' }

/** Of a model that can be called; null = it cannot, now. */
export function factsOf(state: ServedModelState): ModelFacts | null {
  return state.kind === 'ready' || state.kind === 'asleep' ? state.facts : null
}

/** What a probe brings back: how much runs and what it holds. Remote servers have no blocks: 0. */
export interface ModelLoad {
  readonly numRunning: number
  readonly numWaiting: number
  readonly numBlocks: number
  readonly numFreeBlocks: number
}

/** How the answer is wanted. whole: nothing of it is needed before its end; a model that streams may do so all the same. */
export type Delivery = 'stream' | 'whole'

export interface ServedModel {
  readonly name: string
  /** Wall clock at registration, seconds since the epoch. */
  readonly createdSeconds: number
  readonly state: ServedModelState
  /** Waits while the model starts or restarts, for a bounded time; `state` then says what came of it. Rejects when the signal aborts. */
  whileLoading(signal: AbortSignal): Promise<void>
  /**
   * Rejections known before the first event are thrown as InferdError; later failures arrive as the terminal event.
   * Aborting the signal ends the iteration and frees everything behind it. `delivery`: stream when not given.
   */
  generate(request: GenerateRequest, signal: AbortSignal, delivery?: Delivery): AsyncIterable<GenerateEvent>
  /** A request that runs, the same object, samples otherwise from its next token on. False, and models without it: it cannot. */
  adjust?(request: GenerateRequest, change: SamplingChange): boolean
  /** `onStart`: told when the model takes it up, which it may do again when a worker is lost. */
  embed(request: EmbedRequest, signal: AbortSignal, onStart?: () => void): Promise<EmbedResult>
  /** Tokens of the prompt, as a generation would count them. Throws like generate. */
  countTokens(request: CountRequest, signal: AbortSignal): Promise<number>
  /** An answer from the worker's step loop. */
  probe(signal: AbortSignal): Promise<ModelLoad>
}

export interface ModelDirectory {
  list(): readonly ServedModel[]
  find(name: string): ServedModel | null
  /** Reached by routes only: no caller may name it. */
  isHidden?(name: string): boolean
}
