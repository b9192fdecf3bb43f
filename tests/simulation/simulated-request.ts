/** One request of a simulation with everything that is checked of it: order of events, tokens, usage, waiting time. */
import { assert } from '#base/assert'
import { EOS_TOKEN_ID, HIDDEN_SIZE, POISON_TOKEN_ID, VOCAB_SIZE } from './scenario.ts'
import { FakeGuide } from './fake-guide.ts'
import { expectedEmbedding, prefixHashes } from './oracle.ts'
import { ShadowChoice } from './shadow-choice.ts'
import type { InferdError } from '#contract/errors'
import type { FinishReason, TokenUsage } from '#contract/generate'
import type { RequestHandle, TokenLogprobs, TokenRequest, TokenSink } from '#engine/scheduler/token-request'

const MODEL = { vocabSize: VOCAB_SIZE, eosTokenIds: [EOS_TOKEN_ID] }

/** What the simulation wants to hear of a request. */
export interface RequestObserver {
  onStarted(request: SimulatedRequest): void
  onTerminated(request: SimulatedRequest): void
  /** Called in the middle of a delivery. */
  onDelivered(request: SimulatedRequest): void
}

interface SimulatedChoice {
  readonly tokenIds: readonly number[]
  readonly shadow: ShadowChoice
  hasEnded: boolean
  numStopTokens: number
}

export class SimulatedRequest implements TokenSink {
  readonly request: TokenRequest
  readonly contextTokens: number
  readonly observer: RequestObserver
  readonly choices: SimulatedChoice[]
  /** Its place in the order of all requests: lower starts first. */
  readonly order: { readonly orderKey: number; readonly arrivalIndex: number }
  /** Steps that the executor had begun when it came. */
  readonly arrivalEpoch: number
  readonly arrivalStep: number
  /** Requests that had started when it came. */
  readonly numStartsAtArrival: number
  handle: RequestHandle | null = null
  cachedTokens = 0
  numForcedTokens = 0
  /** Choices that their guide ended. */
  numCompleted = 0
  hasStarted = false
  hasEnded = false
  hasEmbedding = false
  /** Turn in which an abort was asked for. */
  abortTurn: number | null = null
  /** Choices that somebody asked to finish. */
  readonly finishAsked = new Set<number>()
  error: InferdError | null = null

  constructor(parts: {
    readonly request: TokenRequest
    readonly contextTokens: number
    readonly observer: RequestObserver
    readonly arrivalStep: number
    readonly arrivalEpoch: number
    readonly numStartsAtArrival: number
    readonly order: { readonly orderKey: number; readonly arrivalIndex: number }
  }) {
    this.request = parts.request
    this.contextTokens = parts.contextTokens
    this.observer = parts.observer
    this.arrivalStep = parts.arrivalStep
    this.order = parts.order
    this.numStartsAtArrival = parts.numStartsAtArrival
    this.arrivalEpoch = parts.arrivalEpoch
    const { request } = parts
    const numChoices = request.kind === 'generate' ? request.numChoices : 0
    this.choices = Array.from({ length: numChoices }, (_, choice) => {
      assert(request.kind === 'generate', 'only generation has choices')
      const shadow = new ShadowChoice({ request, choice, model: MODEL, maxOutputTokens: this.maxOutputTokens })
      return { shadow, tokenIds: shadow.tokenIds, hasEnded: false, numStopTokens: 0 }
    })
  }

  get maxOutputTokens(): number {
    assert(this.request.kind === 'generate', 'only generation has output tokens')
    return Math.min(this.request.maxTokens ?? Infinity, Math.max(1, this.contextTokens - this.request.promptTokenIds.length))
  }

  onStart(promptTokens: number, cachedTokens: number): void {
    assert(!this.hasStarted && !this.hasEnded, 'onStart comes once and first')
    assert(promptTokens === this.request.promptTokenIds.length, 'onStart has other prompt tokens')
    assert(cachedTokens < promptTokens && (this.request.kind === 'generate' || cachedTokens === 0), 'too much was cached')
    this.hasStarted = true
    this.cachedTokens = cachedTokens
    this.observer.onStarted(this)
  }

