/**
 * Chat events as server-sent `chat.completion.chunk`s: with the first event of a choice its role, then chunks of reasoning, content and
 * tool calls, a chunk with the finish reason per choice, with `include_usage` one chunk without choices, then `[DONE]`. A failed response
 * ends with an error object and without `[DONE]`. The parts of a chunk that never change are written once, when the stream starts.
 */
import { encodeTier } from '#server/protocols/openai/call-options'
import { assert, unreachable } from '#base/assert'
import type { CallReport } from '#contract/call'
import type { GenerateEvent, TokenLogprob } from '#contract/generate'
import { encodeErrorBody } from '#server/protocols/openai/encode-error'
import { encodeReport } from '#server/protocols/openai/encode-report'
import { encodeFinishReason } from '#server/protocols/openai/finish-reason'
import { encodeUsage } from '#server/protocols/openai/wire-usage'
import { sseFrame } from '#server/sse'
import { encodeChatLogprobs } from './encode-logprobs.ts'
import type { ChatCall } from './wire-types.ts'

/** What the chunks of a choice have made of its message. */
interface MessageProgress {
  hasRole: boolean
  /** A chunk had text as content, be it ''. */
  hasContent: boolean
  /** A chunk had reasoning or a call: the content may stay null. */
  hasOther: boolean
}

export interface ChatStreamState {
  readonly call: ChatCall
  /** Complete at the end; what it says is in the chunk of each choice's finish reason. */
  readonly report: CallReport
  /** Up to and with the opening bracket of `choices`. */
  readonly head: string
  /** From the closing bracket of `choices`. */
  readonly tail: string
  /** Of each choice, by index; they move on with each event. */
  readonly progress: readonly MessageProgress[]
  readonly ended: boolean
}

export function startChatStream(call: ChatCall, report: CallReport): ChatStreamState {
  const fixed = JSON.stringify({
    id: call.responseId,
    object: 'chat.completion.chunk',
    created: call.createdSeconds,
    model: call.model,
    system_fingerprint: call.systemFingerprint,
  })
  return {
    call,
    report,
    head: `${fixed.slice(0, -1)},"choices":[`,
    tail: call.includeUsage ? '],"usage":null}' : ']}',
    progress: Array.from({ length: call.request.numChoices }, () => ({ hasRole: false, hasContent: false, hasOther: false })),
    ended: false,
  }
}

/** Hot: per token. */
export function stepChatStream(state: ChatStreamState, event: GenerateEvent): readonly [ChatStreamState, string] {
  switch (event.type) {
    case 'response-start':
    case 'tool-call-end':
      return [state, '']
    case 'text-delta': {
      const { choice, text, logprobs } = event
      if (text !== '') return [state, contentFrames(state, choice, text, logprobs)]
      return [state, logprobs === null ? '' : otherFrames(state, choice, '{}', logprobs, false)]
    }
    case 'reasoning-delta': {
      const { choice, text, logprobs } = event
      if (text === '' && logprobs === null) return [state, '']
      return [state, otherFrames(state, choice, text === '' ? '{}' : `{"reasoning_content":${JSON.stringify(text)}}`, logprobs, text !== '')]
    }
    case 'tool-call-start': {
      const call = { index: event.toolCall, id: event.id, type: 'function', function: { name: event.name, arguments: '' } }
      return [state, otherFrames(state, event.choice, `{"tool_calls":[${JSON.stringify(call)}]}`, null, true)]
    }
    case 'tool-call-delta': {
      if (event.argumentsText === '') return [state, '']
      const call = `{"index":${event.toolCall},"function":{"arguments":${JSON.stringify(event.argumentsText)}}}`
      return [state, otherFrames(state, event.choice, `{"tool_calls":[${call}]}`, null, true)]
    }
    case 'choice-end':
      return [state, endFrames(state, event)]
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

function contentFrames(state: ChatStreamState, choice: number, text: string, logprobs: readonly TokenLogprob[] | null): string {
  const progress = progressOf(state, choice)
  const role = roleFrame(state, choice, '""')
  progress.hasContent = true
  return role + choiceFrame(state, choice, `{"content":${JSON.stringify(text)}}`, logprobs, 'null')
}

/** `counts`: the delta holds reasoning or a part of a call. */
function otherFrames(state: ChatStreamState, choice: number, delta: string, logprobs: readonly TokenLogprob[] | null, counts: boolean): string {
  const progress = progressOf(state, choice)
  const role = roleFrame(state, choice, 'null')
  if (counts) progress.hasOther = true
  return role + choiceFrame(state, choice, delta, logprobs, 'null')
}

/** A message of which nothing was said has the content ''. */
function endFrames(state: ChatStreamState, { choice, finishReason }: Extract<GenerateEvent, { type: 'choice-end' }>): string {
  const { hasRole, hasContent, hasOther } = progressOf(state, choice)
  const role = roleFrame(state, choice, '""')
  const delta = hasRole && !hasContent && !hasOther ? '{"content":""}' : '{}'
  return role + choiceFrame(state, choice, delta, null, `"${encodeFinishReason(finishReason)}"`, reportTail(state))
}

/** Fields that go before the end of a chunk. */
function reportTail({ call, report, tail }: ChatStreamState): string {
  const fields = JSON.stringify({ ...(call.hasTier ? { service_tier: encodeTier(report.tier) } : {}), ...encodeReport(report) })
  return fields === '{}' ? tail : `${tail.slice(0, -1)},${fields.slice(1)}`
}

/** Once per choice, with its first event; '' after that. */
function roleFrame(state: ChatStreamState, choice: number, content: '""' | 'null'): string {
  const progress = progressOf(state, choice)
  if (progress.hasRole) return ''
  progress.hasRole = true
  return choiceFrame(state, choice, `{"role":"assistant","content":${content},"refusal":null}`, null, 'null')
}

function progressOf({ progress }: ChatStreamState, choice: number): MessageProgress {
  const one = progress[choice]
  assert(one !== undefined, 'event for a choice that was not asked for')
  return one
}

function choiceFrame(
  state: ChatStreamState,
  choice: number,
  delta: string,
  logprobs: readonly TokenLogprob[] | null,
  finishReason: string,
  tail = state.tail,
): string {
  const encoded = logprobs === null ? 'null' : JSON.stringify(encodeChatLogprobs(logprobs))
  return sseFrame(`${state.head}{"index":${choice},"delta":${delta},"logprobs":${encoded},"finish_reason":${finishReason}}${tail}`)
}
