/**
 * Text generation events as server-sent frames, one for each token: its text is what became readable with it, '' while a code point is not
 * whole. The last frame has no token of its own; it has the whole text and why it ended. A failed response ends with an error object.
 */
import { assert, unreachable } from '#base/assert'
import type { FinishReason, GenerateEvent, TokenLogprob } from '#contract/generate'
import { sseFrame } from '#server/sse'
import { encodeFinishReason, encodeToken } from './encode-response.ts'
import type { TextGenerationCall, WireStreamFrame, WireToken } from './wire-types.ts'

/** In the schema an id is never null: typed clients read a number from every frame. */
const NO_TOKEN = { id: 0, logprob: null } as const

export interface TextGenerationStreamState {
  readonly call: TextGenerationCall
  /** Everything that was written. */
  readonly text: string
  readonly numFrames: number
  readonly end: { readonly finishReason: FinishReason; readonly stopString: string | null } | null
}

export function startTextGenerationStream(call: TextGenerationCall): TextGenerationStreamState {
  return { call, text: '', numFrames: 0, end: null }
}

/** Hot: per token. */
export function stepTextGenerationStream(state: TextGenerationStreamState, event: GenerateEvent): readonly [TextGenerationStreamState, string] {
  switch (event.type) {
    case 'response-start':
      return [state, '']
    case 'reasoning-delta':
    case 'text-delta':
      return stepText(state, event.text, event.logprobs ?? [])
    case 'tool-call-start':
    case 'tool-call-delta':
    case 'tool-call-end':
      assert(false, 'a tool call in an answer to a raw prompt')
    case 'choice-end':
      return [{ ...state, end: event }, '']
    case 'response-end': {
      const { call, end } = state
      assert(end !== null, 'response ended before its choice')
      const { completionTokens, promptTokens } = event.usage
      const finishReason = encodeFinishReason(end.finishReason, end.stopString)
      const frame: WireStreamFrame = {
        index: state.numFrames + 1,
        token: { ...NO_TOKEN, text: '', special: true },
        generated_text: (call.returnFullText ? (call.inputs[0] ?? '') : '') + state.text,
        details: { finish_reason: finishReason, generated_tokens: completionTokens, input_length: promptTokens, seed: call.seed },
      }
      return [state, sseFrame(JSON.stringify(frame))]
    }
    case 'response-error': {
      const { code, message } = event.error
      return [state, sseFrame(JSON.stringify({ error: message, error_type: code === 'overloaded' ? 'overloaded' : 'generation' }))]
    }
    default:
      return unreachable(event)
  }
}

function stepText(state: TextGenerationStreamState, text: string, tokens: readonly TokenLogprob[]): readonly [TextGenerationStreamState, string] {
  if (text === '' && tokens.length === 0) return [state, '']
  const last = tokens.length - 1
  const next = { ...state, text: state.text + text, numFrames: state.numFrames + Math.max(1, tokens.length) }
  if (last < 0) return [next, tokenFrame(state.numFrames + 1, { ...NO_TOKEN, text, special: false }, null)]
  const frames = tokens.map((token, index) => {
    const wire = encodeToken({ ...token, text: index === last ? text : '' })
    return tokenFrame(state.numFrames + 1 + index, wire, state.call.numTopTokens === 0 ? null : token.top.map(encodeToken))
  })
  return [next, frames.join('')]
}

function tokenFrame(index: number, token: WireToken, topTokens: readonly WireToken[] | null): string {
  const frame: WireStreamFrame = { index, token, ...(topTokens === null ? {} : { top_tokens: topTokens }), generated_text: null, details: null }
  return sseFrame(JSON.stringify(frame))
}
