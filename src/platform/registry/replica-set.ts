/** A model with several workers. The one owner of what each has to do, and of who was given which beginning of a prompt. */
import { InferdError } from '#contract/errors'
import type { CountRequest, EmbedRequest, EmbedResult, GenerateEvent, GenerateRequest, PromptInput, SamplingChange } from '#contract/generate'
import { assert } from '#base/assert'
import { CountedEvents } from './counted-events.ts'
import { chooseReplica, DEFAULT_AFFINITY, prefixChain, type AffinityPolicy } from './choose-replica.ts'
import { OpenedEvents } from './opened-events.ts'
import type { ModelLoad, ServedModel, ServedModelState } from './served-model.ts'

/** Beginnings whose owner is remembered; the one that was not used for longest goes first. */
const MAX_BEGINNINGS = 65_536
const CHARACTERS_PER_TOKEN = 4

/** Of one member; the set never starts or stops it. */
export type SetMember = ServedModel

export interface ReplicaSetStats {
  readonly outstandingTokens: readonly number[]
  readonly numSticky: number
  readonly numRendezvous: number
  readonly numSpills: number
}

/** Invariant: `outstanding[i]` is the sum over the calls that member `i` has now; 0 when it has none. */
export class ReplicaSet implements ServedModel {
  readonly name: string
  readonly createdSeconds: number
  private readonly members: readonly SetMember[]
  private readonly policy: AffinityPolicy
  private readonly outstanding: number[]
  /** In order of last use, oldest first. */
  private readonly owners = new Map<string, number>()
  private readonly numChoices = { sticky: 0, rendezvous: 0, spill: 0 }

  constructor(name: string, members: readonly SetMember[], policy: AffinityPolicy = DEFAULT_AFFINITY) {
    const [first] = members
    assert(first !== undefined, 'a replica set has a member')
    this.name = name
    this.createdSeconds = first.createdSeconds
    this.members = members
    this.policy = policy
    this.outstanding = members.map(() => 0)
  }

  /** Ready while one member is. */
  get state(): ServedModelState {
    const states = this.members.map(({ state }) => state)
    return states.find(({ kind }) => kind === 'ready') ?? states.find(({ kind }) => kind === 'loading') ?? states[0]!
  }

  get stats(): ReplicaSetStats {
    const { sticky, rendezvous, spill } = this.numChoices
    return { outstandingTokens: [...this.outstanding], numSticky: sticky, numRendezvous: rendezvous, numSpills: spill }
  }

  /** A member that is lost before the first event is forgiven once: another one answers. */
  generate(request: GenerateRequest, signal: AbortSignal): AsyncIterable<GenerateEvent> {
    return new OpenedEvents({ open: () => this.open(request, signal), isForgiven: isReplicaLost })
  }

  adjust(request: GenerateRequest, change: SamplingChange): boolean {
    return this.members.some((member) => member.adjust?.(request, change) ?? false)
  }

  /** Forgiven once, as generate. */
  async embed(request: EmbedRequest, signal: AbortSignal): Promise<EmbedResult> {
    try {
      return await this.embedOnce(request, signal)
    } catch (error) {
      if (!isReplicaLost(error)) throw error
      return this.embedOnce(request, signal)
    }
  }

  private async embedOnce(request: EmbedRequest, signal: AbortSignal): Promise<EmbedResult> {
    await this.whileLoading(signal)
    const tokens = request.inputs.reduce((sum, input) => sum + estimateTokens(input), 0)
    const index = this.choose([], tokens)
    try {
      return await this.members[index]!.embed(request, signal)
    } finally {
      this.release(index, tokens)
    }
  }

  async countTokens(request: CountRequest, signal: AbortSignal): Promise<number> {
    return this.members[Math.max(0, this.readyIndex())]!.countTokens(request, signal)
  }

  /** The sum over the members that are ready. */
  async probe(signal: AbortSignal): Promise<ModelLoad> {
    const ready = this.members.filter(({ state }) => state.kind === 'ready')
    const loads = await Promise.all(ready.map((member) => member.probe(signal)))
    const sum = (of: (load: ModelLoad) => number): number => loads.reduce((total, load) => total + of(load), 0)
    return {
      numRunning: sum(({ numRunning }) => numRunning),
      numWaiting: sum(({ numWaiting }) => numWaiting),
      numBlocks: sum(({ numBlocks }) => numBlocks),
      numFreeBlocks: sum(({ numFreeBlocks }) => numFreeBlocks),
    }
  }

  /** Until one member is ready, or none starts any more. */
  async whileLoading(signal: AbortSignal): Promise<void> {
    if (this.state.kind !== 'loading') return
    await Promise.race(this.members.filter(({ state }) => state.kind === 'loading').map((member) => member.whileLoading(signal)))
  }

  private async open(request: GenerateRequest, signal: AbortSignal): Promise<AsyncIterator<GenerateEvent>> {
    await this.whileLoading(signal)
    const tokens = estimateTokens(request.input)
    const index = this.choose(prefixChain(request.input, request.cacheSalt), tokens)
    return new CountedEvents(this.members[index]!.generate(request, signal)[Symbol.asyncIterator](), () => this.release(index, tokens))
  }

  /** A member that the tokens are now counted for. With none ready the first says why. */
  private choose(chain: readonly string[], tokens: number): number {
    const owners = chain.map((key) => this.owners.get(key) ?? null)
    const loads = this.members.map(({ state }, index) => ({ isReady: state.kind === 'ready', outstandingTokens: this.outstanding[index]! }))
    const policy = chain.length === 0 ? { spillTokens: 0 } : this.policy
    const choice = chooseReplica(loads, { chain, owners, policy })
    const index = choice?.index ?? 0
    if (choice !== null) this.numChoices[choice.reason]++
    if (choice !== null) for (const key of chain) this.remember(key, index)
    this.outstanding[index]! += tokens
    return index
  }

  private release(index: number, tokens: number): void {
    this.outstanding[index]! -= tokens
    assert(this.outstanding[index]! >= 0, 'a replica has a negative number of outstanding tokens')
  }

  private remember(key: string, index: number): void {
    this.owners.delete(key)
    this.owners.set(key, index)
    if (this.owners.size <= MAX_BEGINNINGS) return
    for (const oldest of this.owners.keys()) {
      this.owners.delete(oldest)
      return
    }
  }

  private readyIndex(): number {
    return this.members.findIndex(({ state }) => state.kind === 'ready')
  }
}

function estimateTokens(input: PromptInput): number {
  if (input.kind === 'tokens') return input.tokenIds.length + 1
  const characters = input.kind === 'text' ? input.text.length : input.messages.reduce((sum, { content }) => sum + content.length, 0)
  return Math.ceil(characters / CHARACTERS_PER_TOKEN) + 1
}

function isReplicaLost(error: unknown): boolean {
  return error instanceof InferdError && error.code === 'replica_lost'
}
