/** What a call will take, before anything is known of it: a guess for rates and lines, a bound for money. */
import type { OnlineCall, OnlineEmbedCall } from '#contract/call'
import type { ChatMessage, PromptInput } from '#contract/generate'

export interface TokenEstimate {
  /** Likely. */
  readonly promptTokens: number
  readonly outputTokens: number
  /** Not to be exceeded: a token of text has at least one byte. */
  readonly maxPromptTokens: number
  /** Over all choices. */
  readonly maxOutputTokens: number
}

/** Of English text. */
const BYTES_PER_TOKEN = 4
/** Role, marks and line breaks of a template around one message; and at the head of the prompt. */
const TOKENS_PER_MESSAGE = 16
const TOKENS_PER_PROMPT = 64
/** What an answer without a limit likely is. */
const LIKELY_OUTPUT_TOKENS = 256

/** `contextLength`: of the largest model that may answer. */
export function estimateCall({ request }: OnlineCall, contextLength: number): TokenEstimate {
  const { input, output, maxTokens, numChoices } = request
  const tools = output.tools === null ? 0 : 2 * Buffer.byteLength(JSON.stringify(output.tools.definitions))
  const prompt = estimatePrompt(input, tools, contextLength)
  const most = Math.min(maxTokens ?? contextLength, contextLength)
  return { ...prompt, outputTokens: numChoices * Math.min(most, LIKELY_OUTPUT_TOKENS), maxOutputTokens: numChoices * most }
}

export function estimateEmbedding({ request }: OnlineEmbedCall, contextLength: number): TokenEstimate {
  let promptTokens = 0
  let maxPromptTokens = 0
  for (const input of request.inputs) {
    const one = estimatePrompt(input, 0, contextLength)
    promptTokens += one.promptTokens
    maxPromptTokens += one.maxPromptTokens
  }
  return { promptTokens, maxPromptTokens, outputTokens: 0, maxOutputTokens: 0 }
}

function estimatePrompt(input: PromptInput, toolBytes: number, contextLength: number): Pick<TokenEstimate, 'promptTokens' | 'maxPromptTokens'> {
  if (input.kind === 'tokens') return { promptTokens: input.tokenIds.length, maxPromptTokens: input.tokenIds.length }
  const isText = input.kind === 'text'
  const bytes = toolBytes + (isText ? Buffer.byteLength(input.text) : input.messages.reduce((sum, message) => sum + messageBytes(message), 0))
  const around = isText ? 1 : TOKENS_PER_PROMPT + TOKENS_PER_MESSAGE * input.messages.length
  const likely = Math.ceil(bytes / BYTES_PER_TOKEN) + (isText ? 1 : 4 * input.messages.length)
  return { promptTokens: Math.min(likely, contextLength), maxPromptTokens: Math.min(bytes + around, contextLength) }
}

function messageBytes(message: ChatMessage): number {
  let bytes = Buffer.byteLength(message.content)
  if (message.role !== 'assistant') return bytes
  if (message.reasoning !== undefined) bytes += Buffer.byteLength(message.reasoning)
  for (const call of message.toolCalls ?? []) bytes += Buffer.byteLength(call.name) + Buffer.byteLength(call.arguments)
  return bytes
}
