/** A request that the core has accepted: what its choices share. */
import { assert } from '#base/assert'
import { rootHash } from '#engine/kv-cache/block-hash'
import { needsTokenCounts, samplingParameters } from '#engine/sampling/sampling-parameters'
import { stopConditions } from '#engine/sampling/stop-conditions'
import { ChoiceGuide } from './choice-guide.ts'
import { Sequence } from './sequence.ts'
import type { SamplingChange, TokenUsage } from '#contract/generate'
import type { Lane } from '#contract/lane'
import type { BlockHash } from '#engine/kv-cache/block'
import type { BlockHasher } from '#engine/kv-cache/block-hash'
import type { SamplingParameters } from '#engine/sampling/sampling-parameters'
import type { StopConditions } from '#engine/sampling/stop-conditions'
import type { EmbedTokensRequest, GenerateTokensRequest, TokenSink } from './token-request.ts'

interface AcceptedRequest {
  readonly request: GenerateTokensRequest | EmbedTokensRequest
  readonly sink: TokenSink
  readonly arrivalIndex: number
  /** Steps that the core had run when the request came. */
  readonly arrivalStep: number
  /** Tokens that a sequence can ever hold: the context, or less when the KV cache is smaller. */
  readonly maxSequenceTokens: number
  readonly priorityAgingSteps: number
  readonly eosTokenIds: readonly number[]
  readonly hiddenSize: number
  readonly vocabSize: number
  readonly modelIdentity: string
  readonly hasher: BlockHasher
}

export class ActiveRequest {
  readonly kind: 'generate' | 'embed'
  readonly sink: TokenSink
  readonly promptTokenIds: Int32Array
  /**
   * Place in the order of all requests, lowest first: arrival step plus priority times priorityAgingSteps. It never changes, and
   * as newcomers arrive at ever later steps, only so many of them can pass a waiting request: ageing without re-sorting.
   */
  readonly orderKey: number
  /** Comes before the order key. */
  readonly lane: Lane
  readonly arrivalIndex: number
  readonly rootHash: BlockHash
  readonly hasher: BlockHasher
  /** Written by `adjust`. */
  parameters: SamplingParameters
  readonly stop: StopConditions
  /** Where a guide masked or forced the token: it allows end-of-sequence tokens only where the choice may end, so they are never ignored. */
  readonly guidedStop: StopConditions
  /** One per choice; only the first exists for the scheduler until the prompt is computed. */
  readonly sequences: readonly Sequence[]
  /** f64 (hiddenSize): sum of the hidden states so far; null for 'generate'. */
  readonly hiddenSum: Float64Array | null
  /** Choices that have not ended. */
  numOpenChoices: number
  /** The prompt is computed and every choice goes its own way. */
  hasForked: boolean
  /** Admitted at least once. */
  hasStarted = false
  /** A terminal event was made: nothing happens to the request any more. */
  hasEnded = false
  /** Its sink threw: nothing is delivered any more. */
  isMuted = false
  cachedTokens = 0
  completionTokens = 0

  constructor(accepted: AcceptedRequest) {
    const { request, sink } = accepted
    const generate = request.kind === 'generate' ? request : null
    this.kind = request.kind
    this.sink = sink
    this.promptTokenIds = Int32Array.from(request.promptTokenIds)
    this.orderKey = accepted.arrivalStep + request.priority * accepted.priorityAgingSteps
    this.lane = request.lane
    this.arrivalIndex = accepted.arrivalIndex
    this.rootHash = rootHash(accepted.modelIdentity, request.cacheSalt)
    this.hasher = accepted.hasher
    const stopTokenIds = generate?.stopTokenIds ?? []
    this.parameters = samplingParameters({
      sampling: generate?.sampling ?? GREEDY,
      numTopLogprobs: generate?.numTopLogprobs ?? null,
      minTokens: generate?.minTokens ?? 0,
      suppressedTokenIds: [...accepted.eosTokenIds, ...stopTokenIds],
    })
    const stopRequest = {
      eosTokenIds: accepted.eosTokenIds,
      stopTokenIds,
      ignoreEos: generate?.ignoreEos ?? false,
      maxTokens: generate?.maxTokens ?? null,
      maxContextTokens: Math.max(1, accepted.maxSequenceTokens - this.promptTokenIds.length),
    }
    this.stop = stopConditions(stopRequest)
    this.guidedStop = stopRequest.ignoreEos ? stopConditions({ ...stopRequest, ignoreEos: false }) : this.stop
    this.hiddenSum = request.kind === 'embed' ? new Float64Array(accepted.hiddenSize) : null
    const seed = generate?.sampling.seed ?? 0
    const numChoices = generate?.numChoices ?? 1
    const guides = generate?.guides ?? null
    assert(guides === null || guides.length === numChoices, 'each choice has a guide or none has')
    this.sequences = Array.from({ length: numChoices }, (_, choice) => {
      const guide = guides === null ? null : new ChoiceGuide(guides[choice]!, accepted.vocabSize)
      return new Sequence(this, { choice, seed: (seed + choice) >>> 0, guide })
    })
    this.numOpenChoices = numChoices
    this.hasForked = numChoices === 1
  }

  get hasPenalties(): boolean {
    return needsTokenCounts(this.parameters.options)
  }

  /** Penalties look at the prompt too. */
  get countsPromptTokens(): boolean {
    return this.parameters.options.repetitionPenalty !== 1
  }

  /** From the next token on that is sampled. */
  adjust(change: SamplingChange): void {
    this.parameters = { ...this.parameters, options: { ...this.parameters.options, ...change } }
  }

  usage(): TokenUsage {
    return { promptTokens: this.promptTokenIds.length, cachedTokens: this.cachedTokens, completionTokens: this.completionTokens }
  }
}

const GREEDY = {
  temperature: 0,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
  logitBias: [],
  seed: 0,
} as const