  onToken(choice: number, tokenId: number, logprobs: TokenLogprobs | null): void {
    const { request } = this
    assert(request.kind === 'generate', 'an embedding has no tokens')
    const simulated = this.openChoice(choice)
    const expected = simulated.shadow.next()
    assert(tokenId === expected.tokenId, `choice ${choice} got token ${tokenId} at ${simulated.tokenIds.length}, alone it gets ${expected.tokenId}`)
    assert(!expected.isStop, 'a stop token was delivered as text')
    this.numForcedTokens += expected.isForced ? 1 : 0
    assert((logprobs === null) === (request.numTopLogprobs === null), 'logprobs come when asked for')
    if (logprobs !== null) assert(logprobs.numTop === request.numTopLogprobs && logprobs.logprob === -0.25, 'logprobs of another row')
    simulated.shadow.take(expected)
    assert(simulated.tokenIds.length <= this.maxOutputTokens, 'more tokens than asked for')
    this.observer.onDelivered(this)
  }

  onChoiceEnd(choice: number, reason: FinishReason, stopTokenId: number | null): void {
    const { request } = this
    assert(request.kind === 'generate', 'an embedding has no choices')
    const simulated = this.openChoice(choice)
    simulated.hasEnded = true
    if (stopTokenId !== null) {
      simulated.numStopTokens = 1
      const expected = simulated.shadow.next()
      assert(reason === 'stop' && stopTokenId === expected.tokenId && expected.isStop, 'a choice ended on a token that does not stop it')
      assert(simulated.tokenIds.length >= request.minTokens || request.guides !== null, 'a choice ended before minTokens')
    } else if (reason === 'stop') {
      assert(this.finishAsked.has(choice) || simulated.shadow.isComplete, 'a choice ended for no reason')
      this.numCompleted += simulated.shadow.isComplete ? 1 : 0
    } else {
      assert(!simulated.shadow.isComplete, 'a complete text ended by its length')
      assert(simulated.tokenIds.length === this.maxOutputTokens, 'a choice ended by a length that it has not got')
    }
  }

  onEmbedding(mean: Float64Array): void {
    assert(this.request.kind === 'embed' && this.hasStarted && !this.hasEmbedding && !this.hasEnded, 'an embedding out of order')
    this.hasEmbedding = true
    const expected = expectedEmbedding(this.request.promptTokenIds, HIDDEN_SIZE)
    assert(
      expected.every((value, column) => value === mean[column]),
      'an embedding is not the mean of its tokens',
    )
  }

  onEnd(usage: TokenUsage): void {
    assert(this.hasStarted, 'onEnd follows onStart')
    this.terminate(usage)
    if (this.request.kind === 'embed') assert(this.hasEmbedding, 'an embedding request ended without its vector')
    assert(
      this.choices.every((choice) => choice.hasEnded),
      'a request ended before its choices',
    )
  }

  onError(error: InferdError, usage: TokenUsage): void {
    this.error = error
    this.terminate(usage)
    if (error.code === 'cancelled') assert(this.abortTurn !== null, 'nobody cancelled this request')
    if (error.code === 'non_finite_logits') {
      const hasPoison = this.choices.some((choice) => choice.tokenIds.at(-1) === POISON_TOKEN_ID)
      assert(hasPoison, 'a request failed that had finite logits')
    }
    const hasFault = this.request.kind === 'generate' && this.request.guides?.some((guide) => guide instanceof FakeGuide && guide.hasFault) === true
    if (error.code === 'internal') assert(hasFault && error.message === 'the output could not be guided', 'a guide failed that is sound')
    if (error.code === 'invalid_parameter') {
      const isStuck = this.choices.some((choice) => !choice.hasEnded && choice.shadow.isStuck)
      assert(hasFault || isStuck, 'a request had a token left and was told that it has none')
    }
  }

  /** Hashes of every prefix of everything that it has computed or may have computed. */
  contentHashes(): number[] {
    const prompt = Array.from(this.request.promptTokenIds)
    return this.choices.length === 0 ? prefixHashes(prompt) : this.choices.flatMap((choice) => prefixHashes([...prompt, ...choice.tokenIds]))
  }

  private openChoice(choice: number): SimulatedChoice {
    const simulated = this.choices[choice]
    assert(simulated !== undefined && !simulated.hasEnded, 'events come for open choices')
    assert(this.hasStarted && !this.hasEnded, 'events come between start and end')
    return simulated
  }

  private terminate(usage: TokenUsage): void {
    assert(!this.hasEnded, 'a request ends once')
    this.hasEnded = true
    let completionTokens = 0
    for (const choice of this.choices) completionTokens += choice.tokenIds.length + choice.numStopTokens
    // A broken core may have admitted a request in the step that it lost.
    if (this.error?.code !== 'replica_lost') assert(usage.cachedTokens === this.cachedTokens, 'usage has other cached tokens than onStart')
    assert(usage.completionTokens === completionTokens, 'usage counts other tokens than were delivered')
    assert(usage.promptTokens === this.request.promptTokenIds.length, 'usage has another prompt')
    this.observer.onTerminated(this)
  }
}
