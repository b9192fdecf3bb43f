/**
 * The stage that answers from memory. Off unless the operator turns it on; a caller may ask for less, and for as much as the operator
 * allows. Its failures are none of the caller's: without it the call just runs.
 */
import { createHash } from 'node:crypto'
import { assert } from '#base/assert'
import type { Clock } from '#base/clock'
import type { OnlineCall } from '#contract/call'
import type { GenerateEvent } from '#contract/generate'
import { factsOf, type ServedModel } from '#contract/served-model'
import type { CallHandler, Stage } from '#platform/online/stage'
import type { CallableModel } from '#platform/online/online-models'
import { exactKey, isDeterministic, semanticParts, type CachedModel } from './cache-key.ts'
import { AnswerRecord } from './record-answer.ts'
import { ResponseCache, type CachedAnswer, type SemanticMark } from './response-cache.ts'

export interface ResponseCachePolicy {
  /** For calls that do not say. */
  readonly byDefault: 'off' | 'exact' | 'semantic'
  /** The most that a call may ask for. */
  readonly allowed: 'off' | 'exact' | 'semantic'
  readonly maxBytes: number
  readonly maxAnswerBytes: number
  readonly maxAgeS: number
  /** Cosine of two last user texts that mean the same; [0, 1]. */
  readonly threshold: number
}

/** A unit vector; rejects when there is none to be had. */
export type EmbedText = (call: OnlineCall, text: string, signal: AbortSignal) => Promise<Float32Array>

/** By a model of this server; its tokens are the operator's, not the caller's. */
export function embedWith(model: Pick<ServedModel, 'embed'>): EmbedText {
  return async ({ requestId, request: { priority, cacheSalt } }, text, signal) => {
    const { vectors } = await model.embed({ requestId, inputs: [{ kind: 'text', text }], priority, cacheSalt }, signal)
    const [vector] = vectors
    assert(vector !== undefined, 'an embedding has a vector for each input')
    return vector
  }
}

export interface ResponseCacheOptions {
  readonly policy: ResponseCachePolicy
  readonly clock: Clock
  /** As the routing's: which models may answer to a name. */
  readonly targetsOf: (name: string) => readonly string[]
  readonly find: (call: OnlineCall) => Pick<CallableModel, 'state'> | null
  /** null = the semantic mode is not offered, and means exact. */
  readonly embed: EmbedText | null
}

export interface ResponseCacheStage {
  readonly stage: Stage
  readonly cache: ResponseCache
}

const MODE_RANK = { off: 0, exact: 1, semantic: 2 } as const

export function responseCacheStage(options: ResponseCacheOptions): ResponseCacheStage {
  const { policy, clock } = options
  const cache = new ResponseCache({ maxBytes: policy.maxBytes, maxAnswerBytes: policy.maxAnswerBytes, maxAgeMs: policy.maxAgeS * 1000 }, clock)
  const stage: Stage = (next) => (call, signal) => {
    const mode = modeOf(call, options)
    if (mode === 'off') return next(call, signal)
    return new CachedCall({ ...options, cache, next, mode, call }).run(signal)
  }
  return { stage, cache }
}

/** Nobody gets more than the operator allows; what is not deterministic is kept only for who asked by name. */
function modeOf({ request, options }: OnlineCall, { policy, embed }: ResponseCacheOptions): 'off' | 'exact' | 'semantic' {
  const asked = options.responseCache?.mode ?? policy.byDefault
  const mode = MODE_RANK[asked] <= MODE_RANK[policy.allowed] ? asked : policy.allowed
  if (mode === 'off' || (options.responseCache === null && !isDeterministic(request))) return 'off'
  return mode === 'semantic' && embed === null ? 'exact' : mode
}

interface CachedCallTerms extends ResponseCacheOptions {
  readonly cache: ResponseCache
  readonly next: CallHandler
  readonly mode: 'exact' | 'semantic'
  readonly call: OnlineCall
}

class CachedCall {
  private readonly terms: CachedCallTerms
  private readonly maxAgeMs: number

  constructor(terms: CachedCallTerms) {
    this.terms = terms
    this.maxAgeMs = (terms.call.options.responseCache?.maxAgeS ?? terms.policy.maxAgeS) * 1000
  }

  async *run(signal: AbortSignal): AsyncGenerator<GenerateEvent, void> {
    const { cache, call, next } = this.terms
    signal.throwIfAborted()
    const model = this.model()
    if (model === null) return yield* next(call, signal)
    const key = exactKey(call, model)
    const exact = cache.find(key, this.maxAgeMs)
    if (exact !== null) return yield* this.replay(exact, 'exact')
    const meaning = await this.meaningOf(model, signal)
    const similar = meaning === null ? null : cache.findSimilar(meaning, { threshold: this.terms.policy.threshold, maxAgeMs: this.maxAgeMs })
    if (similar !== null) return yield* this.replay(similar, 'semantic')
    cache.miss()
    yield* this.recorded(key, meaning, signal)
  }

  private async *recorded(key: string, meaning: SemanticMark | null, signal: AbortSignal): AsyncGenerator<GenerateEvent, void> {
    const { call, next, policy } = this.terms
    const record = new AnswerRecord(policy.maxAnswerBytes)
    for await (const event of next(call, signal)) {
      record.add(event)
      // Kept before it is sent: who reads the last event and asks again is answered from here.
      if (event.type === 'response-end' && !signal.aborted) this.store(key, record, meaning)
      yield event
    }
  }

  /** What another model than the first choice answered, or what was found wrong, stands for this one call only. */
  private store(key: string, { answer, isCut }: AnswerRecord, meaning: SemanticMark | null): void {
    const { cache, call } = this.terms
    const { servedBy, attempts, quality } = call.report
    if (answer === null || attempts.length > 0 || quality.length > 0) return
    cache.store(key, { events: answer, servedBy }, isCut ? null : meaning)
  }

  private *replay({ events, servedBy }: CachedAnswer, kind: 'exact' | 'semantic'): Generator<GenerateEvent, void> {
    const { report } = this.terms.call
    report.cache = kind
    report.servedBy = servedBy
    report.routeReason = `response cache: ${kind}`
    yield* events
  }

  private model(): CachedModel | null {
    const { targetsOf, find, call } = this.terms
    const model = find(call)
    const facts = model === null ? null : factsOf(model.state)
    if (facts === null) return null
    const factsDigest = createHash('sha256').update(JSON.stringify(facts)).digest('base64')
    return { targets: targetsOf(call.model), factsDigest }
  }

  private async meaningOf(model: CachedModel, signal: AbortSignal): Promise<SemanticMark | null> {
    const { mode, embed, call } = this.terms
    const parts = mode === 'semantic' ? semanticParts(call, model) : null
    if (parts === null || embed === null) return null
    try {
      return { key: parts.key, vector: await embed(call, parts.text, signal) }
    } catch {
      signal.throwIfAborted()
      return null
    }
  }
}
