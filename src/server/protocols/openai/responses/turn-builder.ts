/**
 * Items become messages: reasoning, text and calls that follow each other are one message of the assistant; each call is answered by
 * exactly one output before anything else is said.
 */
import type { ChatMessage, ToolCall } from '#contract/generate'
import { invalid } from '#server/fields'

interface OpenMessage {
  content: string | null
  reasoning: string
  readonly toolCalls: ToolCall[]
  /** Of each call. */
  readonly paths: string[]
}

interface PendingCall {
  readonly name: string
  readonly path: string
}

export class TurnBuilder {
  private readonly messages: ChatMessage[] = []
  /** The message of the assistant that is being put together. */
  private open: OpenMessage | null = null
  /** Calls of the last message of the assistant without an output, by id, in order. */
  private readonly pending = new Map<string, PendingCall>()

  /** `history`: the conversation that the turn continues, whole but for its last calls; they may be answered now. `path` names it. */
  constructor(history: readonly ChatMessage[], path: string) {
    const last = history.at(-1)
    if (last?.role !== 'assistant') return
    for (const { id, name } of last.toolCalls ?? []) this.pending.set(id, { name, path })
  }

  addMessage(role: 'system' | 'user' | 'assistant', content: string): void {
    if (role === 'assistant') {
      if (this.open !== null && (this.open.content !== null || this.open.toolCalls.length > 0)) this.close()
      this.opened().content = content
      return
    }
    this.close()
    this.checkAnswered()
    this.messages.push({ role, content })
  }

  addReasoning(text: string): void {
    if (this.open !== null && (this.open.content !== null || this.open.toolCalls.length > 0)) this.close()
    const open = this.opened()
    open.reasoning = open.reasoning === '' ? text : `${open.reasoning}\n${text}`
  }

  addCall(call: ToolCall, path: string): void {
    const open = this.opened()
    if (open.toolCalls.some(({ id }) => id === call.id)) throw invalid(`${path}.call_id`, `${path}.call_id is the id of an earlier call`)
    open.toolCalls.push(call)
    open.paths.push(path)
  }

  addOutput(callId: string, content: string, path: string): void {
    this.close()
    const call = this.pending.get(callId)
    if (call === undefined)
      throw invalid(`${path}.call_id`, `${path}.call_id must be the call_id of a function_call before it that has no output yet`)
    this.pending.delete(callId)
    this.messages.push({ role: 'tool', content, toolCallId: callId, name: call.name })
  }

  finish(): readonly ChatMessage[] {
    this.close()
    this.checkAnswered()
    return this.messages
  }

  private opened(): OpenMessage {
    if (this.open === null) this.checkAnswered()
    this.open ??= { content: null, reasoning: '', toolCalls: [], paths: [] }
    return this.open
  }

  private close(): void {
    const { open } = this
    if (open === null) return
    this.open = null
    this.messages.push(assistantMessage({ text: open.content ?? '', reasoning: open.reasoning, toolCalls: open.toolCalls }))
    for (const [index, { id, name }] of open.toolCalls.entries()) this.pending.set(id, { name, path: open.paths[index] ?? 'input' })
  }

  private checkAnswered(): void {
    const [first] = this.pending.values()
    if (first === undefined) return
    const subject = first.path.startsWith('input') ? first.path : `the call of ${first.name} in the response before`
    throw invalid(first.path, `${subject} must be followed by a function_call_output with its call_id`)
  }
}

interface AssistantParts {
  readonly text: string
  /** '' = none. */
  readonly reasoning: string
  readonly toolCalls: readonly ToolCall[]
}

export function assistantMessage({ text, reasoning, toolCalls }: AssistantParts): ChatMessage {
  return {
    role: 'assistant',
    content: text,
    ...(reasoning === '' ? {} : { reasoning }),
    ...(toolCalls.length === 0 ? {} : { toolCalls }),
  }
}
