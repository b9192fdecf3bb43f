/** The body of an embeddings answer. `dimensions` cuts a vector to its head and scales it back to unit length. */
import type { EmbedResult } from '#contract/generate'
import type { EmbeddingCall, WireEmbeddings } from './wire-types.ts'

export function encodeEmbeddingResponse(call: EmbeddingCall, { vectors, usage }: EmbedResult): WireEmbeddings {
  return {
    object: 'list',
    data: vectors.map((vector, index) => {
      const values = call.dimensions === null ? vector : shorten(vector, call.dimensions)
      return { object: 'embedding', index, embedding: call.encodingFormat === 'base64' ? toBase64(values) : Array.from(values) }
    }),
    model: call.model,
    usage: { prompt_tokens: usage.promptTokens, total_tokens: usage.promptTokens },
  }
}

function shorten(vector: Float32Array, dimensions: number): Float32Array {
  const head = vector.slice(0, dimensions)
  const norm = Math.sqrt(head.reduce((sum, value) => sum + value * value, 0))
  return norm === 0 ? head : head.map((value) => value / norm)
}

function toBase64(values: Float32Array): string {
  const bytes = Buffer.alloc(values.length * Float32Array.BYTES_PER_ELEMENT)
  for (let index = 0; index < values.length; index++) bytes.writeFloatLE(values[index] ?? 0, index * Float32Array.BYTES_PER_ELEMENT)
  return bytes.toString('base64')
}
