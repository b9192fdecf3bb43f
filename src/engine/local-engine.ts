/** The engine behind its door: text requests on top of the token-level core. */
import { randomAlphanumerics, randomSeed } from '#base/random'
import { InferdError } from '#contract/errors'
import type {
  CountRequest,
  EmbedRequest,
  EmbedResult,
  GenerateEvent,
  GenerateRequest,
  ModelFacts,
  PromptInput,
  TokenUsage,
  Usage,
} from '#contract/generate'
import { EmbeddingSink, type Embedding } from './embedding.ts'
import type { EngineCore } from './engine-core.ts'
import { promptLength, type Engine, type EngineStats, type RunningGeneration } from './engine.ts'
import { Generation } from './generation.ts'
import type { PromptEncoder } from './prompt-encoder.ts'
import type { LoadedGrammar } from './grammar/token-matcher.ts'
import type { ExecutorMemory } from './kernels/kernels.ts'
import type { EmbedTokensRequest, GenerateTokensRequest, RequestHandle } from './scheduler/token-request.ts'
import type { TokenGuide } from './scheduler/token-guide.ts'
import { startWithGrammar } from './start-with-grammar.ts'
import type { GrammarLibrary } from './structured-output/grammar-library.ts'
import { guidesOf } from './structured-output/guides.ts'
import { planOutput } from './structured-output/plan-output.ts'
import { TokenSpeller } from './token-speller.ts'
import { Detokenizer } from './tokenizers/detokenizer.ts'
import type { Tokenizer } from './tokenizers/tokenizer.ts'

const MAX_EMBEDDINGS_AT_ONCE = 16
/** UTF-16 units of text, or tokens: after so many, a list of inputs waits for the event loop to turn. */
const ENCODED_PER_TURN = 16_384

export interface LocalEngineParts {
  readonly facts: ModelFacts
  readonly core: EngineCore
  readonly tokenizer: Tokenizer
  readonly promptEncoder: PromptEncoder
  readonly memory: ExecutorMemory
  readonly grammars: GrammarLibrary
}

export class LocalEngine implements Engine {
  readonly facts: ModelFacts
  private readonly parts: LocalEngineParts
  private readonly speller: TokenSpeller

  constructor(parts: LocalEngineParts) {
    this.parts = parts
    this.facts = parts.facts
    this.speller = new TokenSpeller(parts.tokenizer)
  }

  start(request: GenerateRequest, sink: (event: GenerateEvent) => void, onAborted: (usage: Usage) => void = () => {}): RunningGeneration {
    const { tokenizer, promptEncoder, grammars } = this.parts
    const { tokenIds: promptTokenIds, answerFormat, cachePointTokens } = promptEncoder.encodeRequest(request)
    const plan = planOutput(request.output, answerFormat, tokenizer)
    const echoText = request.echo ? this.promptText(request.input, promptTokenIds) : ''
    const generation = new Generation({
      request,
      tokenizer,
      speller: this.speller,
      cachePointTokens,
      echoText,
      answerFormat,
      randomAlphanumerics,
      emit: sink,
      onAborted,
    })
    const stopTokenIds = [...request.stopTokenIds, ...(answerFormat?.stopTokenIds ?? [])]
    const submit = (grammar: LoadedGrammar | null): void => {
      const guides = guidesOf(plan, { grammar, tokenizer, numChoices: request.numChoices })
      generation.attach(this.parts.core.submit(toTokensRequest({ ...request, stopTokenIds }, promptTokenIds, guides), generation))
    }
    if (plan.spec === null) submit(null)
    else startWithGrammar({ generation, grammars, spec: plan.spec, tenant: request.cacheSalt, submit })
    return generation
  }

