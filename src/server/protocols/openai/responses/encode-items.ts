/** The items of an answer, in the order in which they came; there is at least one. Only the last one can be cut. */
import { assert } from '#base/assert'
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

export function encodeItems(call: ResponsesCall, { runs, toolCalls, finishReason }: ChoiceOutcome): readonly WireOutputItem[] {
  const isCut = isCutBy(finishReason)
  return runs.map((run, index) => {
    const status = isCut && index === runs.length - 1 ? 'incomplete' : 'completed'
    switch (run.kind) {
      case 'reasoning':
        return reasoningItem(call, index, run.text, status)
      case 'text':
        return messageItem(call, index, [textPart(run.text, run.logprobs)], status)
      case 'tool-call': {
        const toolCall = toolCalls[run.toolCall]
        assert(toolCall !== undefined, 'a run of a call that is not there')
        return callItem(call, index, toolCall, status)
      }
    }
  })
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
