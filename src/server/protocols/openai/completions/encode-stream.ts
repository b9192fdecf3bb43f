/**
 * Text completion events as server-sent chunks: text chunks, a chunk with the finish reason per choice, with `include_usage`
 * one chunk without choices, then `[DONE]`. A failed response ends with an error object and without `[DONE]`.
 */
import { encodeTier } from '#server/protocols/openai/call-options'
import { assert, unreachable } from '#base/assert'
import type { CallReport } from '#contract/call'
import type { GenerateEvent } from '#contract/generate'
import { encodeErrorBody } from '#server/protocols/openai/encode-error'
import { encodeReport } from '#server/protocols/openai/encode-report'
import { encodeFinishReason } from '#server/protocols/openai/finish-reason'
import { encodeUsage } from '#server/protocols/openai/wire-usage'
import { sseFrame } from '#server/sse'
import { encodeCompletionLogprobs, TextOffsets } from './encode-logprobs.ts'
import type { CompletionCall } from './wire-types.ts'

export interface CompletionStreamState {
  readonly call: CompletionCall
  /** Complete at the end; what it says is in the chunk of each choice's finish reason. */
  readonly report: CallReport
  /** Up to and with the opening bracket of `choices`. */
  readonly head: string
  /** From the closing bracket of `choices`. */
  readonly tail: string
  /** Of each choice, by index; they move on with each logprob. */
  readonly offsets: readonly TextOffsets[]
  readonly ended: boolean
}

export function startCompletionStream(call: CompletionCall, report: CallReport): CompletionStreamState {
  const fixed = JSON.stringify({
    id: call.responseId,
    object: 'text_completion',
    created: call.createdSeconds,
    model: call.model,
    system_fingerprint: call.systemFingerprint,
  })
  const numChoices = call.requests.reduce((sum, request) => sum + request.numChoices, 0)
  return {
    call,
    report,
    head: `${fixed.slice(0, -1)},"choices":[`,
    tail: call.includeUsage ? '],"usage":null}' : ']}',
    offsets: Array.from({ length: numChoices }, () => new TextOffsets()),
    ended: false,
  }
}

/** Hot: per token. */
export function stepCompletionStream(state: CompletionStreamState, event: GenerateEvent): readonly [CompletionStreamState, string] {
  switch (event.type) {
    case 'response-start':
      return [state, '']
    case 'reasoning-delta':
    case 'text-delta': {
      const { choice, text, logprobs } = event
      if (text === '' && logprobs === null) return [state, '']
      if (logprobs === null) return [state, choiceFrame(state, choice, JSON.stringify(text), 'null', 'null')]
      const offsets = state.offsets[choice]
      assert(offsets !== undefined, 'event for a choice that was not asked for')
      return [state, choiceFrame(state, choice, JSON.stringify(text), JSON.stringify(encodeCompletionLogprobs(logprobs, offsets)), 'null')]
    }
    case 'tool-call-start':
    case 'tool-call-delta':
    case 'tool-call-end':
      assert(false, 'a tool call in an answer to a raw prompt')
    case 'choice-end':
      return [state, choiceFrame(state, event.choice, '""', 'null', `"${encodeFinishReason(event.finishReason)}"`, reportTail(state))]
    case 'response-end': {
      const usage = state.call.includeUsage ? sseFrame(`${state.head}],"usage":${JSON.stringify(encodeUsage(event.usage))}}`) : ''
      return [{ ...state, ended: true }, `${usage}${sseFrame('[DONE]')}`]
    }
    case 'response-error':
      return [{ ...state, ended: true }, sseFrame(encodeErrorBody(event.error))]
    default:
      return unreachable(event)
  }
}

/** Fields that go before the end of a chunk. */
function reportTail({ call, report, tail }: CompletionStreamState): string {
  const fields = JSON.stringify({ ...(call.hasTier ? { service_tier: encodeTier(report.tier) } : {}), ...encodeReport(report) })
  return fields === '{}' ? tail : `${tail.slice(0, -1)},${fields.slice(1)}`
}

function choiceFrame(state: CompletionStreamState, choice: number, text: string, logprobs: string, finishReason: string, tail = state.tail): string {
  return sseFrame(`${state.head}{"text":${text},"index":${choice},"logprobs":${logprobs},"finish_reason":${finishReason}}${tail}`)
}
