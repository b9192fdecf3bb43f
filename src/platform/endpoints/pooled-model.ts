/**
 * A model whose workers come and go: callable at any time once its files are known. A call that finds it asleep is held while it wakes; what
 * can be refused without the model (decoding, admission, guardrails) is refused before, and wakes nothing.
 */
import type { Clock } from '#base/clock'
import { fromErrorRecord, InferdError, toErrorRecord, type ErrorRecord } from '#contract/errors'
import type { CountRequest, EmbedRequest, EmbedResult, GenerateEvent, GenerateRequest, SamplingChange } from '#contract/generate'
import type { Delivery, ModelLoad, ServedModel, ServedModelState } from '#contract/served-model'
import type { EngineOptions, EnginePlan } from '#engine/engine'
import { CountedEvents } from '#platform/registry/counted-events'
import type { LocalModel } from '#platform/registry/local-model'
import { OpenedEvents } from '#platform/registry/opened-events'
import type { ReplicaOptions } from '#platform/replicas/replica'
import type { ColdStart } from './cold-start.ts'
import { firstPieceTold } from './first-piece.ts'
import type { Lifecycle } from './lifecycle.ts'
import type { ModelRow } from './model-row.ts'
import type { SurveyLine } from './survey-line.ts'

export interface PooledModelTerms {
  readonly name: string
  readonly engine: EngineOptions
  readonly numReplicas: number
  /** Whose replica it is: its calls go to another one when its worker is lost. */
  readonly unit?: string
  /** awake: started at once and kept. on-demand: started by its first call. */
  readonly wanted: 'awake' | 'on-demand'
  readonly isPinned: boolean
  readonly idleTimeoutMs: number
  /** Its files are read before anybody calls it; of thousands of models they are not. */
  readonly isSurveyedAtStart: boolean
  /** How its workers are run. */
  readonly replicasOf: (engine: EngineOptions) => readonly ReplicaOptions[]
}

export interface PooledModelParts {
  readonly terms: PooledModelTerms
  readonly row: ModelRow
  readonly lifecycle: Lifecycle
  readonly surveys: SurveyLine
  readonly clock: Clock
  readonly onProblem: (model: string, problem: ErrorRecord) => void
}

/** The runtime and our code, beside what the engine's plan counts: measured 85 MiB resident before a model is loaded, 33 of them its own. */
export const PROCESS_BYTES = 96 * 2 ** 20
/** Strings and tables of the tokenizer and of grammars: measured 700 over 124,000 tokens. */
const VOCABULARY_BYTES_PER_TOKEN = 768
/** At the door, for files that are being read. */
const FILES_WAIT_MS = 10_000
/** Files that cannot be read are read again after this, when somebody calls. */
const FILES_REST_MS = 5_000

export class PooledModel implements ServedModel {
  readonly name: string
  readonly createdSeconds: number
  readonly terms: PooledModelTerms
  readonly row: ModelRow
  /** Its workers; written by the pool. null = there are none. */
  local: LocalModel | null = null
  coldStart: ColdStart | null = null
  /** Since when somebody wants it who has it not. */
  wokenMs: number | null = null
  private readonly parts: PooledModelParts
  private known: EnginePlan | null = null
  private surveying: Promise<EnginePlan> | null = null
  /** Why its files could not be read, and until when that is believed. */
  private unreadable: { readonly error: ErrorRecord; readonly untilMs: number } | null = null

  constructor(parts: PooledModelParts) {
    this.parts = parts
    this.terms = parts.terms
    this.row = parts.row
    this.name = parts.terms.name
    this.createdSeconds = Math.floor(parts.clock.wallMs() / 1000)
  }

  get state(): ServedModelState {
    const { known, local, row } = this
    if (known === null) return this.unknownState()
    const { facts } = known
    if (row.wanted === 'gone') return { kind: 'stopping' }
    if (row.phase === 'ready' || row.phase === 'draining') return { kind: 'ready', facts }
    const progress = local === null || row.phase !== 'starting' ? null : progressOf(local.served.state)
    if (row.wanted === 'on-demand') return { kind: 'asleep', facts, waking: progress, problem: row.problem }
    if (row.problem !== null) return { kind: 'failed', error: row.problem }
    return { kind: 'loading', ...(progress ?? { loadedBytes: 0, totalBytes: 0 }) }
  }

  /** What its workers were planned with. Throws when the files are not known. */
  get engine(): EngineOptions {
    const { known, terms } = this
    if (known === null) throw new InferdError('model_loading', `the files of model '${this.name}' are not known yet`)
    return { ...terms.engine, kvCacheBytes: known.memory.kvCacheBytes }
  }

  /** A model on demand is waited for until its files are known, one that is always on until it is ready. */
  async whileLoading(signal: AbortSignal): Promise<void> {
    if (this.known !== null && this.row.wanted !== 'awake') return
    const patience = new AbortController()
    const timer = this.parts.clock.sleep(FILES_WAIT_MS, patience.signal).then(
      () => patience.abort(new InferdError('model_loading', 'the model is still loading')),
      () => {},
    )
    try {
      const either = AbortSignal.any([signal, patience.signal])
      await this.survey(either, { isUrgent: true })
      if (this.row.wanted === 'awake' && this.row.phase !== 'ready') {
        await this.parts.lifecycle.enter(this.row, either)
        this.parts.lifecycle.leave(this.row)
      }
    } catch {
      signal.throwIfAborted()
    } finally {
      patience.abort()
      await timer
    }
  }

