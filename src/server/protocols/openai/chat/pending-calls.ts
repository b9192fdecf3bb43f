/**
 * The calls of the last assistant message that no tool message has answered yet. As OpenAI has it, each call is answered exactly once
 * before any other message, and a tool message answers nothing else.
 */
import type { ToolCall } from '#contract/generate'
import { type Fields, invalid } from '#server/fields'
import { MAX_CALL_ID_LENGTH } from './read-tool-calls.ts'

export class PendingCalls {
  private path = ''
  /** By id, in the order of the message; of an answered call the index stays. */
  private calls: ReadonlyMap<string, ToolCall> = new Map()
  private readonly answered = new Set<string>()

  /** The calls of the assistant message behind `fields`. Those before it must be answered. */
  open(fields: Fields, toolCalls: readonly ToolCall[]): void {
    this.path = fields.pathOf('tool_calls')
    this.calls = new Map(toolCalls.map((call) => [call.id, call]))
    this.answered.clear()
  }

  /** The call that the tool message behind `fields` answers. */
  answer(fields: Fields): ToolCall {
    const id = fields.requiredText('tool_call_id', { minLength: 1, maxLength: MAX_CALL_ID_LENGTH })
    const param = fields.pathOf('tool_call_id')
    const call = this.calls.get(id)
    if (call === undefined) throw invalid(param, `${param} must be the id of a call of the assistant message before it`)
    if (this.answered.has(id)) throw invalid(param, `${param} is the id of a call that an earlier message has answered`)
    this.answered.add(id)
    return call
  }

  /** Another message, or the end: every call must be answered. */
  close(): void {
    const index = [...this.calls.keys()].findIndex((id) => !this.answered.has(id))
    if (index === -1) return
    const param = `${this.path}[${index}]`
    throw invalid(param, `${param} must be followed by a tool message that answers it`)
  }
}
