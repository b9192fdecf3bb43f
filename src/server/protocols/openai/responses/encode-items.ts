/** The items of an answer: reasoning, then text, then calls; there is at least one. Only the last one can be cut. */
import type { TokenLogprob, ToolCall } from '#contract/generate'
import type { ChoiceOutcome } from '#server/generate-outcome'
import { encodeChatLogprobs } from '#server/protocols/openai/chat/encode-logprobs'
import { outputItemId } from './item-ids.ts'
import type {
  ResponsesCall,
  WireFunctionCall,
  WireItemStatus,
  WireOutputItem,
  WireOutputMessage,
  WireOutputText,
  WireReasoning,
} from './wire-types.ts'

export function encodeItems(call: ResponsesCall, choice: ChoiceOutcome): readonly WireOutputItem[] {
  const { text, reasoning, toolCalls, logprobs, numReasoningLogprobs } = choice
  const items: ((index: number, status: WireItemStatus) => WireOutputItem)[] = []
  if (reasoning !== '') items.push((index, status) => reasoningItem(call, index, reasoning, status))
  if (text !== '' || (reasoning === '' && toolCalls.length === 0)) {
    const ofText = logprobs?.slice(numReasoningLogprobs) ?? []
    items.push((index, status) => messageItem(call, index, [textPart(text, ofText)], status))
  }
  for (const toolCall of toolCalls) items.push((index, status) => callItem(call, index, toolCall, status))
  const isCut = isCutBy(choice.finishReason)
  return items.map((make, index) => make(index, isCut && index === items.length - 1 ? 'incomplete' : 'completed'))
}

export function isCutBy(reason: ChoiceOutcome['finishReason']): boolean {
  return reason !== 'stop' && reason !== 'tool-calls'
}

export function messageItem(
  { responseId }: ResponsesCall,
  index: number,
  content: readonly WireOutputText[],
  status: WireItemStatus,
): WireOutputMessage {
  return { id: outputItemId('msg', responseId, index), type: 'message', status, role: 'assistant', content }
}

export function textPart(text: string, logprobs: readonly TokenLogprob[]): WireOutputText {
  return { type: 'output_text', text, annotations: [], logprobs: encodeChatLogprobs(logprobs)?.content ?? [] }
}

/** A call whose arguments are whole is whole, whatever ended the answer behind it. */
export function callItem({ responseId }: ResponsesCall, index: number, toolCall: ToolCall, status: WireItemStatus): WireFunctionCall {
  return {
    id: outputItemId('fc', responseId, index),
    type: 'function_call',
    status: status === 'incomplete' && isJson(toolCall.arguments) ? 'completed' : status,
    call_id: toolCall.id,
    name: toolCall.name,
    arguments: toolCall.arguments,
  }
}

/** '' = none yet. */
export function reasoningItem({ responseId, hasSummary }: ResponsesCall, index: number, text: string, status: WireItemStatus): WireReasoning {
  return {
    id: outputItemId('rs', responseId, index),
    type: 'reasoning',
    status,
    summary: hasSummary && text !== '' ? [{ type: 'summary_text', text }] : [],
    ...(hasSummary ? {} : { content: text === '' ? [] : [{ type: 'reasoning_text', text }] }),
    encrypted_content: null,
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
