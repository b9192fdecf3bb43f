/**
 * The stage that leaves turns out of a conversation that does not fit its model, for callers who asked for it; what it did is in the
 * report. Everybody else keeps the model's own refusal, which names both numbers.
 */
import type { OnlineCall } from '#contract/call'
import { InferdError } from '#contract/errors'
import type { ChatMessage, CountRequest, GenerateEvent, GenerateRequest } from '#contract/generate'
import type { CallHandler, Stage } from '#platform/online/stage'
import { fitMessages } from './fit-messages.ts'

export interface TruncationPorts {
  /** Of the prompt, as the model called would count it. Throws as a generation does. */
  readonly countTokens: (call: OnlineCall, request: CountRequest, signal: AbortSignal) => Promise<number>
  /** Of the model called; null = not known, nothing is left out. */
  readonly contextLengthOf: (call: OnlineCall) => number | null
}

/** Of the context, what an answer without a limit of its own gets at least. */
const ANSWER_SHARE = 1 / 8
/** Of the context, what an answer gets at most: the limit of many callers is only a ceiling. */
const MAX_ANSWER_SHARE = 1 / 2

export function truncationStage(ports: TruncationPorts): Stage {
  return (next) => (call, signal) => {
    const { input } = call.request
    if (call.options.truncation === 'none' || input.kind !== 'messages') return next(call, signal)
    const contextLength = ports.contextLengthOf(call)
    return contextLength === null ? next(call, signal) : generateFitted({ call, signal, next, ports, contextLength, messages: input.messages })
  }
}

interface FittedCall {
  readonly call: OnlineCall
  readonly signal: AbortSignal
  readonly next: CallHandler
  readonly ports: TruncationPorts
  readonly contextLength: number
  readonly messages: readonly ChatMessage[]
}

async function* generateFitted({ call, signal, next, ports, contextLength, messages }: FittedCall): AsyncGenerator<GenerateEvent> {
  const { request, options, report } = call
  const { input, output } = request
  const fitted = await fitMessages({
    messages,
    strategy: options.truncation,
    maxPromptTokens: contextLength - answerTokens(request, contextLength),
    countTokens: (candidate) => countOrNull(ports.countTokens(call, { input: { ...input, kind: 'messages', messages: candidate }, output }, signal)),
  })
  if (fitted.numDroppedMessages === 0) return yield* next(call, signal)
  const { messages: kept, numDroppedMessages, promptTokensBefore, promptTokensAfter } = fitted
  // Without a count the model refuses what is left, in its own words.
  if (promptTokensAfter !== null) report.truncation = { strategy: options.truncation, numDroppedMessages, promptTokensBefore, promptTokensAfter }
  yield* next({ ...call, request: { ...request, input: { ...input, kind: 'messages', messages: kept } } }, signal)
}

/** A model does not count on when it is certain that the prompt is too long: then null. */
async function countOrNull(counting: Promise<number>): Promise<number | null> {
  try {
    return await counting
  } catch (error) {
    if (error instanceof InferdError && error.code === 'context_length_exceeded') return null
    throw error
  }
}

/** How much room the answer needs. */
function answerTokens({ maxTokens, minTokens }: GenerateRequest, contextLength: number): number {
  const wanted = Math.min(maxTokens ?? Math.floor(contextLength * ANSWER_SHARE), Math.floor(contextLength * MAX_ANSWER_SHARE))
  return Math.max(1, minTokens, wanted)
}
