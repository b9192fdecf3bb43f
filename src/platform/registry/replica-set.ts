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
/** Who is asked when nobody is ready, in this order. */
const WAITED_FOR = ['loading', 'asleep', 'failed'] as const

/** Invariant: `outstanding` is the sum over the calls that it has now; 0 when it has none. */
interface Member {
  /** Never given twice. */
  readonly id: number
  /** The set never starts or stops it. */
  readonly served: ServedModel
  outstanding: number
}

/** What one call has had. */
interface Tries {
  /** That was asked last. */
  member: Member | null
  numLost: number
}

export interface ReplicaSetStats {
  readonly outstandingTokens: readonly number[]
  readonly numSticky: number
  readonly numRendezvous: number
  readonly numSpills: number
}

/** Members come and go: one that is removed is given nothing new and keeps what it has. */
export class ReplicaSet implements ServedModel {
  readonly name: string
  readonly createdSeconds: number
  private members: readonly Member[] = []
  private readonly policy: AffinityPolicy
  private nextId = 0
  /** Ids of members. In order of last use, oldest first. */
  private readonly owners = new Map<string, number>()
  private readonly numChoices = { sticky: 0, rendezvous: 0, spill: 0 }

  constructor(name: string, members: readonly ServedModel[], policy: AffinityPolicy = DEFAULT_AFFINITY) {
    const [first] = members
    assert(first !== undefined, 'a replica set has a member')
    this.name = name
    this.createdSeconds = first.createdSeconds
    this.policy = policy
    for (const member of members) this.add(member)
  }

  add(served: ServedModel): void {
    this.members = [...this.members, { id: this.nextId++, served, outstanding: 0 }]
  }

  /** The last member stays. */
  remove(served: ServedModel): void {
    assert(this.members.length > 1, 'a replica set has a member')
    this.members = this.members.filter((member) => member.served !== served)
  }

  /** Ready while one member is. */
  get state(): ServedModelState {
    const states = this.members.map(({ served }) => served.state)
    return states.find(({ kind }) => kind === 'ready') ?? states.find(({ kind }) => kind === 'loading') ?? states[0]!
  }

  get stats(): ReplicaSetStats {
    const { sticky, rendezvous, spill } = this.numChoices
    return { outstandingTokens: this.members.map(({ outstanding }) => outstanding), numSticky: sticky, numRendezvous: rendezvous, numSpills: spill }
  }

  /** A member that is lost before the first event is forgiven once, one that has left the set always: another one answers. */
  generate(request: GenerateRequest, signal: AbortSignal): AsyncIterable<GenerateEvent> {
    const tries: Tries = { member: null, numLost: 0 }
    return new OpenedEvents({ open: () => this.open(request, signal, tries), isForgiven: (error) => this.forgives(error, tries) })
  }

  adjust(request: GenerateRequest, change: SamplingChange): boolean {
    return this.members.some(({ served }) => served.adjust?.(request, change) ?? false)
  }

  /** Forgiven as generate. */
  async embed(request: EmbedRequest, signal: AbortSignal, onStart?: () => void): Promise<EmbedResult> {
    const tries: Tries = { member: null, numLost: 0 }
    for (;;) {
      try {
        return await this.embedOnce({ request, signal, onStart }, tries)
      } catch (error) {
        if (!this.forgives(error, tries)) throw error
      }
    }
  }

  private async embedOnce(
    { request, signal, onStart }: { readonly request: EmbedRequest; readonly signal: AbortSignal; readonly onStart: (() => void) | undefined },
    tries: Tries,
  ): Promise<EmbedResult> {
    await this.whileLoading(signal)
    const tokens = request.inputs.reduce((sum, input) => sum + estimateTokens(input), 0)
    const member = this.choose([], tokens)
    tries.member = member
    try {
      return await member.served.embed(request, signal, onStart)
    } finally {
      release(member, tokens)
    }
  }

  async countTokens(request: CountRequest, signal: AbortSignal): Promise<number> {
    const ready = this.members.find(({ served }) => served.state.kind === 'ready') ?? this.members[0]!
    return ready.served.countTokens(request, signal)
  }

  /** The sum over the members that are ready. */
  async probe(signal: AbortSignal): Promise<ModelLoad> {
    const ready = this.members.filter(({ served }) => served.state.kind === 'ready')
    const loads = await Promise.all(ready.map(({ served }) => served.probe(signal)))
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
    const over = new AbortController()
    const either = AbortSignal.any([signal, over.signal])
    const loading = this.members.filter(({ served }) => served.state.kind === 'loading')
    try {
      await Promise.race(loading.map(({ served }) => served.whileLoading(either)))
    } finally {
      over.abort()
    }
  }

  private async open(request: GenerateRequest, signal: AbortSignal, tries: Tries): Promise<AsyncIterator<GenerateEvent>> {
    await this.whileLoading(signal)
    const tokens = estimateTokens(request.input)
    const member = this.choose(prefixChain(request.input, request.cacheSalt), tokens)
    tries.member = member
    return new CountedEvents(member.served.generate(request, signal)[Symbol.asyncIterator](), () => release(member, tokens))
  }

  /** A member that the tokens are now counted for. */
  private choose(chain: readonly string[], tokens: number): Member {
    const owners = chain.map((key) => this.indexOf(this.owners.get(key)))
    const loads = this.members.map(({ id, served, outstanding }) => ({ id, isReady: served.state.kind === 'ready', outstandingTokens: outstanding }))
    const policy = chain.length === 0 ? { spillTokens: 0 } : this.policy
    const choice = chooseReplica(loads, { chain, owners, policy })
    const member = choice === null ? this.likeliest() : this.members[choice.index]!
    if (choice !== null) this.numChoices[choice.reason]++
    if (choice !== null) for (const key of chain) this.remember(key, member.id)
    member.outstanding += tokens
    return member
  }

  /** With none ready: one that may get ready and holds its calls until then, else one that says why it cannot. */
  private likeliest(): Member {
    const hopes = WAITED_FOR.map((kind) => this.members.find(({ served }) => served.state.kind === kind))
    return hopes.find((member) => member !== undefined) ?? this.members[0]!
  }

  /** Comes to an end: a process is lost once, and a member leaves once. */
  private forgives(error: unknown, tries: Tries): boolean {
    if (!(error instanceof InferdError) || tries.member === null) return false
    if (!this.members.includes(tries.member)) return error.code === 'replica_lost' || error.code === 'model_not_found'
    return error.code === 'replica_lost' && tries.numLost++ === 0
  }

  private indexOf(id: number | undefined): number | null {
    const index = this.members.findIndex((member) => member.id === id)
    return index < 0 ? null : index
  }

  private remember(key: string, id: number): void {
    this.owners.delete(key)
    this.owners.set(key, id)
    if (this.owners.size <= MAX_BEGINNINGS) return
    for (const oldest of this.owners.keys()) {
      this.owners.delete(oldest)
      return
    }
  }
}

function release(member: Member, tokens: number): void {
  member.outstanding -= tokens
  assert(member.outstanding >= 0, 'a replica has a negative number of outstanding tokens')
}

function estimateTokens(input: PromptInput): number {
  if (input.kind === 'tokens') return input.tokenIds.length + 1
  const characters = input.kind === 'text' ? input.text.length : input.messages.reduce((sum, { content }) => sum + content.length, 0)
  return Math.ceil(characters / CHARACTERS_PER_TOKEN) + 1
}
