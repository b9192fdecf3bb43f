/** The models of this server by name: behind one worker, behind several, or elsewhere. */
import { InferdError } from '#contract/errors'
import type { ReplicaOptions } from '#platform/replicas/replica'
import { makeLocalModel, type LocalModel } from './local-model.ts'
import type { ReplicaModel } from './replica-model.ts'
import type { ModelDirectory, ServedModel } from './served-model.ts'

/** How a model that is not of the registry's own workers is served. */
export interface ServedTerms {
  /** Workers of this machine that serve it when it is up, as many as it has now; null = it is elsewhere. */
  readonly numReplicas: () => number | null
  /** Choices that it is given at a time; null = as its replicas can. */
  readonly maxRunning: number | null
  /** False: reached by routes only, and seen by nobody. */
  readonly isListed: boolean
}

const ELSEWHERE: ServedTerms = { numReplicas: () => null, maxRunning: null, isListed: true }

interface OtherModel extends ServedTerms {
  readonly served: ServedModel
}

export class ModelRegistry implements ModelDirectory {
  private readonly models = new Map<string, LocalModel>()
  /** Models whose workers are another's, or elsewhere. */
  private readonly others = new Map<string, OtherModel>()

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
    this.requireFree(name)
    const model = makeLocalModel(name, options)
    this.models.set(name, model)
    return model
  }

  /** Starts every worker that does not run yet. */
  start(): void {
    const members = this.listLocal().flatMap((model) => model.members)
    for (const { replica } of members) if (replica.state.kind === 'stopped') replica.start()
  }

  /** A model that is served elsewhere (it has no replicas of ours), or whose workers come and go. Throws as add. */
  addServed(model: ServedModel, terms: ServedTerms = ELSEWHERE): void {
    this.requireFree(model.name)
    this.others.set(model.name, { ...terms, served: model })
  }

  /** Of `addServed`; calls that run are not touched. */
  removeServed(name: string): void {
    this.others.delete(name)
  }

  list(): readonly ServedModel[] {
    const listed = [...this.others.values()].filter(({ isListed }) => isListed)
    return [...[...this.models.values()].map(({ served }) => served), ...listed.map(({ served }) => served)]
  }

  /** With the workers behind them, for the operator. */
  listLocal(): readonly LocalModel[] {
    return [...this.models.values()]
  }

  find(name: string): ServedModel | null {
    return this.models.get(name)?.served ?? this.others.get(name)?.served ?? null
  }

  isHidden(name: string): boolean {
    return this.others.get(name)?.isListed === false
  }

  /** Choices that it can run at a time, with `perReplica` of each worker; null for a model elsewhere, or none. */
  maxRunningOf(name: string, perReplica: number): number | null {
    const other = this.others.get(name)
    const numReplicas = this.models.get(name)?.members.length ?? other?.numReplicas() ?? null
    return numReplicas === null ? null : Math.min(Math.max(1, numReplicas) * perReplica, other?.maxRunning ?? Infinity)
  }

  /** Choices that it may be given at a time by its own terms; null = as many as it can run. */
  boundOf(name: string): number | null {
    return this.others.get(name)?.maxRunning ?? null
  }

  async stop(): Promise<void> {
    await Promise.all(this.listLocal().flatMap(({ members }) => members.map((member) => member.replica.stop())))
  }

  /** Throws invalid_parameter when the name is taken. */
  requireFree(name: string): void {
    if (this.find(name) === null) return
    throw new InferdError('invalid_parameter', `two models have the name '${name}'; name them: --model NAME=PATH`)
  }
}
