/** The models of this server by name: behind one worker, behind several, or elsewhere. */
import type { Clock } from '#base/clock'
import { InferdError } from '#contract/errors'
import type { CountRequest, EmbedRequest, EmbedResult, GenerateEvent, GenerateRequest, SamplingChange } from '#contract/generate'
import { Replica, type ReplicaOptions } from '#platform/replicas/replica'
import { OpenedEvents } from './opened-events.ts'
import { ReplicaSet } from './replica-set.ts'
import type { ModelDirectory, ModelLoad, ServedModel, ServedModelState } from './served-model.ts'

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
  private numHeld = 0

  /** `forgives`: whether a lost worker is waited for; a member of a set leaves that to the set. */
  constructor(name: string, options: ReplicaOptions, { forgives = true }: { readonly forgives?: boolean } = {}) {
    this.name = name
    this.forgives = forgives
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
      isForgiven: (error) => this.forgives && isReplicaLost(error),
    })
  }

  adjust(request: GenerateRequest, change: SamplingChange): boolean {
    return this.replica.adjust(request, change)
  }

  /** Forgiven once, as generate. */
  async embed(request: EmbedRequest, signal: AbortSignal): Promise<EmbedResult> {
    try {
      await this.whenReady(signal)
      return await this.replica.embed(request, signal)
    } catch (error) {
      if (!this.forgives || !isReplicaLost(error)) throw error
      await this.whenReady(signal)
      return this.replica.embed(request, signal)
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

/** A model of this machine with the workers behind it. */
export interface LocalModel {
  readonly served: ServedModel
  readonly members: readonly ReplicaModel[]
}

export class ModelRegistry implements ModelDirectory {
  private readonly models = new Map<string, LocalModel>()
  /** Models that have no worker here. */
  private readonly remote = new Map<string, ServedModel>()

  /** Registers the model and starts its worker. Throws InferdError('invalid_parameter') when the name is taken. */
  add(name: string, options: ReplicaOptions): ReplicaModel {
    return this.addReplicas(name, [options]).members[0]!
  }

  /** As add, with a worker for each of the options; one alone stands for itself, without a set around it. */
  addReplicas(name: string, options: readonly ReplicaOptions[]): LocalModel {
    const model = this.register(name, options)
    for (const member of model.members) member.replica.start()
    return model
  }

  /** Knows the model; its workers do not run before `start`. */
  register(name: string, options: readonly ReplicaOptions[]): LocalModel {
    this.checkFree(name)
    const members = options.map((one) => new ReplicaModel(name, one, { forgives: options.length === 1 }))
    const [only] = members
    const model = { served: members.length === 1 && only !== undefined ? only : new ReplicaSet(name, members), members }
    this.models.set(name, model)
    return model
  }

  /** Starts every worker that does not run yet. */
  start(): void {
    const members = this.listLocal().flatMap((model) => model.members)
    for (const { replica } of members) if (replica.state.kind === 'stopped') replica.start()
  }

  /** A model that is served elsewhere. Throws as add. */
  addRemote(model: ServedModel): void {
    this.checkFree(model.name)
    this.remote.set(model.name, model)
  }

  list(): readonly ServedModel[] {
    return [...[...this.models.values()].map(({ served }) => served), ...this.remote.values()]
  }

  /** With the workers behind them, for the operator. */
  listLocal(): readonly LocalModel[] {
    return [...this.models.values()]
  }

  find(name: string): ServedModel | null {
    return this.models.get(name)?.served ?? this.remote.get(name) ?? null
  }

  async stop(): Promise<void> {
    await Promise.all(this.listLocal().flatMap(({ members }) => members.map((member) => member.replica.stop())))
  }

  private checkFree(name: string): void {
    if (this.find(name) === null) return
    throw new InferdError('invalid_parameter', `two models have the name '${name}'; name them: --model NAME=PATH`)
  }
}
