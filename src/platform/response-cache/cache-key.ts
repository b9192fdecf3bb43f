/** Which answers stand for each other. Everything that may change an answer is in the key; who asks is, too. */
import { createHash } from 'node:crypto'
import type { OnlineCall } from '#contract/call'
import type { ChatMessage, GenerateRequest } from '#contract/generate'

export interface CachedModel {
  /** Names of the models that may answer to the called name. */
  readonly targets: readonly string[]
  /** Changes when a model is replaced under its name. */
  readonly factsDigest: string
}

/** Of the whole request but its id, priority, tier and cache salt, which change no token. */
export function exactKey(call: OnlineCall, model: CachedModel): string {
  return digest([scopeOf(call, model), requestOf(call.request)])
}

export interface SemanticParts {
  /** Equal where nothing differs but the last user text. */
  readonly key: string
  readonly text: string
}

/** null: the request has no last user text that could mean the same as another. */
export function semanticParts(call: OnlineCall, model: CachedModel): SemanticParts | null {
  const { input } = call.request
  if (input.kind !== 'messages') return null
  const last = input.messages.at(-1)
  if (last?.role !== 'user' || last.content === '') return null
  const blanked: readonly ChatMessage[] = [...input.messages.slice(0, -1), { ...last, content: '' }]
  const request = { ...call.request, input: { ...input, messages: blanked } }
  return { key: digest(['semantic', scopeOf(call, model), requestOf(request)]), text: last.content }
}

/** Whether the same request must have the same answer. */
export function isDeterministic({ sampling, numChoices }: GenerateRequest): boolean {
  return sampling.seed !== null || (sampling.temperature === 0 && numChoices === 1)
}

function scopeOf({ principal, model: name, operation, options }: OnlineCall, model: CachedModel): unknown {
  return [principal.team, name, model.targets, model.factsDigest, operation, options.truncation, options.guardrail]
}

function requestOf({ requestId: _id, priority: _priority, lane: _lane, cacheSalt: _salt, ...request }: GenerateRequest): unknown {
  return request
}

function digest(parts: unknown): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64')
}
