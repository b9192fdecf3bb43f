/** What dialects share whose messages are lists of blocks: Anthropic's Messages and Bedrock's Converse. */
import type { ChatMessage, GenerateRequest, JsonRecord, PromptInput } from '#contract/generate'
import { notOffered } from './upstream-error.ts'

/** A field of the contract, and whether the request gives it where the dialect has no word for it. */
export type ForeignField = readonly [name: string, isGiven: boolean]

/** Throws unsupported_parameter. `own`: what one of the dialects says and the other does not. */
export function refuseForeignFields({ sampling, ...request }: GenerateRequest, model: string, own: readonly ForeignField[]): void {
  const fields: readonly ForeignField[] = [
    ['sampling.temperature', sampling.temperature > 1],
    ['sampling.minP', sampling.minP !== 0],
    ['sampling.repetitionPenalty', sampling.repetitionPenalty !== 1],
    ['sampling.presencePenalty', sampling.presencePenalty !== 0],
    ['sampling.frequencyPenalty', sampling.frequencyPenalty !== 0],
    ['sampling.logitBias', sampling.logitBias.length > 0],
    ['sampling.seed', sampling.seed !== null],
    ...own,
    ['numTopLogprobs', request.numTopLogprobs !== null],
    ['numChoices', request.numChoices !== 1],
    ['echo', request.echo],
    ['minTokens', request.minTokens > 0],
    ['ignoreEos', request.ignoreEos],
    ['stopTokenIds', request.stopTokenIds.length > 0],
    ['includeStopString', request.includeStopString],
  ]
  const fault = fields.find(([, isGiven]) => isGiven)
  if (fault !== undefined) throw notOffered(fault[0], model)
}

/** The messages of a chat. Throws unsupported_parameter for what is no chat. */
export function chatMessages(input: PromptInput, model: string): readonly ChatMessage[] {
  if (input.kind !== 'messages') throw notOffered('input', model)
  if (input.templateVariables !== undefined && Object.keys(input.templateVariables).length > 0) throw notOffered('input.templateVariables', model)
  return input.messages
}

/** Turns of one side stand in one message; results of tools are the user's, the system's words stand elsewhere. */
export function mergeTurns(messages: readonly ChatMessage[], blocksOf: (message: ChatMessage) => readonly JsonRecord[]): readonly JsonRecord[] {
  const turns: { role: 'user' | 'assistant'; content: JsonRecord[] }[] = []
  for (const message of messages) {
    if (message.role === 'system') continue
    const role = message.role === 'assistant' ? 'assistant' : 'user'
    const blocks = blocksOf(message)
    const last = turns.at(-1)
    if (last?.role === role) last.content.push(...blocks)
    else if (blocks.length > 0) turns.push({ role, content: [...blocks] })
  }
  return turns
}
