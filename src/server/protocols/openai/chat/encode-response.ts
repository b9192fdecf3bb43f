/** The body of a chat answer that was not streamed. */
import { encodeTier } from '#server/protocols/openai/call-options'
import type { CallReport } from '#contract/call'
import type { ToolCall } from '#contract/generate'
import type { ChoiceOutcome, GenerateOutcome } from '#server/generate-outcome'
import { encodeReport } from '#server/protocols/openai/encode-report'
import { encodeFinishReason } from '#server/protocols/openai/finish-reason'
import { encodeUsage } from '#server/protocols/openai/wire-usage'
import { encodeChatLogprobs } from './encode-logprobs.ts'
import type { ChatCall, WireChatCompletion, WireMessage, WireToolCall } from './wire-types.ts'

export function encodeChatResponse(call: ChatCall, outcome: GenerateOutcome, report: CallReport): WireChatCompletion {
  return {
    id: call.responseId,
    object: 'chat.completion',
    created: call.createdSeconds,
    model: call.model,
    choices: outcome.choices.map((choice, index) => ({
      index,
      message: encodeMessage(choice),
      logprobs: encodeChatLogprobs(choice.logprobs),
      finish_reason: encodeFinishReason(choice.finishReason),
    })),
    usage: encodeUsage(outcome.usage),
    system_fingerprint: call.systemFingerprint,
    ...(call.hasTier ? { service_tier: encodeTier(report.tier) } : {}),
    ...encodeReport(report),
  }
}

function encodeMessage({ text, reasoning, toolCalls }: ChoiceOutcome): WireMessage {
  const isSilent = text === '' && (reasoning !== '' || toolCalls.length > 0)
  return {
    role: 'assistant',
    content: isSilent ? null : text,
    refusal: null,
    ...(reasoning === '' ? {} : { reasoning_content: reasoning }),
    ...(toolCalls.length === 0 ? {} : { tool_calls: toolCalls.map(encodeToolCall) }),
  }
}

function encodeToolCall({ id, name, arguments: argumentsText }: ToolCall): WireToolCall {
  return { id, type: 'function', function: { name, arguments: argumentsText } }
}