  generate(request: GenerateRequest, signal: AbortSignal, delivery?: Delivery): AsyncIterable<GenerateEvent> {
    const open = async (): Promise<AsyncIterator<GenerateEvent>> => {
      const { served, coldStart } = await this.enter(signal)
      const events = served.generate(request, signal, delivery)[Symbol.asyncIterator]()
      const told = coldStart === null ? events : firstPieceTold(events, () => coldStart.end('first_token', this.parts.clock.nowMs()))
      return new CountedEvents(told, () => this.parts.lifecycle.leave(this.row))
    }
    return new OpenedEvents({ open, isForgiven: () => false })
  }

  adjust(request: GenerateRequest, change: SamplingChange): boolean {
    return this.local?.served.adjust?.(request, change) ?? false
  }

  embed(request: EmbedRequest, signal: AbortSignal, onStart?: () => void): Promise<EmbedResult> {
    return this.within(signal, (served) => served.embed(request, signal, onStart))
  }

  countTokens(request: CountRequest, signal: AbortSignal): Promise<number> {
    return this.within(signal, (served) => served.countTokens(request, signal))
  }

  async probe(signal: AbortSignal): Promise<ModelLoad> {
    if (this.local === null) throw new InferdError('replica_lost', 'the model worker is not running')
    return this.local.served.probe(signal)
  }

  /** Reads the model's files once; from then on the memory it needs is known. Throws what the engine says of them. */
  async survey(signal: AbortSignal, { isUrgent }: { readonly isUrgent: boolean }): Promise<EnginePlan> {
    if (this.known !== null) return this.known
    const { unreadable } = this
    if (unreadable !== null && this.parts.clock.nowMs() < unreadable.untilMs) throw fromErrorRecord(unreadable.error)
    const asked = this.parts.surveys.plan(this.name, this.terms.engine, { isUrgent })
    this.surveying ??= asked.then(
      (plan) => this.adopt(plan),
      (error: unknown) => this.giveUp(error),
    )
    return unlessAborted(this.surveying, signal)
  }

  /** What is known already of the same files: of another replica's. From then on it can be started. */
  adopt(plan: EnginePlan): EnginePlan {
    const { weightsBytes, kvCacheBytes, activationBytes } = plan.memory
    this.known = plan
    this.unreadable = null
    this.surveying = null
    const processBytes = PROCESS_BYTES + plan.facts.vocabSize * VOCABULARY_BYTES_PER_TOKEN
    this.parts.lifecycle.setNeed(this.row, this.terms.numReplicas * (processBytes + weightsBytes + kvCacheBytes + activationBytes))
    return plan
  }

  private async within<T>(signal: AbortSignal, use: (served: ServedModel) => Promise<T>): Promise<T> {
    const { served } = await this.enter(signal)
    try {
      return await use(served)
    } finally {
      this.parts.lifecycle.leave(this.row)
    }
  }

  /** A place at a model that is ready; `coldStart` for a call that was held. */
  private async enter(signal: AbortSignal): Promise<{ readonly served: ServedModel; readonly coldStart: ColdStart | null }> {
    const { lifecycle, clock } = this.parts
    if (this.row.phase !== 'ready') this.wokenMs ??= clock.nowMs()
    if (this.known === null) await this.survey(signal, { isUrgent: true })
    const waiting = lifecycle.enter(this.row, signal)
    if (waiting !== null) await waiting
    if (this.local !== null) return { served: this.local.served, coldStart: waiting === null ? null : this.coldStart }
    lifecycle.leave(this.row)
    throw new InferdError('replica_lost', 'the model worker was lost')
  }

  /** A model that the operator named is missed when its files cannot be read; one of a folder only by its callers. */
  private unknownState(): ServedModelState {
    const problem = this.unreadable?.error ?? null
    if (!this.terms.isSurveyedAtStart) return { kind: 'asleep', facts: null, waking: null, problem }
    return problem === null ? { kind: 'loading', loadedBytes: 0, totalBytes: 0 } : { kind: 'failed', error: problem }
  }

  private giveUp(error: unknown): never {
    const record = toErrorRecord(error)
    this.surveying = null
    this.wokenMs = null
    this.unreadable = { error: record, untilMs: this.parts.clock.nowMs() + FILES_REST_MS }
    this.parts.onProblem(this.row.label, record)
    throw fromErrorRecord(record)
  }
}

function progressOf(state: ServedModelState): { readonly loadedBytes: number; readonly totalBytes: number } {
  return state.kind === 'loading' ? state : { loadedBytes: 0, totalBytes: 0 }
}

/** The work goes on for the others. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>()
  const onAbort = (): void => aborted.reject(signal.reason)
  if (signal.aborted) onAbort()
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([work, aborted.promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
