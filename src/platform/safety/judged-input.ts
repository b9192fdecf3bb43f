/**
 * What of a request is judged, and the request with it replaced. All that users and tools say is: earlier turns too, because the model
 * reads them again. The operator's or developer's own words, system messages, are not, and neither is what the model said before.
 */
import { InferdError } from '#contract/errors'
import type { ChatMessage, EmbedRequest, GenerateRequest, PromptInput } from '#contract/generate'
import type { GuardContent } from '#contract/guardrail'
import type { JudgedText } from './evaluate.ts'

export interface JudgedInput<Request> {
  readonly texts: readonly JudgedText[]
  /** `shown`: one for each text. */
  withTexts(shown: readonly string[]): Request
}

/** `content`: only these parts are judged; null = all. Throws unsupported_parameter for a prompt of token ids: nobody can read it. */
export function judgedInput(request: GenerateRequest, content: readonly GuardContent[] | null): JudgedInput<GenerateRequest> {
  const { input } = request
  const parts = content === null ? promptTexts(input) : guardedTexts(content)
  return {
    texts: parts,
    withTexts: (shown) => ({ ...request, input: content === null ? replaceTexts(input, shown) : replaceParts(input, parts, shown) }),
  }
}

export function judgedEmbedInput(request: EmbedRequest): JudgedInput<EmbedRequest> {
  const texts = request.inputs.map(promptTexts)
  return {
    texts: texts.flat(),
    withTexts: (shown) => {
      let at = 0
      const inputs = request.inputs.map((input, index) => replaceTexts(input, shown.slice(at, (at += texts[index]!.length))))
      return { ...request, inputs }
    },
  }
}

function promptTexts(input: PromptInput): readonly JudgedText[] {
  if (input.kind === 'tokens')
    throw new InferdError('unsupported_parameter', 'token ids cannot be judged by a guardrail: send text', { param: 'input' })
  if (input.kind === 'text') return [{ text: input.text, isMeaningJudged: true }]
  const lastAnswer = input.messages.findLastIndex(({ role }) => role === 'assistant')
  return input.messages.flatMap((message, index) => (isJudged(message) ? [{ text: message.content, isMeaningJudged: index > lastAnswer }] : []))
}

function guardedTexts(content: readonly GuardContent[]): readonly JudgedText[] {
  return content
    .filter(({ qualifiers }) => qualifiers.length === 0 || qualifiers.includes('guard_content'))
    .map(({ text }) => ({ text, isMeaningJudged: true }))
}

function replaceTexts(input: PromptInput, shown: readonly string[]): PromptInput {
  if (input.kind === 'tokens') return input
  if (input.kind === 'text') return { ...input, text: shown[0]! }
  let next = 0
  return { ...input, messages: input.messages.map((message) => (isJudged(message) ? { ...message, content: shown[next++]! } : message)) }
}

/** Parts are pieces of the messages' texts: they are found there again. */
function replaceParts(input: PromptInput, parts: readonly JudgedText[], shown: readonly string[]): PromptInput {
  const changed = parts.map(({ text }, index) => ({ text, masked: shown[index]! })).filter(({ text, masked }) => text !== masked && text !== '')
  const replace = (text: string): string => changed.reduce((replaced, part) => replaced.replaceAll(part.text, () => part.masked), text)
  if (input.kind === 'tokens') return input
  if (input.kind === 'text') return { ...input, text: replace(input.text) }
  return { ...input, messages: input.messages.map((message) => ({ ...message, content: replace(message.content) })) }
}

function isJudged({ role }: ChatMessage): boolean {
  return role === 'user' || role === 'tool'
}
