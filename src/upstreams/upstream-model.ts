/** A model that a remote server computes: called like any other. */
import { InferdError } from '#contract/errors'
import type { CountRequest, EmbedRequest, EmbedResult, GenerateEvent, GenerateRequest, ModelFacts } from '#contract/generate'
import type { Delivery, ModelLoad, ServedModel, ServedModelState } from '#contract/served-model'
import { type AnswerSource, UpstreamAnswer } from './upstream-answer.ts'
import type { UpstreamClient } from './upstream-client.ts'
import type { UpstreamDialect } from './upstream-dialect.ts'
import { notOffered } from './upstream-error.ts'

export interface UpstreamModelOptions {
  readonly name: string
  readonly createdSeconds: number
  /** As the operator says: nobody else knows them all. */
  readonly facts: ModelFacts
  readonly dialect: UpstreamDialect
  readonly client: UpstreamClient
  /** Where the server cannot count: refuse, or say how many tokens such a text has in general. */
  readonly countTokens: 'refuse' | 'estimate'
  readonly maxConcurrentCalls: number
  /** Whether a caller's wish for a whole answer is passed on, or streams are asked for always. */
  readonly answers: 'as-asked' | 'stream'
}

const CHARACTERS_PER_TOKEN = 4
const BUSY_RETRY_AFTER_MS = 1000

/** Invariant: 0 <= numRunning <= maxConcurrentCalls. */
export class UpstreamModel implements ServedModel {
  readonly name: string
  readonly createdSeconds: number
  readonly state: ServedModelState
  private readonly options: UpstreamModelOptions
  private numRunning = 0

  constructor(options: UpstreamModelOptions) {
    this.options = options
    this.name = options.name
    this.createdSeconds = options.createdSeconds
    this.state = { kind: 'ready', facts: options.facts }
  }

  /** Never loads. */
  async whileLoading(): Promise<void> {}

  generate(request: GenerateRequest, signal: AbortSignal, asked: Delivery = 'stream'): AsyncIterable<GenerateEvent> {
    const begin = (): AnswerSource => {
      const { dialect, client, answers } = this.options
      const delivery = answers === 'stream' ? 'stream' : asked
      const post = dialect.encodeGenerate(request, delivery)
      const decoder = dialect.decoder(request, delivery)
      this.enter()
      return { decoder, pieces: client.post(this.name, post, signal, delivery), onEnd: () => this.numRunning-- }
    }
    return new UpstreamAnswer(begin, signal)
  }

  async embed(request: EmbedRequest, signal: AbortSignal, onStart?: () => void): Promise<EmbedResult> {
    const { dialect, client } = this.options
    const post = dialect.encodeEmbed(request)
    this.enter()
    onStart?.()
    try {
      return dialect.decodeEmbed(await client.postWhole(this.name, post, signal), request.inputs.length)
    } finally {
      this.numRunning--
    }
  }

  async countTokens(request: CountRequest, signal: AbortSignal): Promise<number> {
    const { dialect, client, countTokens } = this.options
    const post = dialect.encodeCount(request)
    if (post !== null) return dialect.decodeCount(await client.postWhole(this.name, post, signal))
    if (countTokens === 'refuse') throw notOffered('model', this.name)
    return estimateTokens(request)
  }

  async probe(): Promise<ModelLoad> {
    return { numRunning: this.numRunning, numWaiting: 0, numBlocks: 0, numFreeBlocks: 0 }
  }

  private enter(): void {
    if (this.numRunning >= this.options.maxConcurrentCalls)
      throw new InferdError('overloaded', `the model '${this.name}' has as many calls as it may`, { retryAfterMs: BUSY_RETRY_AFTER_MS })
    this.numRunning++
  }
}

function estimateTokens({ input, output }: CountRequest): number {
  if (input.kind === 'tokens') return input.tokenIds.length
  const tools = output.tools === null ? '' : JSON.stringify(output.tools.definitions)
  const text = input.kind === 'text' ? input.text : JSON.stringify(input.messages)
  return Math.ceil((text.length + tools.length) / CHARACTERS_PER_TOKEN)
}
