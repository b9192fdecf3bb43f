/** What a caller sent becomes the token ids that the model reads. Nothing is ever cut. */
import { InferdError } from '#contract/errors'
import type { PromptInput } from '#contract/generate'
import type { ChatTemplate } from '#engine/chat-format/chat-template'
import { endsOfText } from '#engine/chat-format/ends-of-text'
import { renderChat } from '#engine/chat-format/render-chat'
import type { Tokenizer } from '#engine/tokenizers/tokenizer'

export class PromptEncoder {
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
  }

  /**
   * At least one token, all inside the vocabulary. Throws InferdError('invalid_parameter') otherwise, and 'context_length_exceeded' for a
   * prompt so long that encoding all of it would be a waste; the core refuses what is a little too long.
   */
  encode(input: PromptInput): readonly number[] {
    const tokenIds = this.tokenIdsOf(input)
    if (tokenIds.length === 0)
      throw new InferdError('invalid_parameter', 'the prompt is empty: the model needs at least one token', { param: 'prompt' })
    return tokenIds
  }

  private tokenIdsOf(input: PromptInput): readonly number[] {
    switch (input.kind) {
      case 'messages':
        if (this.chatTemplate === null) {
          throw new InferdError('invalid_parameter', 'this model has no chat template; send a prompt to the completions API instead', {
            param: 'messages',
          })
        }
        return renderChat(this.chatTemplate, this.tokenizer, input.messages, { maxTokens: this.contextLength })
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
