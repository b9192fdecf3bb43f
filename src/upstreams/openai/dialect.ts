/** OpenAI-compatible servers: vLLM, SGLang, TGI, llama-server, Ollama, OpenAI itself, and inferd. */
import type { CountRequest, EmbedRequest, EmbedResult, GenerateRequest, JsonRecord } from '#contract/generate'
import type { Delivery } from '#contract/served-model'
import { asCount, asList, asRecord, parseRecord } from '#upstreams/json-fields'
import type { WirePost } from '#upstreams/upstream-client'
import type { AnswerDecoder, DialectTerms, UpstreamDialect } from '#upstreams/upstream-dialect'
import { brokenAnswer } from '#upstreams/upstream-error'
import { WholeAnswer } from '#upstreams/whole-answer'
import { OpenAiStream } from './decode-stream.ts'
import { encodeEmbedding, encodeGeneration } from './encode-request.ts'
import { ChunkReader } from './read-chunk.ts'

export interface OpenAiDialectTerms extends DialectTerms {
  /** null = the server asks for none. */
  readonly apiKey: string | null
  readonly hasExtensions: boolean
}

export class OpenAiDialect implements UpstreamDialect {
  private readonly terms: OpenAiDialectTerms

  constructor(terms: OpenAiDialectTerms) {
    this.terms = terms
  }

  encodeGenerate(request: GenerateRequest, delivery: Delivery): WirePost {
    const { path, body } = encodeGeneration(request, delivery, this.terms)
    return this.post(path, body)
  }

  decoder(request: GenerateRequest, delivery: Delivery): AnswerDecoder {
    const { model } = this.terms
    const { numChoices } = request
    if (delivery === 'stream') return new OpenAiStream(model, request)
    return new WholeAnswer(model, numChoices, (answer, body) => new ChunkReader(model, numChoices, answer).read(body))
  }

  encodeEmbed(request: EmbedRequest): WirePost {
    return this.post('embeddings', encodeEmbedding(request, this.terms))
  }

  decodeEmbed(text: string, numInputs: number): EmbedResult {
    const answer = parseRecord(text)
    const rows = asList(answer?.['data']).map(asRecord)
    const vectors = Array.from({ length: numInputs }, (_, place) => {
      const row = rows.find((candidate, order) => (asCount(candidate?.['index']) ?? order) === place)
      const numbers = asList(row?.['embedding'])
      if (numbers.length === 0 || !numbers.every((number) => typeof number === 'number')) throw brokenAnswer(this.terms.model)
      return unitVector(numbers as readonly number[])
    })
    const promptTokens = asCount(asRecord(answer?.['usage'])?.['prompt_tokens']) ?? 0
    return { vectors, usage: { promptTokens, cachedTokens: 0, completionTokens: 0 } }
  }

  /** The family has no way that all its servers know. */
  encodeCount(_request: CountRequest): null {
    return null
  }

  decodeCount(): never {
    throw brokenAnswer(this.terms.model)
  }

  private post(path: string, body: JsonRecord): WirePost {
    const { baseUrl, apiKey } = this.terms
    return {
      url: new URL(`${baseUrl.pathname.replace(/\/+$/, '')}/${path}`, baseUrl),
      headers: {
        'content-type': 'application/json',
        accept: 'text/event-stream, application/json',
        ...(apiKey === null ? {} : { authorization: `Bearer ${apiKey}` }),
      },
      body: JSON.stringify(body),
    }
  }
}

function unitVector(numbers: readonly number[]): Float32Array {
  const norm = Math.hypot(...numbers)
  return Float32Array.from(numbers, (number) => (norm === 0 ? 0 : number / norm))
}
