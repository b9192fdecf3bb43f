/** `POST /v1/responses` as it looks on the wire. Source: the OpenAI API reference, responses. */
import type { CallOptions } from '#contract/call'
import type { ChatMessage, GenerateRequest, JsonRecord } from '#contract/generate'
import type { WireTokenLogprob } from '#server/protocols/openai/chat/wire-types'
import type { OperationWords } from '#server/protocols/openai/places'

/** Fields of the request that its answer repeats, with the values that were used. */
export interface EchoedFields {
  readonly background: boolean
  readonly instructions: string | null
  readonly max_output_tokens: number | null
  readonly max_tool_calls: number | null
  readonly metadata: Readonly<Record<string, string>>
  readonly parallel_tool_calls: boolean
  readonly previous_response_id: string | null
  readonly prompt_cache_key: string | null
  readonly reasoning: { readonly effort: string | null; readonly summary: string | null }
  readonly safety_identifier: string | null
  readonly store: boolean
  readonly temperature: number
  readonly text: { readonly format: JsonRecord; readonly verbosity: 'medium' }
  readonly tool_choice: unknown
  readonly tools: readonly JsonRecord[]
  readonly top_logprobs: number
  readonly top_p: number
  readonly truncation: 'auto' | 'disabled'
  readonly user: string | null
}

/** A decoded call: what the encoders need beside the events. */
export interface ResponsesCall {
  readonly responseId: string
  readonly createdSeconds: number
  readonly model: string
  readonly stream: boolean
  readonly options: CallOptions
  /** Reasoning is sent as a summary, which is the whole of it, in place of its own text. */
  readonly hasSummary: boolean
  readonly echo: EchoedFields
  readonly words: OperationWords
  readonly request: GenerateRequest
  readonly inputItems: readonly JsonRecord[]
  /** The caller's part of the turn. */
  readonly turn: readonly ChatMessage[]
}

export type WireItemStatus = 'in_progress' | 'completed' | 'incomplete'

export interface WireOutputText {
  readonly type: 'output_text'
  readonly text: string
  readonly annotations: readonly never[]
  readonly logprobs: readonly WireTokenLogprob[]
}

export interface WireOutputMessage {
  readonly id: string
  readonly type: 'message'
  readonly status: WireItemStatus
  readonly role: 'assistant'
  readonly content: readonly WireOutputText[]
}

export interface WireFunctionCall {
  readonly id: string
  readonly type: 'function_call'
  readonly status: WireItemStatus
  readonly call_id: string
  readonly name: string
  readonly arguments: string
}

export interface WireReasoning {
  readonly id: string
  readonly type: 'reasoning'
  readonly status: WireItemStatus
  readonly summary: readonly { readonly type: 'summary_text'; readonly text: string }[]
  /** Absent where the summary takes its place. */
  readonly content?: readonly { readonly type: 'reasoning_text'; readonly text: string }[]
  readonly encrypted_content: null
}

export type WireOutputItem = WireOutputMessage | WireFunctionCall | WireReasoning

export interface WireResponsesUsage {
  readonly input_tokens: number
  readonly input_tokens_details: { readonly cached_tokens: number; readonly cache_write_tokens: number }
  readonly output_tokens: number
  readonly output_tokens_details: { readonly reasoning_tokens: number }
  readonly total_tokens: number
}

export interface WireResponseError {
  readonly code: string
  readonly message: string
}
