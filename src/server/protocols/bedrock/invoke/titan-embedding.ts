/** Embeddings in the bodies of Amazon Titan, versions 1 and 2. Source: the Bedrock user guide, "Amazon Titan Text Embeddings". */
import type { CallOptions } from '#contract/call'
import type { EmbedRequest, EmbedResult } from '#contract/generate'
import { readCallOptions } from '#server/call-option-headers'
import { Fields, invalid, unsupported } from '#server/fields'
import type { DecodeContext, EmbedCall, Incoming } from '#server/operation'
import { replyHeaders } from './encode-invoke.ts'
import { takeTerms } from './invoke-terms.ts'

const EMBEDDING_TYPES = ['float', 'binary'] as const
type EmbeddingType = (typeof EMBEDDING_TYPES)[number]

interface TitanCall {
  /** null = as long as the model's. */
  readonly dimensions: number | null
  /** Of `embeddingsByType`; `embedding` is always there. */
  readonly types: readonly EmbeddingType[]
  readonly request: EmbedRequest
}

export function decodeTitan(request: Incoming, context: DecodeContext): EmbedCall {
  const { incoming, terms } = takeTerms(request)
  const call = readTitan(new Fields(incoming.body), context)
  const options: CallOptions = { ...readCallOptions(incoming.headers), ...terms.options }
  const { requestId, elapsedMs } = context
  return {
    request: call.request,
    options,
    placeOf: (place) => (place.startsWith('input') ? 'inputText' : place),
    encodeResponse: (result, report) => ({
      status: 200,
      headers: replyHeaders({ requestId, terms, elapsedMs }, result.usage, report.tier),
      body: Buffer.from(JSON.stringify(encodeTitan(call, result))),
    }),
  }
}

function readTitan(fields: Fields, { responseId, facts }: DecodeContext): TitanCall {
  fields.check({ inputText: 'read', dimensions: 'read', normalize: 'read', embeddingTypes: 'read' })
  if (fields.boolean('normalize') === false) {
    throw unsupported('normalize', 'normalize: the embeddings of this server have length 1; leave it out or send true')
  }
  const types = fields.list('embeddingTypes', { minItems: 1, maxItems: EMBEDDING_TYPES.length })
  return {
    dimensions: fields.integer('dimensions', { min: 1, max: facts.hiddenSize }),
    types: types === null ? ['float'] : types.map(readType),
    request: {
      requestId: responseId,
      inputs: [{ kind: 'text', text: fields.requiredText('inputText', { minLength: 1 }) }],
      priority: 0,
      cacheSalt: '',
    },
  }
}

function readType(item: unknown): EmbeddingType {
  const type = EMBEDDING_TYPES.find((each) => each === item)
  if (type === undefined) throw invalid('embeddingTypes', `embeddingTypes must be of ${EMBEDDING_TYPES.join(', ')}`)
  return type
}

function encodeTitan({ dimensions, types }: TitanCall, { vectors, usage }: EmbedResult): object {
  const embedding = shorten(vectors[0] ?? new Float32Array(), dimensions)
  const byType = Object.fromEntries(types.map((type) => [type, type === 'float' ? embedding : embedding.map((value) => (value > 0 ? 1 : 0))]))
  return { embedding, inputTextTokenCount: usage.promptTokens, embeddingsByType: byType }
}

/** The first components, brought back to length 1. */
function shorten(vector: Float32Array, dimensions: number | null): number[] {
  const numbers = Array.from(vector)
  if (dimensions === null || dimensions >= numbers.length) return numbers
  const head = numbers.slice(0, dimensions)
  const length = Math.hypot(...head)
  return length === 0 ? head : head.map((value) => value / length)
}
