/**
 * Messages to the token ids of a prompt. The template's own text may hold special tokens; the messages may not: a user who writes
 * `<|im_end|>` gets the characters, not the token. Rendering notes which characters came from the messages, and the tokenizer
 * encodes the prompt as one text in which no special token may touch them: merges across the borders are those of the plain prompt.
 */
import type { ChatMessage } from '#contract/generate'
import type { Tokenizer } from '#engine/tokenizers/tokenizer'
import { endsOfText } from './ends-of-text.ts'
import type { ChatTemplate, RenderInput } from './chat-template.ts'
import type { RangedText } from './printed-text.ts'
import type { ReasoningFormat } from './reasoning-format.ts'

/** Per template and tokenizer: which user-defined tokens are turn syntax. */
const turnTokens = new WeakMap<ChatTemplate, { readonly tokenizer: Tokenizer; readonly ids: ReadonlySet<number> }>()

export interface RenderOptions extends Pick<RenderInput, 'tools' | 'reasoning' | 'templateVariables'> {
  /** Null: the model does not think aloud. */
  readonly reasoningFormat?: ReasoningFormat | null
  /** As for Tokenizer.encode. */
  readonly maxTokens?: number | null
}

export interface RenderedChat {
  readonly tokenIds: number[]
  /** The template has opened the model's reasoning at the end of the prompt. */
  readonly endsInsideReasoning: boolean
}

/** Renders with the generation prompt added. Throws InferdError like ChatTemplate.render. */
export function renderChat(
  template: ChatTemplate,
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  options: RenderOptions = {},
): RenderedChat {
  const { reasoningFormat, maxTokens, ...shown } = options
  const rendered = template.renderRanged({
    ...shown,
    messages,
    addGenerationPrompt: true,
    bosToken: tokenizer.bosTokenId === null ? '' : tokenizer.tokenText(tokenizer.bosTokenId),
    eosToken: tokenizer.eosTokenIds.length === 0 ? '' : tokenizer.tokenText(tokenizer.eosTokenIds[0]!),
  })
  const userDefinedTokenIds = userDefinedTokensOf(template, tokenizer)
  const tokenIds = tokenizer.encode(rendered.text, {
    parseSpecial: true,
    addSpecial: false,
    protectedText: { ranges: rendered.ranges, userDefinedTokenIds },
    maxTokens: maxTokens ?? null,
  })
  return { tokenIds, endsInsideReasoning: opensReasoning(rendered, reasoningFormat ?? null) }
}

/** Whether the text ends with the opening mark, but for white space, and the template wrote it. */
function opensReasoning({ text, ranges }: RangedText, format: ReasoningFormat | null): boolean {
  if (format === null) return false
  const written = text.trimEnd()
  return written.endsWith(format.open) && written.length - format.open.length >= (ranges.at(-1) ?? 0)
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
