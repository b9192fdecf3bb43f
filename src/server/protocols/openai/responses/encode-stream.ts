/**
 * Events as the typed events of the Responses API, numbered from 0: the response is created, then each item is added, filled and done,
 * one after the other, then the response is completed, incomplete or failed. An item is done when the next one begins or the answer ends:
 * only then it is known whether it was cut.
 */
import { assert, unreachable } from '#base/assert'
import type { CallReport } from '#contract/call'
import type { FinishReason, GenerateEvent, TokenLogprob } from '#contract/generate'
import { encodeChatLogprobs } from '#server/protocols/openai/chat/encode-logprobs'
import { sseEvent } from '#server/sse'
import { callItem, isCutBy, messageItem, reasoningItem, textPart } from './encode-items.ts'
import { encodeEnded, encodeFailed, encodeUnfinished } from './encode-response.ts'
import type { ResponsesCall, WireItemStatus, WireOutputItem } from './wire-types.ts'

interface OpenItem {
  readonly kind: 'reasoning' | 'message' | 'function_call'
  readonly id: string
  readonly index: number
  /** Of a call: its own id and name; '' elsewhere. */
  readonly callId: string
  readonly name: string
  /** What the item says, or the arguments of the call. */
  text: string
  readonly logprobs: TokenLogprob[]
}

/** Moves on with each event. */
export interface ResponsesStreamState {
  readonly call: ResponsesCall
  readonly report: CallReport
  numEvents: number
  readonly items: WireOutputItem[]
  open: OpenItem | null
  /** Of text that is not there yet. */
  heldLogprobs: TokenLogprob[]
  finishReason: FinishReason | null
}

export function startResponsesStream(call: ResponsesCall, report: CallReport): ResponsesStreamState {
  return { call, report, numEvents: 0, items: [], open: null, heldLogprobs: [], finishReason: null }
}

/** Hot: per token. */
export function stepResponsesStream(state: ResponsesStreamState, event: GenerateEvent): readonly [ResponsesStreamState, string] {
  return [state, framesOf(state, event)]
}

function framesOf(state: ResponsesStreamState, event: GenerateEvent): string {
  switch (event.type) {
    case 'response-start':
      return startFrames(state)
    case 'reasoning-delta':
      return event.text === '' ? '' : openFrames(state, 'reasoning') + deltaFrame(state, event.text, null)
    case 'text-delta':
      return textFrames(state, event.text, event.logprobs)
    case 'tool-call-start':
      return openFrames(state, 'function_call', { callId: event.id, name: event.name })
    case 'tool-call-delta':
      return event.argumentsText === '' ? '' : deltaFrame(state, event.argumentsText, null)
    case 'tool-call-end':
      return ''
    case 'choice-end':
      state.finishReason = event.finishReason
      return (state.open === null ? openFrames(state, 'message') : '') + closeFrames(state, isCutBy(event.finishReason) ? 'incomplete' : 'completed')
    case 'response-end':
      return endFrame(state, event.usage)
    case 'response-error': {
      // A stream that fails before its start has told nothing of the response yet.
      const start = state.numEvents === 0 ? startFrames(state) : ''
      return start + frame(state, 'response.failed', { response: encodeFailed(state.call, state.items, event.error) })
    }
    default:
      return unreachable(event)
  }
}

function startFrames(state: ResponsesStreamState): string {
  const { background } = state.call.echo
  const response = encodeUnfinished(state.call, 'in_progress')
  const created = frame(state, 'response.created', { response: background ? encodeUnfinished(state.call, 'queued') : response })
  const queued = background ? frame(state, 'response.queued', { response: encodeUnfinished(state.call, 'queued') }) : ''
  return created + queued + frame(state, 'response.in_progress', { response })
}

function endFrame(state: ResponsesStreamState, usage: Extract<GenerateEvent, { type: 'response-end' }>['usage']): string {
  const { call, report, items, finishReason } = state
  assert(finishReason !== null, 'response ended before its choice')
  const type = isCutBy(finishReason) ? 'response.incomplete' : 'response.completed'
  return frame(state, type, { response: encodeEnded(call, { items, finishReason, usage }, report) })
}

/** Tokens whose text is not whole yet wait for it. */
function textFrames(state: ResponsesStreamState, text: string, logprobs: readonly TokenLogprob[] | null): string {
  if (logprobs !== null) state.heldLogprobs.push(...logprobs)
  if (text === '') return ''
  const opened = openFrames(state, 'message')
  const held = state.heldLogprobs
  state.heldLogprobs = []
  return opened + deltaFrame(state, text, held)
}

