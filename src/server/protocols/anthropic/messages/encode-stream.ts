/**
 * Message events: message_start, then blocks (content_block_start, deltas, content_block_stop) one after the other, message_delta with
 * reason and usage, message_stop. A failed response ends with an error event and without message_stop.
 */
import { assert, unreachable } from '#base/assert'
import type { CallReport } from '#contract/call'
import { type GenerateEvent, NO_USAGE } from '#contract/generate'
import { encodeErrorBody } from '#server/protocols/anthropic/encode-error'
import { encodeStopReason, type WireStopReason } from '#server/protocols/anthropic/stop-reason'
import { signThinking } from '#server/protocols/anthropic/thinking-signature'
import { encodeMessageUsage, encodeUsage } from '#server/protocols/anthropic/wire-usage'
import { sseEvent } from '#server/sse'
import type { MessagesCall, WireMessage } from './wire-types.ts'

type OpenBlock = { readonly kind: 'text' } | { readonly kind: 'thinking'; readonly text: string } | { readonly kind: 'tool-use' }

export interface MessageStreamState {
  readonly call: MessagesCall
  readonly report: CallReport
  readonly open: OpenBlock | null
  /** Of the open block, or of the next one. */
  readonly blockIndex: number
  readonly stopReason: WireStopReason | null
  readonly stopSequence: string | null
  readonly ended: boolean
}

type Step = readonly [MessageStreamState, string]

export function startMessageStream(call: MessagesCall, report: CallReport): MessageStreamState {
  return { call, report, open: null, blockIndex: 0, stopReason: null, stopSequence: null, ended: false }
}

/** Hot: per event. */
export function stepMessageStream(state: MessageStreamState, event: GenerateEvent): Step {
  assert(!state.ended, 'event after the end of a message')
  switch (event.type) {
    case 'response-start':
      return [state, frame('message_start', { message: encodeStart(state, event.promptTokens, event.cachedTokens) })]
    case 'text-delta':
      return event.text === '' ? [state, ''] : addText(state, event.text)
    case 'reasoning-delta':
      return event.text === '' ? [state, ''] : addThinking(state, event.text)
    case 'tool-call-start':
      return openBlock(state, { kind: 'tool-use' }, { type: 'tool_use', id: event.id, name: event.name, input: {}, caller: { type: 'direct' } })
    case 'tool-call-delta':
      return [state, delta(state, { type: 'input_json_delta', partial_json: event.argumentsText })]
    case 'tool-call-end':
      return closeBlock(state)
    case 'choice-end': {
      const [closed, frames] = closeBlock(state)
      return [{ ...closed, stopReason: encodeStopReason(event.finishReason, event.stopString), stopSequence: event.stopString }, frames]
    }
    case 'response-end': {
      const change = { stop_reason: state.stopReason, stop_sequence: state.stopSequence, stop_details: null, container: null }
      return [{ ...state, ended: true }, `${frame('message_delta', { delta: change, usage: encodeUsage(event.usage) })}${frame('message_stop', {})}`]
    }
    case 'response-error':
      return [{ ...state, ended: true }, sseEvent('error', encodeErrorBody(event.error, state.call.requestId))]
    default:
      return unreachable(event)
  }
}

function encodeStart({ call, report }: MessageStreamState, promptTokens: number, cachedTokens: number): WireMessage {
  return {
    id: call.responseId,
    type: 'message',
    role: 'assistant',
    model: call.model,
    content: [],
    stop_reason: null,
    stop_sequence: null,
    stop_details: null,
    container: null,
    diagnostics: null,
    usage: encodeMessageUsage({ ...NO_USAGE, promptTokens, cachedTokens }, report.tier),
  }
}

function addText(state: MessageStreamState, text: string): Step {
  const [opened, frames] = state.open?.kind === 'text' ? [state, ''] : openBlock(state, { kind: 'text' }, { type: 'text', text: '', citations: null })
  return [opened, frames + delta(opened, { type: 'text_delta', text })]
}

function addThinking(state: MessageStreamState, thinking: string): Step {
  const [opened, frames] =
    state.open?.kind === 'thinking'
      ? [state, '']
      : openBlock(state, { kind: 'thinking', text: '' }, { type: 'thinking', thinking: '', signature: '' })
  assert(opened.open?.kind === 'thinking', 'thoughts stand in a block of their own')
  const open = { ...opened.open, text: opened.open.text + thinking }
  return [{ ...opened, open }, frames + delta(opened, { type: 'thinking_delta', thinking })]
}

function openBlock(state: MessageStreamState, open: OpenBlock, block: object): Step {
  const [closed, frames] = closeBlock(state)
  return [{ ...closed, open }, frames + frame('content_block_start', { index: closed.blockIndex, content_block: block })]
}

function closeBlock(state: MessageStreamState): Step {
  const { open, blockIndex } = state
  if (open === null) return [state, '']
  const signed = open.kind === 'thinking' ? delta(state, { type: 'signature_delta', signature: signThinking(open.text) }) : ''
  return [{ ...state, open: null, blockIndex: blockIndex + 1 }, signed + frame('content_block_stop', { index: blockIndex })]
}

function delta({ blockIndex }: MessageStreamState, change: object): string {
  return frame('content_block_delta', { index: blockIndex, delta: change })
}

function frame(type: string, fields: object): string {
  return sseEvent(type, JSON.stringify({ type, ...fields }))
}