  /** A long list shares the queue with other requests: only a few of its texts stand in it at a time. */
  async embed(request: EmbedRequest, signal: AbortSignal): Promise<EmbedResult> {
    signal.throwIfAborted()
    const prompts: (readonly number[])[] = []
    let encodedLength = 0
    for (const [index, input] of request.inputs.entries()) {
      if (encodedLength > ENCODED_PER_TURN) {
        encodedLength = 0
        // Steps of other requests go on in between.
        await new Promise<void>((resolve) => setImmediate(resolve))
        signal.throwIfAborted()
      }
      prompts.push(atInput(index, () => this.parts.promptEncoder.encode(input)))
      encodedLength += promptLength(input)
    }
    const { priority, cacheSalt } = request
    const lane = request.lane ?? 'shared'
    const embeddings: Embedding[] = []
    const handles = new Set<RequestHandle>()
    let isStopped = false
    const stop = (): void => {
      isStopped = true
      for (const handle of handles) handle.abort()
    }
    const queue = prompts.entries()
    const work = async (): Promise<void> => {
      for (const [index, promptTokenIds] of queue) {
        if (isStopped) return
        embeddings[index] = await this.embedOne({ kind: 'embed', promptTokenIds, priority, lane, cacheSalt }, index, handles)
      }
    }
    signal.addEventListener('abort', stop, { once: true })
    try {
      await Promise.all(Array.from({ length: MAX_EMBEDDINGS_AT_ONCE }, work))
      signal.throwIfAborted()
    } finally {
      stop()
      signal.removeEventListener('abort', stop)
    }
    return { vectors: embeddings.map(({ vector }) => vector), usage: sumUsage(embeddings.map(({ usage }) => usage)) }
  }

  countTokens(request: CountRequest): number {
    return this.parts.promptEncoder.encodeRequest(request).tokenIds.length
  }

  probe(): Promise<void> {
    return this.parts.core.probe()
  }

  stats(): EngineStats {
    return { ...this.parts.core.stats(), ...this.parts.grammars.stats(), memory: this.parts.memory }
  }

  async close(): Promise<void> {
    await this.parts.grammars.close()
    await this.parts.core.close()
  }

  private async embedOne(request: EmbedTokensRequest, index: number, handles: Set<RequestHandle>): Promise<Embedding> {
    const sink = new EmbeddingSink()
    const handle = atInput(index, () => this.parts.core.submit(request, sink))
    handles.add(handle)
    try {
      return await sink.result
    } finally {
      handles.delete(handle)
    }
  }

  private promptText(input: PromptInput, promptTokenIds: readonly number[]): string {
    // The model reads U+FFFD for half a surrogate pair, and so does the caller.
    if (input.kind === 'text') return input.text.toWellFormed()
    const detokenizer = new Detokenizer(this.parts.tokenizer)
    return promptTokenIds.map((tokenId) => detokenizer.push(tokenId)).join('') + detokenizer.finish()
  }
}

/** How the core and the prompt encoder call what was given to the model. */
const INPUT_PLACES: readonly string[] = ['input', 'prompt', 'messages']

/** What is refused in `action` is refused for this input of a list. */
function atInput<T>(index: number, action: () => T): T {
  try {
    return action()
  } catch (error) {
    if (!(error instanceof InferdError) || !INPUT_PLACES.includes(error.param ?? '')) throw error
    throw new InferdError(error.code, error.message, { param: `input[${index}]`, cause: error })
  }
}

function toTokensRequest(request: GenerateRequest, promptTokenIds: readonly number[], guides: readonly TokenGuide[] | null): GenerateTokensRequest {
  const { numChoices, maxTokens, minTokens, stopTokenIds, ignoreEos, numTopLogprobs, priority, cacheSalt, sampling } = request
  const seed = sampling.seed ?? randomSeed()
  return {
    kind: 'generate',
    promptTokenIds,
    sampling: { ...sampling, seed },
    numChoices,
    maxTokens,
    minTokens,
    stopTokenIds,
    ignoreEos,
    numTopLogprobs,
    priority,
    lane: request.lane ?? 'shared',
    cacheSalt,
    guides,
  }
}

function sumUsage(usages: readonly TokenUsage[]): TokenUsage {
  return usages.reduce(
    (sum, usage) => ({
      promptTokens: sum.promptTokens + usage.promptTokens,
      cachedTokens: sum.cachedTokens + usage.cachedTokens,
      completionTokens: sum.completionTokens + usage.completionTokens,
    }),
    { promptTokens: 0, cachedTokens: 0, completionTokens: 0 },
  )
}
