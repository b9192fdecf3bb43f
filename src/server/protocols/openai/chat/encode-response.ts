/** The body of a chat answer that was not streamed. */
import type { GenerateOutcome } from '#server/generate-outcome'
import { encodeFinishReason } from '#server/protocols/openai/finish-reason'
import { encodeUsage } from '#server/protocols/openai/wire-usage'
import { encodeChatLogprobs } from './encode-logprobs.ts'
import type { ChatCall, WireChatCompletion } from './wire-types.ts'

export function encodeChatResponse(call: ChatCall, outcome: GenerateOutcome): WireChatCompletion {
  return {
    id: call.responseId,
    object: 'chat.completion',
    created: call.createdSeconds,
    model: call.model,
    choices: outcome.choices.map(({ text, logprobs, finishReason }, index) => ({
      index,
      message: { role: 'assistant', content: text, refusal: null },
      logprobs: encodeChatLogprobs(logprobs),
      finish_reason: encodeFinishReason(finishReason),
    })),
    usage: encodeUsage(outcome.usage),
    system_fingerprint: call.systemFingerprint,
  }
}
