/** One text being embedded: a sink that waits for the mean hidden state and normalizes it. */
import type { InferdError } from '#contract/errors'
import type { TokenUsage } from '#contract/generate'
import type { TokenSink } from '#engine/scheduler/token-request'

export interface Embedding {
  /** f32 (hiddenSize), unit length. */
  readonly vector: Float32Array
  readonly usage: TokenUsage
}

export class EmbeddingSink implements TokenSink {
  readonly result: Promise<Embedding>
  private vector: Float32Array = new Float32Array(0)
  private resolve!: (embedding: Embedding) => void
  private reject!: (error: InferdError) => void

  constructor() {
    this.result = new Promise((resolve, reject) => {
      this.resolve = resolve
      this.reject = reject
    })
  }

  onStart(): void {}
  onToken(): void {}
  onChoiceEnd(): void {}

  onEmbedding(mean: Float64Array): void {
    this.vector = unitVector(mean)
  }

  onEnd(usage: TokenUsage): void {
    this.resolve({ vector: this.vector, usage })
  }

  onError(error: InferdError): void {
    this.reject(error)
  }
}

/** mean / |mean|; the zero vector stays zero. */
function unitVector(mean: Float64Array): Float32Array {
  const norm = Math.sqrt(mean.reduce((sum, value) => sum + value * value, 0))
  return Float32Array.from(mean, (value) => (norm === 0 ? 0 : value / norm))
}
