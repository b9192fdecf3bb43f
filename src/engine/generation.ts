/**
 * One running request above the engine core: its tokens become text, its text is searched for stop strings, and what may be sent
 * becomes neutral events.
 */
import { assert } from '#base/assert'
import type { InferdError } from '#contract/errors'
import { toErrorRecord } from '#contract/errors'
import type { FinishReason, GenerateEvent, GenerateRequest, SamplingChange, TokenUsage, Usage } from '#contract/generate'
import type { AnswerFormat } from '#engine/chat-format/answer-format'
import type { RequestHandle, TokenLogprobs, TokenSink } from '#engine/scheduler/token-request'
import type { Tokenizer } from '#engine/tokenizers/tokenizer'
import { type AnswerPart, ChoiceAnswer } from './choice-answer.ts'
import { ChoiceText, logprobsOf, type TextPart } from './choice-text.ts'
import type { TokenSpeller } from './token-speller.ts'

export interface GenerationParts {
  readonly request: GenerateRequest
  readonly tokenizer: Tokenizer
  readonly speller: TokenSpeller
  /** Tokens of the prompt that the caller wants kept in the prefix cache; 0 = the caller said nothing. */
  readonly cachePointTokens: number
  /** Text repeated at the head of each choice; '' when the request does not ask for it. */
  readonly echoText: string
  /** Null: answers are plain text. */
  readonly answerFormat: AnswerFormat | null
  /** Random letters and digits, for ids of calls. */
  readonly randomAlphanumerics: (length: number) => string
  readonly emit: (event: GenerateEvent) => void
  /** Called once when the request has ended after `abort`. */
  readonly onAborted?: (usage: Usage) => void
}

/** Of one choice that is read. */
interface CallCounts {
  numStarted: number
  numCompleted: number
}

export class Generation implements TokenSink {
  private readonly parts: GenerationParts
  private readonly choices: readonly ChoiceText[]
  /** By choice; null when answers are plain text. */
  private readonly answers: readonly ChoiceAnswer[] | null
  private readonly callCounts: readonly CallCounts[]
  private handle: RequestHandle | null = null
  private earlyChange: SamplingChange | null = null
  private readonly controller = new AbortController()

  constructor(parts: GenerationParts) {
    this.parts = parts
    const { answerFormat } = parts
    const markTexts = answerFormat?.markTexts ?? null
    this.choices = Array.from({ length: parts.request.numChoices }, () => new ChoiceText({ ...parts, markTexts }))
    this.answers = answerFormat === null ? null : this.choices.map((text) => new ChoiceAnswer(text, answerFormat))
    this.callCounts = this.choices.map(() => ({ numStarted: 0, numCompleted: 0 }))
  }

  /** Called once, right after submit; the core calls back only in later turns. */
  attach(handle: RequestHandle): void {
    this.handle = handle
    if (this.earlyChange !== null) handle.adjust(this.earlyChange)
  }

  get aborted(): AbortSignal {
    return this.controller.signal
  }

  /** Nothing is emitted any more; `onAborted` has the last word. */
  abort(): void {
    this.controller.abort()
    this.handle?.abort()
  }

  /** Samples otherwise from now on. Before the core has the request it is remembered. */
  adjust(change: SamplingChange): void {
    if (this.handle === null) this.earlyChange = { ...this.earlyChange, ...change }
    else this.handle.adjust(change)
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
    if (this.answers === null) this.emitText(choice, text.push(tokenId, logprobs))
    else for (const part of this.answers[choice]!.push(tokenId, logprobs)) this.emitPart(choice, part)
    if (text.matched !== null) this.handle?.finishChoice(choice)
  }

  onChoiceEnd(choice: number, reason: FinishReason, _stopTokenId: number | null): void {
    const text = this.choices[choice]!
    if (text.matched === null) {
      if (this.answers === null) this.emitText(choice, text.finish())
      else for (const part of this.answers[choice]!.finish(reason === 'length')) this.emitPart(choice, part)
    }
    const ended = text.matched === null ? reason : 'stop'
    const finishReason = ended === 'stop' && this.callCounts[choice]!.numCompleted > 0 ? 'tool-calls' : ended
    this.emit({ type: 'choice-end', choice, finishReason, stopString: text.matched })
  }

  /** Generation requests get no embedding. */
  onEmbedding(): void {}

  onEnd(usage: TokenUsage): void {
    this.tellAborted(usage)
    this.emit({ type: 'response-end', usage: this.wholeUsage(usage) })
  }

  onError(error: InferdError, usage: TokenUsage): void {
    this.tellAborted(usage)
    this.emit({ type: 'response-error', error: toErrorRecord(error), usage: this.wholeUsage(usage) })
  }

  private tellAborted(usage: TokenUsage): void {
    if (this.controller.signal.aborted) this.parts.onAborted?.(this.wholeUsage(usage))
  }

  private wholeUsage(usage: TokenUsage): Usage {
    const reasoningTokens = this.answers?.reduce((sum, answer) => sum + answer.numReasoningTokens, 0) ?? 0
    const cacheWriteTokens = Math.max(0, Math.min(this.parts.cachePointTokens, usage.promptTokens) - usage.cachedTokens)
    return { ...usage, cacheWriteTokens, reasoningTokens }
  }

  private emitText(choice: number, { text, tokens }: TextPart): void {
    const logprobs = logprobsOf(tokens)
    if (text !== '' || logprobs !== null) this.emit({ type: 'text-delta', choice, text, logprobs })
  }

  private emitPart(choice: number, part: AnswerPart): void {
    const counts = this.callCounts[choice]!
    const toolCall = counts.numStarted - 1
    switch (part.kind) {
      case 'text':
        return this.emit({ type: 'text-delta', choice, text: part.text, logprobs: part.logprobs })
      case 'reasoning':
        return this.emit({ type: 'reasoning-delta', choice, text: part.text, logprobs: part.logprobs })
      case 'call-start':
        counts.numStarted += 1
        return this.emit({ type: 'tool-call-start', choice, toolCall: toolCall + 1, id: this.callId(), name: part.name })
      case 'call-arguments':
        return this.emit({ type: 'tool-call-delta', choice, toolCall, argumentsText: part.text })
      case 'call-end':
        counts.numCompleted += 1
        return this.emit({ type: 'tool-call-end', choice, toolCall })
    }
  }

  private callId(): string {
    const syntax = this.parts.answerFormat?.syntax ?? null
    assert(syntax !== null, 'calls come of a syntax')
    return syntax.callIds.prefix + this.parts.randomAlphanumerics(syntax.callIds.length)
  }

  private emit(event: GenerateEvent): void {
    if (!this.controller.signal.aborted) this.parts.emit(event)
  }
}
