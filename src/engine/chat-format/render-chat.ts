/**
 * Messages to the token ids of a prompt. The template's own text may hold special tokens; the messages may not: a user who writes
 * `<|im_end|>` gets the characters, not the token. Rendering notes which characters came from the messages, and the tokenizer
 * encodes the prompt as one text in which no special token may touch them: merges across the borders are those of the plain prompt.
 */
import type { ChatMessage } from '#contract/generate'
import type { Tokenizer } from '#engine/tokenizers/tokenizer'
import { endsOfText } from './ends-of-text.ts'
import type { ChatTemplate } from './chat-template.ts'

/** Per template and tokenizer: which user-defined tokens are turn syntax. */
const turnTokens = new WeakMap<ChatTemplate, { readonly tokenizer: Tokenizer; readonly ids: ReadonlySet<number> }>()

export interface RenderOptions {
  /** As for Tokenizer.encode. */
  readonly maxTokens?: number | null
}

/** Renders with the generation prompt added. Throws InferdError('invalid_parameter', param messages) like ChatTemplate.render. */
export function renderChat(template: ChatTemplate, tokenizer: Tokenizer, messages: readonly ChatMessage[], options: RenderOptions = {}): number[] {
  const rendered = template.renderRanged({
    messages,
    addGenerationPrompt: true,
    bosToken: tokenizer.bosTokenId === null ? '' : tokenizer.tokenText(tokenizer.bosTokenId),
    eosToken: tokenizer.eosTokenIds.length === 0 ? '' : tokenizer.tokenText(tokenizer.eosTokenIds[0]!),
  })
  const userDefinedTokenIds = userDefinedTokensOf(template, tokenizer)
  return tokenizer.encode(rendered.text, {
    parseSpecial: true,
    addSpecial: false,
    protectedText: { ranges: rendered.ranges, userDefinedTokenIds },
    maxTokens: options.maxTokens ?? null,
  })
}

/** User-defined tokens that are turn syntax: begin and end tokens, what looks like a role (`<|user|>`), what the template writes (`<tool_response>`). */
function userDefinedTokensOf(template: ChatTemplate, tokenizer: Tokenizer): ReadonlySet<number> {
  const known = turnTokens.get(template)
  if (known !== undefined && known.tokenizer === tokenizer) return known.ids
  const ids = new Set(endsOfText(tokenizer))
  for (let tokenId = 0; tokenId < tokenizer.vocabSize; tokenId += 1) {
    if (tokenizer.tokenKind(tokenId) !== 'user-defined') continue
    const text = tokenizer.tokenText(tokenId)
    // A template may build a role's token from parts: '<|' + role + '|>'.
    if (text.trim() !== '' && (template.source.includes(text) || /^<\|.*\|>$/s.test(text))) ids.add(tokenId)
  }
  turnTokens.set(template, { tokenizer, ids })
  return ids
}
