/** `POST /v1/embeddings` as it looks on the wire. Source: the OpenAI API reference, embeddings. */
import type { EmbedRequest } from '#contract/generate'

export interface EmbeddingCall {
  readonly model: string
  readonly encodingFormat: 'float' | 'base64'
  /** `input` is a list of inputs, also of one. */
  readonly hasInputList: boolean
  /** null = the model's own size. */
  readonly dimensions: number | null
  readonly request: EmbedRequest
}

export interface WireEmbeddings {
  readonly object: 'list'
  readonly data: readonly {
    readonly object: 'embedding'
    readonly index: number
    /** base64: the bytes of little-endian f32 values. */
    readonly embedding: readonly number[] | string
  }[]
  readonly model: string
  readonly usage: { readonly prompt_tokens: number; readonly total_tokens: number }
}
