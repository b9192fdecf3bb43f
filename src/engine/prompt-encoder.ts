/** What a caller sent becomes the token ids that the model reads. Nothing is ever cut. */
import { InferdError } from '#contract/errors'
import { type GenerateRequest, type OutputOptions, PLAIN_OUTPUT, type PromptInput } from '#contract/generate'
import { type AnswerFormat, answerFormatOf } from '#engine/chat-format/answer-format'
import type { ChatTemplate } from '#engine/chat-format/chat-template'
import { endsOfText } from '#engine/chat-format/ends-of-text'
import { findReasoningFormat, type ReasoningFormat, thinksUnasked } from '#engine/chat-format/reasoning-format'
import { type RenderedChat, renderChat } from '#engine/chat-format/render-chat'
import { findToolSyntax } from '#engine/chat-format/tool-syntaxes/find-tool-syntax'
import type { ToolSyntax } from '#engine/chat-format/tool-syntaxes/tool-syntax'
import type { Tokenizer } from '#engine/tokenizers/tokenizer'

type MessagesInput = Extract<PromptInput, { readonly kind: 'messages' }>

export interface EncodedRequest {
  /** At least one token, all inside the vocabulary. */
  readonly tokenIds: readonly number[]
  /** Null: answers are plain text. */
  readonly answerFormat: AnswerFormat | null
  /** Tokens up to and with the last message that has a cache point; 0 = none has. */
  readonly cachePointTokens: number
}

export class PromptEncoder {
  /** How this model writes calls of tools; null = unknown, or its template shows no tools. */
  readonly toolSyntax: ToolSyntax | null
  /** Null: a model that does not think aloud. */
  readonly reasoningFormat: ReasoningFormat | null
  private readonly thinksUnasked: boolean
  private readonly tokenizer: Tokenizer
  private readonly chatTemplate: ChatTemplate | null
  private readonly contextLength: number
  /** No text of a caller becomes one of these, even where a model file calls them ordinary text. */
  private readonly endsOfText: ReadonlySet<number>

  /** contextLength: tokens. */
  constructor(parts: { readonly tokenizer: Tokenizer; readonly chatTemplate: ChatTemplate | null; readonly contextLength: number }) {
    this.tokenizer = parts.tokenizer
    this.chatTemplate = parts.chatTemplate
    this.contextLength = parts.contextLength
    this.endsOfText = new Set(endsOfText(parts.tokenizer))
    const { chatTemplate, tokenizer } = parts
    this.toolSyntax = chatTemplate?.mentions('tools') === true ? findToolSyntax(chatTemplate.source, tokenizer) : null
    this.reasoningFormat = chatTemplate === null ? null : findReasoningFormat(chatTemplate.source, tokenizer)
    this.thinksUnasked = chatTemplate !== null && this.reasoningFormat !== null && thinksUnasked(chatTemplate, this.reasoningFormat)
  }

  /** The prompt of a request and how its answers are to be read. Throws InferdError like `encode`, and for tools that this model cannot be given. */
  encodeRequest({ input, output }: Pick<GenerateRequest, 'input' | 'output'>): EncodedRequest {
    if (input.kind !== 'messages') {
      if (output.tools !== null) throw toolRefusal('a raw prompt has no place for tools')
      return { tokenIds: this.encode(input), answerFormat: null, cachePointTokens: 0 }
    }
    this.checkTools(output)
    const { tokenIds, endsInsideReasoning } = this.render(input, output)
    checkNotEmpty(tokenIds)
    const answerFormat = answerFormatOf({
      syntax: output.tools === null ? null : this.toolSyntax,
      readsCalls: output.tools !== null && output.tools.choice !== 'none',
      reasoning: this.reasoningFormat,
      startsInsideReasoning: endsInsideReasoning,
      mayOpenReasoning: output.reasoning.enabled ?? this.thinksUnasked,
      tokenizer: this.tokenizer,
    })
    return { tokenIds, answerFormat, cachePointTokens: this.countToCachePoint(input, output, tokenIds) }
  }

