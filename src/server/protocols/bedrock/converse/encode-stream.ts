/**
 * ConverseStream events: messageStart, then blocks one after the other (contentBlockStart only for tools, contentBlockDelta,
 * contentBlockStop), messageStop, metadata. A failed response ends with an exception frame and without messageStop.
 */
import { assert, unreachable } from '#base/assert'
import type { CallReport } from '#contract/call'
import type { GenerateEvent } from '#contract/generate'
import { eventFrame } from '#server/aws-event-stream'
import { encodeStreamError } from '#server/protocols/bedrock/encode-error'
import { encodeEnding, encodeStopReason, responseFields } from './encode-ending.ts'
import type { ConverseCall } from './wire-types.ts'

export interface ConverseStreamState {
  readonly call: ConverseCall
  readonly report: CallReport
  readonly open: 'text' | 'reasoning' | 'tool-use' | null
  /** Of the open block, or of the next one. */
  readonly blockIndex: number
  readonly ended: boolean
}

type Step = readonly [ConverseStreamState, Uint8Array]

const NOTHING = new Uint8Array()

export function startConverseStream(call: ConverseCall, report: CallReport): ConverseStreamState {
  return { call, report, open: null, blockIndex: 0, ended: false }
}

/** Hot: per event. */
export function stepConverseStream(state: ConverseStreamState, event: GenerateEvent): Step {
  assert(!state.ended, 'event after the end of a message')
  switch (event.type) {
    case 'response-start':
      return [state, frame('messageStart', { role: 'assistant' })]
    case 'text-delta':
      return event.text === '' ? [state, NOTHING] : addDelta(state, 'text', { text: event.text })
    case 'reasoning-delta':
      return event.text === '' ? [state, NOTHING] : addDelta(state, 'reasoning', { reasoningContent: { text: event.text } })
    case 'tool-call-start': {
      const [closed, frames] = closeBlock(state)
      const start = { start: { toolUse: { toolUseId: event.id, name: event.name } }, contentBlockIndex: closed.blockIndex }
      return [{ ...closed, open: 'tool-use' }, join(frames, frame('contentBlockStart', start))]
    }
    case 'tool-call-delta':
      return [state, delta(state, { toolUse: { input: event.argumentsText } })]
    case 'tool-call-end':
      return closeBlock(state)
    case 'choice-end': {
      const [closed, frames] = closeBlock(state)
      const stop = { stopReason: encodeStopReason(event.finishReason, event.stopString), ...responseFields(state.call, event.stopString) }
      return [closed, join(frames, frame('messageStop', stop))]
    }
    case 'response-end':
      return [{ ...state, ended: true }, frame('metadata', encodeEnding(state.call, event.usage, state.report))]
    case 'response-error':
      return [{ ...state, ended: true }, encodeStreamError(event.error, { knowsTimeout: false })]
    default:
      return unreachable(event)
  }
}

function addDelta(state: ConverseStreamState, kind: 'text' | 'reasoning', change: object): Step {
  if (state.open === kind) return [state, delta(state, change)]
  const [closed, frames] = closeBlock(state)
  return [{ ...closed, open: kind }, join(frames, delta(closed, change))]
}

function closeBlock(state: ConverseStreamState): Step {
  const { open, blockIndex } = state
  if (open === null) return [state, NOTHING]
  return [{ ...state, open: null, blockIndex: blockIndex + 1 }, frame('contentBlockStop', { contentBlockIndex: blockIndex })]
}

function delta({ blockIndex }: ConverseStreamState, change: object): Uint8Array {
  return frame('contentBlockDelta', { delta: change, contentBlockIndex: blockIndex })
}

function frame(type: string, event: object): Uint8Array {
  return eventFrame(type, JSON.stringify(event))
}

function join(first: Uint8Array, second: Uint8Array): Uint8Array {
  return first.length === 0 ? second : Buffer.concat([first, second])
}
