/** Amazon Bedrock's runtime, and servers that speak as it does. */
import type { Clock } from '#base/clock'
import type { CountRequest, GenerateRequest, JsonRecord } from '#contract/generate'
import type { Delivery } from '#contract/served-model'
import { asCount, parseRecord } from '#upstreams/json-fields'
import { signRequest, type AwsCredentials } from '#upstreams/sign-request'
import type { WirePost } from '#upstreams/upstream-client'
import type { AnswerDecoder, DialectTerms, UpstreamDialect } from '#upstreams/upstream-dialect'
import { brokenAnswer, notOffered } from '#upstreams/upstream-error'
import { WholeAnswer } from '#upstreams/whole-answer'
import { BedrockStream } from './decode-stream.ts'
import { encodeConversation, encodeConverse } from './encode-request.ts'
import { readAnswer } from './read-answer.ts'

export interface BedrockDialectTerms extends DialectTerms {
  readonly region: string
  /** A bearer key, or credentials that sign. */
  readonly apiKey: string | null
  readonly credentials: AwsCredentials | null
  readonly clock: Clock
}

export class BedrockDialect implements UpstreamDialect {
  private readonly terms: BedrockDialectTerms

  constructor(terms: BedrockDialectTerms) {
    this.terms = terms
  }

  encodeGenerate(request: GenerateRequest, delivery: Delivery): WirePost {
    return this.post(delivery === 'stream' ? 'converse-stream' : 'converse', encodeConverse(request, this.terms.model))
  }

  decoder(_request: GenerateRequest, delivery: Delivery): AnswerDecoder {
    const { model } = this.terms
    return delivery === 'stream' ? new BedrockStream(model) : new WholeAnswer(model, 1, readAnswer)
  }

  encodeEmbed(): never {
    throw notOffered('model', this.terms.model)
  }

  decodeEmbed(): never {
    throw brokenAnswer(this.terms.model)
  }

  encodeCount(request: CountRequest): WirePost {
    return this.post('count-tokens', { input: { converse: encodeConversation(request, this.terms.model) } })
  }

  decodeCount(text: string): number {
    const count = asCount(parseRecord(text)?.['inputTokens'])
    if (count === null) throw brokenAnswer(this.terms.model)
    return count
  }

  private post(operation: string, fields: JsonRecord): WirePost {
    const { baseUrl, remoteModel, apiKey, credentials, region, clock } = this.terms
    const url = new URL(`/model/${encodeURIComponent(remoteModel)}/${operation}`, baseUrl)
    const body = JSON.stringify(fields)
    const headers = { 'content-type': 'application/json', ...(apiKey === null ? {} : { authorization: `Bearer ${apiKey}` }) }
    if (credentials === null || apiKey !== null) return { url, headers, body }
    const signed = signRequest({ method: 'POST', url, headers, body, region, service: 'bedrock', wallMs: clock.wallMs() }, credentials)
    return { url, headers: signed, body }
  }
}