const NO_CALL = { callId: '', name: '' }

/** The item that is open is done when it is another one; a call is always another one. */
function openFrames(state: ResponsesStreamState, kind: OpenItem['kind'], { callId, name } = NO_CALL): string {
  if (state.open?.kind === kind && kind !== 'function_call') return ''
  const closed = closeFrames(state, 'completed')
  const index = state.items.length
  const item = emptyItem(state.call, index, kind, { callId, name })
  state.open = { kind, id: item.id, index, callId, name, text: '', logprobs: [] }
  const added = frame(state, 'response.output_item.added', { output_index: index, item })
  return closed + added + partFrame(state, state.open, 'added', '')
}

function emptyItem(call: ResponsesCall, index: number, kind: OpenItem['kind'], { callId, name }: typeof NO_CALL): WireOutputItem {
  switch (kind) {
    case 'reasoning':
      return reasoningItem(call, index, '', 'in_progress')
    case 'message':
      return messageItem(call, index, [], 'in_progress')
    case 'function_call':
      return callItem(call, index, { id: callId, name, arguments: '' }, 'in_progress')
  }
}

function doneItem({ call }: ResponsesStreamState, { kind, index, callId, name, text, logprobs }: OpenItem, status: WireItemStatus): WireOutputItem {
  switch (kind) {
    case 'reasoning':
      return reasoningItem(call, index, text, status)
    case 'message':
      return messageItem(call, index, [textPart(text, logprobs)], status)
    case 'function_call':
      return callItem(call, index, { id: callId, name, arguments: text }, status)
  }
}

function closeFrames(state: ResponsesStreamState, status: WireItemStatus): string {
  const { open } = state
  if (open === null) return ''
  if (open.kind === 'message') open.logprobs.push(...state.heldLogprobs.splice(0))
  const item = doneItem(state, open, status)
  state.items.push(item)
  state.open = null
  return (
    textDoneFrame(state, open) +
    partFrame(state, open, 'done', open.text) +
    frame(state, 'response.output_item.done', { output_index: open.index, item })
  )
}

/** Of a part inside of an item; a call has none. */
function partFrame(state: ResponsesStreamState, open: OpenItem, step: 'added' | 'done', text: string): string {
  const place = { item_id: open.id, output_index: open.index }
  if (open.kind === 'function_call') return ''
  if (open.kind === 'message') {
    return frame(state, `response.content_part.${step}`, { ...place, content_index: 0, part: textPart(text, step === 'done' ? open.logprobs : []) })
  }
  if (state.call.hasSummary) {
    return frame(state, `response.reasoning_summary_part.${step}`, { ...place, summary_index: 0, part: { type: 'summary_text', text } })
  }
  return frame(state, `response.content_part.${step}`, { ...place, content_index: 0, part: { type: 'reasoning_text', text } })
}

function textDoneFrame(state: ResponsesStreamState, { kind, id, index, name, text, logprobs }: OpenItem): string {
  const place = { item_id: id, output_index: index }
  switch (kind) {
    case 'message':
      return frame(state, 'response.output_text.done', { ...place, content_index: 0, text, logprobs: encodeChatLogprobs(logprobs)?.content ?? [] })
    case 'function_call':
      return frame(state, 'response.function_call_arguments.done', { ...place, name, arguments: text })
    case 'reasoning':
      return state.call.hasSummary
        ? frame(state, 'response.reasoning_summary_text.done', { ...place, summary_index: 0, text })
        : frame(state, 'response.reasoning_text.done', { ...place, content_index: 0, text })
  }
}

function deltaFrame(state: ResponsesStreamState, delta: string, logprobs: readonly TokenLogprob[] | null): string {
  const { open } = state
  assert(open !== null, 'text for an item that is not open')
  open.text += delta
  const place = { item_id: open.id, output_index: open.index }
  switch (open.kind) {
    case 'message':
      open.logprobs.push(...(logprobs ?? []))
      return frame(state, 'response.output_text.delta', { ...place, content_index: 0, delta, logprobs: encodeChatLogprobs(logprobs)?.content ?? [] })
    case 'function_call':
      return frame(state, 'response.function_call_arguments.delta', { ...place, delta })
    case 'reasoning':
      return state.call.hasSummary
        ? frame(state, 'response.reasoning_summary_text.delta', { ...place, summary_index: 0, delta })
        : frame(state, 'response.reasoning_text.delta', { ...place, content_index: 0, delta })
  }
}

function frame(state: ResponsesStreamState, type: string, fields: object): string {
  return sseEvent(type, JSON.stringify({ type, sequence_number: state.numEvents++, ...fields }))
}
