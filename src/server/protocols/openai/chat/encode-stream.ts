/**
 * Chat events as server-sent `chat.completion.chunk`s: a role chunk per choice, content chunks, a chunk with the finish
 * reason per choice, with `include_usage` one chunk without choices, then `[DONE]`. A failed response ends with an error
 * object and without `[DONE]`. The parts of a chunk that never change are written once, when the stream starts.
 */
import { unreachable } from '#base/assert'
import type { GenerateEvent, TokenLogprob } from '#contract/generate'
import { encodeErrorBody } from '#server/protocols/openai/encode-error'
import { encodeUsage } from '#server/protocols/openai/wire-usage'
import { sseFrame } from '#server/sse'
import { encodeChatLogprobs } from './encode-logprobs.ts'
import type { ChatCall } from './wire-types.ts'

export interface ChatStreamState {
  readonly call: ChatCall
  /** Up to and with the opening bracket of `choices`. */
  readonly head: string
  /** From the closing bracket of `choices`. */
  readonly tail: string
  readonly ended: boolean
}

export function startChatStream(call: ChatCall): ChatStreamState {
  const fixed = JSON.stringify({
    id: call.responseId,
    object: 'chat.completion.chunk',
    created: call.createdSeconds,
    model: call.model,
    system_fingerprint: call.systemFingerprint,
  })
  return { call, head: `${fixed.slice(0, -1)},"choices":[`, tail: call.includeUsage ? '],"usage":null}' : ']}', ended: false }
}

/** Hot: per token. */
export function stepChatStream(state: ChatStreamState, event: GenerateEvent): readonly [ChatStreamState, string] {
  switch (event.type) {
    case 'response-start':
      return [state, roleFrames(state)]
    case 'text-delta':
      if (event.text === '' && event.logprobs === null) return [state, '']
      return [state, choiceFrame(state, event.choice, `{"content":${JSON.stringify(event.text)}}`, event.logprobs, 'null')]
    case 'reasoning-delta':
    case 'tool-call-start':
    case 'tool-call-delta':
    case 'tool-call-end':
      return [state, '']
    case 'choice-end':
      return [state, choiceFrame(state, event.choice, '{}', null, `"${event.finishReason}"`)]
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

function roleFrames(state: ChatStreamState): string {
  let frames = ''
  for (let choice = 0; choice < state.call.request.numChoices; choice++) {
    frames += choiceFrame(state, choice, '{"role":"assistant","content":"","refusal":null}', null, 'null')
  }
  return frames
}

function choiceFrame(state: ChatStreamState, choice: number, delta: string, logprobs: readonly TokenLogprob[] | null, finishReason: string): string {
  const encoded = logprobs === null ? 'null' : JSON.stringify(encodeChatLogprobs(logprobs))
  return sseFrame(`${state.head}{"index":${choice},"delta":${delta},"logprobs":${encoded},"finish_reason":${finishReason}}${state.tail}`)
}
