/** A sink that keeps what it was told and insists on the order that TokenSink promises. */
import { assert } from '#base/assert'
import type { InferdError } from '#contract/errors'
import type { FinishReason, TokenUsage } from '#contract/generate'
import type { SeededSampling, GenerateTokensRequest, TokenLogprobs, TokenSink } from '#engine/scheduler/token-request'

export interface RecordedChoice {
  readonly tokenIds: number[]
  readonly logprobs: { readonly logprob: number; readonly topTokenIds: readonly number[] }[]
  end: { readonly reason: FinishReason; readonly stopTokenId: number | null } | null
}

export class RecordedSink implements TokenSink {
  readonly choices: RecordedChoice[]
  start: { readonly promptTokens: number; readonly cachedTokens: number } | null = null
  embedding: Float64Array | null = null
  usage: TokenUsage | null = null
  error: InferdError | null = null
  /** Resolves with the terminal call. */
  readonly ended: Promise<void>
  private markEnded: () => void = () => undefined

  constructor(numChoices: number) {
    this.choices = Array.from({ length: numChoices }, () => ({ tokenIds: [], logprobs: [], end: null }))
    this.ended = new Promise((resolve) => {
      this.markEnded = resolve
    })
  }

  onStart(promptTokens: number, cachedTokens: number): void {
    assert(this.start === null && this.usage === null, 'onStart comes once and first')
    this.start = { promptTokens, cachedTokens }
  }

  onToken(choice: number, tokenId: number, logprobs: TokenLogprobs | null): void {
    const recorded = this.openChoice(choice)
    recorded.tokenIds.push(tokenId)
    if (logprobs !== null) recorded.logprobs.push({ logprob: logprobs.logprob, topTokenIds: [...logprobs.topTokenIds.subarray(0, logprobs.numTop)] })
  }

  onChoiceEnd(choice: number, reason: FinishReason, stopTokenId: number | null): void {
    this.openChoice(choice).end = { reason, stopTokenId }
  }

  onEmbedding(mean: Float64Array): void {
    assert(this.start !== null && this.usage === null && this.embedding === null, 'onEmbedding comes once, between start and end')
    this.embedding = mean
  }

  onEnd(usage: TokenUsage): void {
    assert(this.start !== null, 'onEnd follows onStart')
    this.terminate(usage)
    for (const choice of this.choices) assert(choice.end !== null || this.embedding !== null, 'a request ends after its choices')
  }

  onError(error: InferdError, usage: TokenUsage): void {
    this.terminate(usage)
    this.error = error
  }

  private openChoice(choice: number): RecordedChoice {
    const recorded = this.choices[choice]
    assert(recorded !== undefined && recorded.end === null, 'events come for open choices')
    assert(this.start !== null && this.usage === null, 'events come between start and end')
    return recorded
  }

  private terminate(usage: TokenUsage): void {
    assert(this.usage === null, 'a request ends once')
    this.usage = usage
    this.markEnded()
  }
}

export const GREEDY: SeededSampling = {
  temperature: 0,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
  logitBias: [],
  seed: 0,
}

/** A greedy request for one choice, with what differs. */
export function generateRequest(promptTokenIds: readonly number[], different: Partial<GenerateTokensRequest> = {}): GenerateTokensRequest {
  return {
    kind: 'generate',
    promptTokenIds,
    sampling: GREEDY,
    numChoices: 1,
    maxTokens: 8,
    minTokens: 0,
    stopTokenIds: [],
    ignoreEos: false,
    numTopLogprobs: null,
    priority: 0,
    lane: 'shared',
    cacheSalt: '',
    guides: null,
    ...different,
  }
}
