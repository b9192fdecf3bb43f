/** The body of a message that was not streamed. */
import { assert } from '#base/assert'
import type { CallReport } from '#contract/call'
import type { JsonValue } from '#contract/generate'
import type { ChoiceOutcome, GenerateOutcome } from '#server/generate-outcome'
import { encodeStopReason } from '#server/protocols/anthropic/stop-reason'
import { signThinking } from '#server/protocols/anthropic/thinking-signature'
import { encodeMessageUsage } from '#server/protocols/anthropic/wire-usage'
import type { MessagesCall, WireBlock, WireMessage } from './wire-types.ts'

export function encodeMessage(call: MessagesCall, { choices, usage }: GenerateOutcome, report: CallReport): WireMessage {
  const [choice] = choices
  assert(choice !== undefined && choices.length === 1, 'a message is one choice')
  return {
    id: call.responseId,
    type: 'message',
    role: 'assistant',
    model: call.model,
    content: encodeBlocks(choice),
    stop_reason: encodeStopReason(choice.finishReason, choice.stopString),
    stop_sequence: choice.stopString,
    stop_details: null,
    container: null,
    diagnostics: null,
    usage: encodeMessageUsage(usage, report.tier),
  }
}

function encodeBlocks({ reasoning, text, toolCalls }: ChoiceOutcome): WireBlock[] {
  return [
    ...(reasoning === '' ? [] : [{ type: 'thinking', thinking: reasoning, signature: signThinking(reasoning) } as const]),
    ...(text === '' ? [] : [{ type: 'text', text, citations: null } as const]),
    ...toolCalls.map(
      ({ id, name, arguments: argumentsText }) =>
        ({ type: 'tool_use', id, name, input: parseInput(argumentsText), caller: { type: 'direct' } }) as const,
    ),
  ]
}

/** A call that was cut has no whole input; its stop_reason says so. */
function parseInput(argumentsText: string): JsonValue {
  try {
    return JSON.parse(argumentsText) as JsonValue
  } catch {
    return {}
  }
}
