/** What a family of remote servers speaks: requests out, answers in. Pure; the client carries the bytes. */
import type { CountRequest, EmbedRequest, EmbedResult, GenerateEvent, GenerateRequest, Usage } from '#contract/generate'
import type { Delivery } from '#contract/served-model'
import type { WirePost } from './upstream-client.ts'

/** Reads one answer. */
export interface AnswerDecoder {
  /** Throws InferdError for what is an error or no answer. */
  push(bytes: Uint8Array): readonly GenerateEvent[]
  /** After the last byte; throws upstream_failed for an answer that was cut. */
  end(): readonly GenerateEvent[]
  /** What was read before push or end threw. */
  drain(): readonly GenerateEvent[]
  /** For an answer that fails after it began. */
  readonly usageSoFar: Usage
  /** As the upstream said it; null = it has not yet. */
  readonly toldUsage: Usage | null
}

export interface UpstreamDialect {
  /** Throws unsupported_parameter with a RequestPlace for what the family has no words for. */
  encodeGenerate(request: GenerateRequest, delivery: Delivery): WirePost
  decoder(request: GenerateRequest, delivery: Delivery): AnswerDecoder
  /** Throws unsupported_parameter where the family has no embeddings. */
  encodeEmbed(request: EmbedRequest): WirePost
  decodeEmbed(text: string, numInputs: number): EmbedResult
  /** null = the family cannot count; the model's terms say what then happens. */
  encodeCount(request: CountRequest): WirePost | null
  decodeCount(text: string): number
}

/** How a family's servers are reached for one model. */
export interface DialectTerms {
  /** As callers name it; for words. */
  readonly model: string
  /** As the upstream names it. */
  readonly remoteModel: string
  /** Without a path of the dialect's own. */
  readonly baseUrl: URL
  /** Most output tokens where the family needs a number and the caller gave none. */
  readonly maxOutputTokens: number
}
