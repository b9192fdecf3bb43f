/** Calls and models for tests of stages: a model is a list of events. */
import { DEFAULT_CALL_OPTIONS, newCallReport, type GuardrailChoice, type OnlineCall } from '#contract/call'
import { type GenerateEvent, type GenerateRequest, GREEDY_SAMPLING, NO_USAGE, PLAIN_REQUEST, type PromptInput, type Usage } from '#contract/generate'
import { toErrorRecord } from '#contract/errors'
import { LOCAL_PRINCIPAL } from '#contract/principal'
import type { CallHandler } from '#platform/online/stage'

export function requestOf(input: PromptInput, changes: Partial<GenerateRequest> = {}): GenerateRequest {
  return {
    ...PLAIN_REQUEST,
    requestId: 'r1',
    input,
    sampling: { ...GREEDY_SAMPLING, seed: 1 },
    ...changes,
  }
}

export function callOf(request: GenerateRequest, guardrail: GuardrailChoice | null = null, changes: Partial<OnlineCall> = {}): OnlineCall {
  return {
    requestId: request.requestId,
    principal: LOCAL_PRINCIPAL,
    dialect: 'openai',
    model: 'm',
    options: { ...DEFAULT_CALL_OPTIONS, guardrail },
    arrivedMs: 0,
    report: newCallReport(),
    operation: 'chat',
    request,
    isBuffered: false,
    ...changes,
  }
}

export function ask(text: string): PromptInput {
  return { kind: 'messages', messages: [{ role: 'user', content: text }] }
}

export interface FakeTarget {
  readonly handler: CallHandler
  readonly requests: GenerateRequest[]
  /** Events that were taken from it. */
  numTaken: number
  /** By its signal, or left before its last event. */
  isAborted: boolean
}

/** `lastWord`: what it has used when it is aborted; without one it throws the reason, as a model that cannot say. */
export function targetOf(events: readonly GenerateEvent[], lastWord: Usage | null = null): FakeTarget {
  const target: FakeTarget = {
    requests: [],
    numTaken: 0,
    isAborted: false,
    handler: async function* (call, signal) {
      signal.addEventListener('abort', () => (target.isAborted = true))
      target.requests.push(call.request)
      try {
        for (const event of events) {
          if (signal.aborted && lastWord === null) throw signal.reason
          if (signal.aborted && lastWord !== null) {
            yield { type: 'response-error', error: toErrorRecord(signal.reason), usage: lastWord }
            return
          }
          target.numTaken++
          yield event
        }
      } finally {
        target.isAborted ||= target.numTaken < events.length
      }
    },
  }
  return target
}

export function answerOf(pieces: readonly string[]): GenerateEvent[] {
  return [
    { type: 'response-start', promptTokens: 7, cachedTokens: 2 },
    ...pieces.map((text): GenerateEvent => ({ type: 'text-delta', choice: 0, text, logprobs: null })),
    { type: 'choice-end', choice: 0, finishReason: 'stop', stopString: null },
    { type: 'response-end', usage: { ...NO_USAGE, promptTokens: 7, completionTokens: pieces.length } },
  ]
}

export async function eventsOf(handler: CallHandler, call: OnlineCall): Promise<GenerateEvent[]> {
  return Array.fromAsync(handler(call, new AbortController().signal))
}

export function textOf(events: readonly GenerateEvent[]): string {
  return events.map((event) => (event.type === 'text-delta' ? event.text : '')).join('')
}
