/** The answer of Bedrock's Converse, whole, and the parts that its stream has in common with it. */
import type { FinishReason, JsonRecord, Usage } from '#contract/generate'
import type { AnswerBuilder } from '#upstreams/answer-builder'
import { asCount, asList, asRecord, asText } from '#upstreams/json-fields'

const FINISH_REASONS: Readonly<Record<string, FinishReason>> = {
  end_turn: 'stop',
  stop_sequence: 'stop',
  max_tokens: 'length',
  model_context_window_exceeded: 'length',
  tool_use: 'tool-calls',
  content_filtered: 'content-filter',
  guardrail_intervened: 'content-filter',
}

export function readAnswer(answer: AnswerBuilder, body: JsonRecord): void {
  const usage = readUsage(asRecord(body['usage']) ?? {})
  answer.setUsage(usage)
  answer.start(usage.promptTokens, usage.cachedTokens)
  const message = asRecord(asRecord(body['output'])?.['message'])
  for (const value of asList(message?.['content'])) readBlock(answer, asRecord(value) ?? {})
  if (message !== null) endAnswer(answer, body)
}

function readBlock(answer: AnswerBuilder, block: JsonRecord): void {
  answer.say('text-delta', 0, asText(block['text']) ?? '')
  const reasoning = asRecord(asRecord(block['reasoningContent'])?.['reasoningText'])
  answer.say('reasoning-delta', 0, asText(reasoning?.['text']) ?? '')
  const call = asRecord(block['toolUse'])
  if (call === null) return
  answer.startCall(0, asText(call['toolUseId']), asText(call['name']) ?? '')
  answer.argue(0, JSON.stringify(call['input'] ?? {}))
  answer.endCall(0)
}

export function endAnswer(answer: AnswerBuilder, fields: JsonRecord): void {
  answer.endChoice(0, FINISH_REASONS[asText(fields['stopReason']) ?? ''] ?? 'stop', null)
}

/** Bedrock counts cached and written tokens apart from the others. */
export function readUsage(usage: JsonRecord): Usage {
  const of = (name: string): number => asCount(usage[name]) ?? 0
  const [cachedTokens, cacheWriteTokens] = [of('cacheReadInputTokens'), of('cacheWriteInputTokens')]
  return {
    promptTokens: of('inputTokens') + cachedTokens + cacheWriteTokens,
    cachedTokens,
    cacheWriteTokens,
    completionTokens: of('outputTokens'),
    reasoningTokens: 0,
  }
}