  /**
   * At least one token, all inside the vocabulary. Throws InferdError('invalid_parameter') otherwise, and 'context_length_exceeded' for a
   * prompt so long that encoding all of it would be a waste; the core refuses what is a little too long.
   */
  encode(input: PromptInput): readonly number[] {
    const tokenIds = this.tokenIdsOf(input)
    checkNotEmpty(tokenIds)
    return tokenIds
  }

  private checkTools({ tools }: OutputOptions): void {
    if (tools === null || this.chatTemplate === null || this.chatTemplate.problem !== null) return
    if (!this.chatTemplate.mentions('tools')) throw toolRefusal('the chat template of this model has no place for tools')
    if (this.toolSyntax === null && tools.choice !== 'none') throw toolRefusal('it is not known how this model writes calls of tools')
  }

  /** The prompt up to the cache point is what it shares with the prompt of the messages up to there. */
  private countToCachePoint(input: MessagesInput, output: OutputOptions, tokenIds: readonly number[]): number {
    const last = input.messages.findLastIndex((message) => message.cachePoint === true)
    if (last < 0) return 0
    if (last === input.messages.length - 1) return tokenIds.length
    const beginning = this.render({ ...input, messages: input.messages.slice(0, last + 1) }, output).tokenIds
    const firstOther = beginning.findIndex((tokenId, index) => tokenId !== tokenIds[index])
    return firstOther < 0 ? beginning.length : firstOther
  }

  private render(input: MessagesInput, { tools, reasoning }: OutputOptions): RenderedChat {
    if (this.chatTemplate === null) {
      throw new InferdError('invalid_parameter', 'this model has no chat template; send a prompt to the completions API instead', {
        param: 'messages',
      })
    }
    return renderChat(this.chatTemplate, this.tokenizer, input.messages, {
      tools: tools?.definitions ?? null,
      reasoning,
      ...(input.templateVariables === undefined ? {} : { templateVariables: input.templateVariables }),
      reasoningFormat: this.reasoningFormat,
      maxTokens: this.contextLength,
    })
  }

  private tokenIdsOf(input: PromptInput): readonly number[] {
    switch (input.kind) {
      case 'messages':
        return this.render(input, PLAIN_OUTPUT).tokenIds
      case 'text':
        return this.tokenizer.encode(input.text, {
          parseSpecial: false,
          addSpecial: true,
          protectedText: { ranges: [0, input.text.length], userDefinedTokenIds: this.endsOfText },
          maxTokens: this.contextLength,
        })
      case 'tokens':
        this.checkLength(input.tokenIds.length)
        this.checkTokenIds(input.tokenIds)
        return input.tokenIds
    }
  }

  private checkLength(numTokens: number): void {
    if (numTokens <= this.contextLength) return
    const message = `the context holds ${this.contextLength} tokens; the prompt has ${numTokens}`
    throw new InferdError('context_length_exceeded', message, { param: 'prompt' })
  }

  private checkTokenIds(tokenIds: readonly number[]): void {
    const { vocabSize } = this.tokenizer
    const index = tokenIds.findIndex((tokenId) => !(Number.isInteger(tokenId) && tokenId >= 0 && tokenId < vocabSize))
    if (index < 0) return
    throw new InferdError('invalid_parameter', `token id ${tokenIds[index]} at index ${index} is not in the vocabulary of ${vocabSize} tokens`, {
      param: 'prompt',
    })
  }
}

function checkNotEmpty(tokenIds: readonly number[]): void {
  if (tokenIds.length > 0) return
  throw new InferdError('invalid_parameter', 'the prompt is empty: the model needs at least one token', { param: 'prompt' })
}

function toolRefusal(message: string): InferdError {
  return new InferdError('invalid_parameter', message, { param: 'output.tools' })
}
