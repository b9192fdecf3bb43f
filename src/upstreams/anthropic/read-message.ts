/** A message of Anthropic's Messages API, whole, and the parts that its stream has in common with it. */
import type { FinishReason, JsonRecord, Usage } from '#contract/generate'
import type { AnswerBuilder } from '#upstreams/answer-builder'
import { asCount, asList, asRecord, asText } from '#upstreams/json-fields'

const FINISH_REASONS: Readonly<Record<string, FinishReason>> = {
  end_turn: 'stop',
  stop_sequence: 'stop',
  max_tokens: 'length',
  model_context_window_exceeded: 'length',
  tool_use: 'tool-calls',
  refusal: 'content-filter',
}

export function readMessage(answer: AnswerBuilder, message: JsonRecord): void {
  const usage = readUsage(asRecord(message['usage']) ?? {})
  answer.setUsage(usage)
  answer.start(usage.promptTokens, usage.cachedTokens)
  for (const value of asList(message['content'])) {
    const block = asRecord(value) ?? {}
    startBlock(answer, block)
    if (block['type'] === 'tool_use') answer.argue(0, JSON.stringify(block['input'] ?? {}))
    answer.endCall(0)
  }
  endMessage(answer, message)
}

/** What a block has from its beginning; arguments of a call come after it. */
export function startBlock(answer: AnswerBuilder, block: JsonRecord): void {
  if (block['type'] === 'tool_use') answer.startCall(0, asText(block['id']), asText(block['name']) ?? '')
  if (block['type'] === 'text') answer.say('text-delta', 0, asText(block['text']) ?? '')
  if (block['type'] === 'thinking') answer.say('reasoning-delta', 0, asText(block['thinking']) ?? '')
}

/** A message without a reason to stop has not ended. */
export function endMessage(answer: AnswerBuilder, fields: JsonRecord): void {
  const reason = asText(fields['stop_reason'])
  if (reason !== null) answer.endChoice(0, FINISH_REASONS[reason] ?? 'stop', asText(fields['stop_sequence']))
}

/** Anthropic counts cached and written tokens apart from the others. */
export function readUsage(counts: JsonRecord): Usage {
  const of = (name: string): number => asCount(counts[name]) ?? 0
  const [cachedTokens, cacheWriteTokens] = [of('cache_read_input_tokens'), of('cache_creation_input_tokens')]
  const promptTokens = of('input_tokens') + cachedTokens + cacheWriteTokens
  const completionTokens = of('output_tokens')
  const details = asRecord(counts['output_tokens_details'])
  const reasoningTokens = Math.min(completionTokens, asCount(details?.['thinking_tokens']) ?? 0)
  return { promptTokens, cachedTokens, cacheWriteTokens, completionTokens, reasoningTokens }
}
