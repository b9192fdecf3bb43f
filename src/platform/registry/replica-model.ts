/** A model behind one worker: requests that meet it while it starts are held a while, and a worker that is lost early is forgiven once. */
import type { Clock } from '#base/clock'
import { InferdError } from '#contract/errors'
import type { CountRequest, EmbedRequest, EmbedResult, GenerateEvent, GenerateRequest, SamplingChange } from '#contract/generate'
import { Replica, type ReplicaOptions } from '#platform/replicas/replica'
import { OpenedEvents } from './opened-events.ts'
import type { ModelLoad, ServedModel, ServedModelState } from './served-model.ts'

/** A request that meets a model which starts or restarts is held this long, then told to come back. */
const START_WAIT_MS = 10_000
/** Requests held at the same time; one more is told to come back at once. */
const MAX_HELD_REQUESTS = 1024

export class ReplicaModel implements ServedModel {
  readonly name: string
  readonly createdSeconds: number
  readonly replica: Replica
  private readonly clock: Clock
  private readonly forgives: boolean
  private readonly waits: boolean
  private numHeld = 0

  /**
   * `forgives`: whether a lost worker is waited for; a member of a set leaves that to the set. `waits`: whether a call waits for a worker that
   * starts; not where that was done before, and somebody else can answer what comes too late.
   */
  constructor(
    name: string,
    options: ReplicaOptions,
    { forgives = true, waits = true }: { readonly forgives?: boolean; readonly waits?: boolean } = {},
  ) {
    this.name = name
    this.forgives = forgives
    this.waits = waits
    this.clock = options.clock
    this.createdSeconds = Math.floor(options.clock.wallMs() / 1000)
    this.replica = new Replica(options)
  }

  get state(): ServedModelState {
    const { state } = this.replica
    switch (state.kind) {
      case 'starting':
        return { kind: 'loading', loadedBytes: state.loadedBytes, totalBytes: state.totalBytes }
      case 'ending':
      case 'waiting':
        return { kind: 'loading', loadedBytes: 0, totalBytes: 0 }
      case 'ready':
        return { kind: 'ready', facts: state.facts }
      case 'failed':
        return { kind: 'failed', error: state.error }
      case 'stopping':
      case 'stopped':
        return { kind: 'stopping' }
    }
  }

  /** A worker that dies before the first event is forgiven once: nothing was sent, so the request runs again on the next worker. */
  generate(request: GenerateRequest, signal: AbortSignal): AsyncIterable<GenerateEvent> {
    return new OpenedEvents({
      open: async () => {
        if (this.state.kind !== 'ready') await this.whenReady(signal)
        return this.replica.generate(request, signal)
      },
      isForgiven: (error, numFailures) => this.forgives && numFailures === 1 && isReplicaLost(error),
    })
  }

  adjust(request: GenerateRequest, change: SamplingChange): boolean {
    return this.replica.adjust(request, change)
  }

  /** Forgiven once, as generate. */
  async embed(request: EmbedRequest, signal: AbortSignal, onStart?: () => void): Promise<EmbedResult> {
    try {
      await this.whenReady(signal)
      return await this.replica.embed(request, signal, onStart)
    } catch (error) {
      if (!this.forgives || !isReplicaLost(error)) throw error
      await this.whenReady(signal)
      return this.replica.embed(request, signal, onStart)
    }
  }

  async countTokens(request: CountRequest, signal: AbortSignal): Promise<number> {
    await this.whenReady(signal)
    return this.replica.countTokens(request, signal)
  }

  probe(signal: AbortSignal): Promise<ModelLoad> {
    return this.replica.probe(signal)
  }

  async whileLoading(signal: AbortSignal): Promise<void> {
    if (this.state.kind !== 'loading' || this.numHeld >= MAX_HELD_REQUESTS) return
    const patience = new AbortController()
    const timer = this.clock.sleep(START_WAIT_MS, patience.signal).then(
      () => patience.abort(),
      () => {},
    )
    this.numHeld++
    try {
      await this.replica.whenReady(AbortSignal.any([signal, patience.signal]))
    } catch {
      signal.throwIfAborted()
    } finally {
      this.numHeld--
      patience.abort()
      await timer
    }
  }

  /** Throws InferdError: the model is still loading, failed, or stops. */
  private async whenReady(signal: AbortSignal): Promise<void> {
    if (!this.waits) return
    await this.whileLoading(signal)
    const { state } = this
    switch (state.kind) {
      case 'ready':
        return
      case 'loading':
        throw new InferdError('model_loading', `model '${this.name}' is still loading`, { retryAfterMs: START_WAIT_MS })
      case 'failed':
        throw new InferdError('model_not_found', `model '${this.name}' could not be loaded; the server's log has the reason`)
      case 'stopping':
        throw new InferdError('shutting_down', 'the server is shutting down')
    }
  }
}

function isReplicaLost(error: unknown): boolean {
  return error instanceof InferdError && error.code === 'replica_lost'
}
