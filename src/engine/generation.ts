/**
 * One running request above the engine core: its tokens become text, its text is searched for stop strings, and what may be sent
 * becomes neutral events.
 */
import type { InferdError } from '#contract/errors'
import { toErrorRecord } from '#contract/errors'
import type { FinishReason, GenerateEvent, GenerateRequest, TokenUsage } from '#contract/generate'
import type { RequestHandle, TokenLogprobs, TokenSink } from '#engine/scheduler/token-request'
import type { Tokenizer } from '#engine/tokenizers/tokenizer'
import { ChoiceText, type TextPart } from './choice-text.ts'
import type { TokenSpeller } from './token-speller.ts'

export interface GenerationParts {
  readonly request: GenerateRequest
  readonly tokenizer: Tokenizer
  readonly speller: TokenSpeller
  /** Text repeated at the head of each choice; '' when the request does not ask for it. */
  readonly echoText: string
  readonly emit: (event: GenerateEvent) => void
}

export class Generation implements TokenSink {
  private readonly parts: GenerationParts
  private readonly choices: readonly ChoiceText[]
  private handle: RequestHandle | null = null
  private aborted = false

  constructor(parts: GenerationParts) {
    this.parts = parts
    this.choices = Array.from({ length: parts.request.numChoices }, () => new ChoiceText(parts))
  }

  /** Called once, right after submit; the core calls back only in later turns. */
  attach(handle: RequestHandle): void {
    this.handle = handle
  }

  /** Nothing is emitted any more. */
  abort(): void {
    this.aborted = true
    this.handle?.abort()
  }

  onStart(promptTokens: number, cachedTokens: number): void {
    this.emit({ type: 'response-start', promptTokens, cachedTokens })
    const { echoText } = this.parts
    if (echoText === '') return
    this.choices.forEach((_, choice) => this.emit({ type: 'text-delta', choice, text: echoText, logprobs: null }))
  }

  /** Hot: per token. Those computed after a stop string are dropped. */
  onToken(choice: number, tokenId: number, logprobs: TokenLogprobs | null): void {
    const text = this.choices[choice]!
    if (text.matched !== null) return
    this.emitPart(choice, text.push(tokenId, logprobs))
    if (text.matched !== null) this.handle?.finishChoice(choice)
  }

  onChoiceEnd(choice: number, reason: FinishReason, _stopTokenId: number | null): void {
    const text = this.choices[choice]!
    if (text.matched === null) this.emitPart(choice, text.finish())
    this.emit({ type: 'choice-end', choice, finishReason: text.matched === null ? reason : 'stop', stopString: text.matched })
  }

  /** Generation requests get no embedding. */
  onEmbedding(): void {}

  onEnd(usage: TokenUsage): void {
    this.emit({ type: 'response-end', usage: { ...usage, reasoningTokens: 0 } })
  }

  onError(error: InferdError, usage: TokenUsage): void {
    this.emit({ type: 'response-error', error: toErrorRecord(error), usage: { ...usage, reasoningTokens: 0 } })
  }

  private emitPart(choice: number, { text, logprobs }: TextPart): void {
    if (text !== '' || logprobs !== null) this.emit({ type: 'text-delta', choice, text, logprobs })
  }

  private emit(event: GenerateEvent): void {
    if (!this.aborted) this.parts.emit(event)
  }
}
