/** Calls and models for tests of the online path, in as few words as they need. */
import { DEFAULT_CALL_OPTIONS, newCallReport, type OnlineCall, type ServiceTier } from '#contract/call'
import { type GenerateEvent, GREEDY_SAMPLING, NO_USAGE, PLAIN_REQUEST, type Usage } from '#contract/generate'
import { type CallerLimits, LOCAL_PRINCIPAL, NO_LIMITS, type Principal } from '#contract/principal'

export interface CallWords {
  readonly team?: string
  readonly keyId?: string
  readonly limits?: Partial<CallerLimits>
  readonly teamLimits?: Partial<CallerLimits>
  readonly model?: string
  readonly tier?: ServiceTier
  readonly text?: string
  readonly maxTokens?: number | null
  readonly isBuffered?: boolean
  readonly arrivedMs?: number
  readonly requestId?: string
  readonly traceparent?: string
}

export function principalOf({ team = 'red', keyId = `${team}-key`, limits = {}, teamLimits = {} }: CallWords): Principal {
  return { ...LOCAL_PRINCIPAL, keyId, team, limits: { ...NO_LIMITS, ...limits }, teamLimits: { ...NO_LIMITS, ...teamLimits } }
}

export function callOf(words: CallWords = {}): OnlineCall {
  const {
    model = 'chat',
    tier = 'default',
    text = 'hello',
    maxTokens = 100,
    isBuffered = true,
    arrivedMs = 0,
    requestId = 'req-1',
    traceparent,
  } = words
  return {
    requestId,
    principal: principalOf(words),
    dialect: 'openai',
    model,
    options: { ...DEFAULT_CALL_OPTIONS, tier },
    arrivedMs,
    report: newCallReport(),
    operation: 'chat',
    isBuffered,
    ...(traceparent === undefined ? {} : { traceparent }),
    request: {
      ...PLAIN_REQUEST,
      requestId,
      input: { kind: 'text', text },
      sampling: { ...GREEDY_SAMPLING, seed: 1 },
      maxTokens,
      cacheSalt: 'red',
    },
  }
}

export const USAGE: Usage = { promptTokens: 10, cachedTokens: 4, cacheWriteTokens: 0, completionTokens: 3, reasoningTokens: 0 }

/** Of so many tokens, half of them the answer. */
export function usageOf(tokens: number): Usage {
  const completionTokens = Math.floor(tokens / 2)
  return { ...NO_USAGE, promptTokens: tokens - completionTokens, completionTokens }
}

export const ANSWER: readonly GenerateEvent[] = [
  { type: 'response-start', promptTokens: 10, cachedTokens: 4 },
  { type: 'text-delta', choice: 0, text: 'one', logprobs: null },
  { type: 'text-delta', choice: 0, text: ' two', logprobs: null },
  { type: 'choice-end', choice: 0, finishReason: 'stop', stopString: null },
  { type: 'response-end', usage: USAGE },
]

export async function* replayed(events: readonly GenerateEvent[]): AsyncGenerator<GenerateEvent> {
  for (const event of events) yield event
}

export async function readAll(events: AsyncIterable<GenerateEvent>): Promise<GenerateEvent[]> {
  const seen: GenerateEvent[] = []
  for await (const event of events) seen.push(event)
  return seen
}
