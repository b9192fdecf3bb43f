/**
 * The online path as a list of stages: each wraps the next, sees a call go down and its events come up. A stage that has nothing to do
 * for a call returns the next one's events themselves: what nobody asked for costs nothing per event.
 */
import type { OnlineCall } from '#contract/call'
import type { GenerateEvent } from '#contract/generate'

/**
 * Rejections known before the first event are thrown as InferdError from the iteration; later failures arrive as the terminal event.
 * Aborting the signal, or leaving the iteration, ends everything behind it.
 */
export type CallHandler = (call: OnlineCall, signal: AbortSignal) => AsyncIterable<GenerateEvent>

export type Stage = (next: CallHandler) => CallHandler

/** `stages[0]` sees the call first and its events last. */
export function composeStages(stages: readonly Stage[], last: CallHandler): CallHandler {
  return stages.reduceRight((next, stage) => stage(next), last)
}
