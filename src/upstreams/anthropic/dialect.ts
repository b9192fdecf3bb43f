/** Servers that speak Anthropic's Messages API. */
import type { CountRequest, GenerateRequest, JsonRecord } from '#contract/generate'
import type { Delivery } from '#contract/served-model'
import { asCount, parseRecord } from '#upstreams/json-fields'
import type { WirePost } from '#upstreams/upstream-client'
import type { AnswerDecoder, DialectTerms, UpstreamDialect } from '#upstreams/upstream-dialect'
import { brokenAnswer, notOffered } from '#upstreams/upstream-error'
import { WholeAnswer } from '#upstreams/whole-answer'
import { AnthropicStream } from './decode-stream.ts'
import { encodeMessages, encodePrompt } from './encode-request.ts'
import { readMessage } from './read-message.ts'

export interface AnthropicDialectTerms extends DialectTerms {
  readonly apiKey: string | null
}

const VERSION = '2023-06-01'

export class AnthropicDialect implements UpstreamDialect {
  private readonly terms: AnthropicDialectTerms

  constructor(terms: AnthropicDialectTerms) {
    this.terms = terms
  }

  encodeGenerate(request: GenerateRequest, delivery: Delivery): WirePost {
    return this.post('v1/messages', encodeMessages(request, delivery, this.terms))
  }

  decoder(_request: GenerateRequest, delivery: Delivery): AnswerDecoder {
    const { model } = this.terms
    return delivery === 'stream' ? new AnthropicStream(model) : new WholeAnswer(model, 1, readMessage)
  }

  encodeEmbed(): never {
    throw notOffered('model', this.terms.model)
  }

  decodeEmbed(): never {
    throw brokenAnswer(this.terms.model)
  }

  encodeCount(request: CountRequest): WirePost {
    return this.post('v1/messages/count_tokens', encodePrompt(request, this.terms))
  }

  decodeCount(text: string): number {
    const count = asCount(parseRecord(text)?.['input_tokens'])
    if (count === null) throw brokenAnswer(this.terms.model)
    return count
  }

  private post(path: string, body: JsonRecord): WirePost {
    const { baseUrl, apiKey } = this.terms
    return {
      url: new URL(`${baseUrl.pathname.replace(/\/+$/, '')}/${path}`, baseUrl),
      headers: { 'content-type': 'application/json', 'anthropic-version': VERSION, ...(apiKey === null ? {} : { 'x-api-key': apiKey }) },
      body: JSON.stringify(body),
    }
  }
}
