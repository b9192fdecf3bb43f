/**
 * An architecture is one file in this room: how its configuration is read from GGUF metadata and from config.json, and how
 * its program is built. Everything else of the engine is architecture-blind.
 */
import type { Program } from '#engine/program/program'
import type { TensorFile } from '#engine/weights/tensor-file'

/** A checked model configuration. One record for all architectures: what an architecture lacks is null or its neutral value. */
export interface ModelConfig {
  readonly architecture: string
  readonly vocabSize: number
  readonly hiddenSize: number
  readonly intermediateSize: number
  readonly numLayers: number
  readonly numHeads: number
  readonly numKvHeads: number
  readonly headDim: number
  /** Longest context that the model was made for, in tokens. */
  readonly contextLength: number
  readonly normEpsilon: number
  readonly rope: RopeConfig
  /** Sliding window in tokens, and which layers have it. */
  readonly window: { readonly size: number; readonly isLocalLayer: readonly boolean[] } | null
  readonly attentionSoftcap: number | null
  readonly finalLogitSoftcap: number | null
  /** Score scale; 1 / sqrt(headDim) unless the model says otherwise. */
  readonly attentionScale: number
  readonly tiedEmbeddings: boolean
}

export interface RopeConfig {
  readonly theta: number
  /** Base frequency of local (sliding-window) layers where it differs (Gemma 3). */
  readonly localTheta: number | null
  readonly rotaryDim: number
  readonly scaling: RopeScaling
}

export type RopeScaling =
  | { readonly kind: 'none' }
  | { readonly kind: 'linear'; readonly factor: number }
  | {
      readonly kind: 'llama3'
      readonly factor: number
      readonly lowFrequencyFactor: number
      readonly highFrequencyFactor: number
      readonly originalContextLength: number
    }
  | {
      readonly kind: 'yarn'
      readonly factor: number
      readonly originalContextLength: number
      readonly betaFast: number
      readonly betaSlow: number
      readonly attentionFactor: number
    }
  /** Per-frequency factors (Phi-3 long rope; Llama-3 GGUF files store theirs as a tensor). Short or long is picked by the served context length. */
  | {
      readonly kind: 'factors'
      readonly short: readonly number[]
      readonly long: readonly number[]
      readonly originalContextLength: number
      readonly attentionFactor: number
    }

/** A parsed model on disk, before anything is built: either GGUF metadata or the Hugging Face folder's config.json. */
export type ModelMetadata =
  | { readonly format: 'gguf'; readonly values: ReadonlyMap<string, GgufValue> }
  | { readonly format: 'safetensors'; readonly config: Readonly<Record<string, unknown>> }

export type GgufValue = string | number | bigint | boolean | readonly string[] | readonly boolean[] | GgufNumberArray
export type GgufNumberArray = Uint8Array | Int8Array | Uint16Array | Int16Array | Uint32Array | Int32Array | Float32Array | Float64Array | BigUint64Array | BigInt64Array

export interface Architecture {
  readonly name: string
  /** Values of `general.architecture` that it serves. */
  readonly ggufNames: readonly string[]
  /** Values of config.json `architectures[0]` that it serves. */
  readonly huggingFaceNames: readonly string[]
  /** Checks every field that it reads. Async because GGUF files keep RoPE factors in tensors. Throws InferdError('invalid_model_file' | 'unsupported_model'). */
  readConfig(metadata: ModelMetadata, tensors: TensorFile): Promise<ModelConfig>
  /** servedContextLength picks context-dependent RoPE factors. */
  build(config: ModelConfig, tensors: TensorFile, servedContextLength: number): Program
}
