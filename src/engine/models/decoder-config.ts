/**
 * The dimensions that every decoder has, read from GGUF metadata or config.json and checked against each other and against
 * the embedding tensor. What only one architecture has is read in its own file.
 */
import type { TensorFile } from '#engine/weights/tensor-file'
import type { ModelConfig, ModelMetadata } from './architecture.ts'
import { ConfigFields, RANGES } from './config-fields.ts'

export type DecoderDimensions = Pick<
  ModelConfig,
  'vocabSize' | 'hiddenSize' | 'intermediateSize' | 'numLayers' | 'numHeads' | 'numKvHeads' | 'headDim' | 'contextLength' | 'normEpsilon' | 'tiedEmbeddings'
>

/** The fields of a model's metadata; `architecture` is the key prefix in GGUF. */
export function configFields(metadata: ModelMetadata, architecture: string): ConfigFields {
  return metadata.format === 'gguf' ? ConfigFields.ofGguf(metadata.values, architecture) : ConfigFields.ofJson(metadata.config)
}

export function readGgufDimensions(fields: ConfigFields, tensors: TensorFile): DecoderDimensions {
  if (fields.integerOr('.expert_count', RANGES.width, null) !== null) throw fields.unsupported('.expert_count', 'is set: mixture-of-experts models are not supported')
  const hiddenSize = fields.integer('.embedding_length', RANGES.width)
  const numHeads = fields.uniformInteger('.attention.head_count', RANGES.heads)
  const headDim = fields.integerOr('.attention.key_length', RANGES.headDim, null) ?? derivedHeadDim(fields, '.attention.head_count', hiddenSize, numHeads)
  const valueDim = fields.integerOr('.attention.value_length', RANGES.headDim, headDim)
  if (valueDim !== headDim) throw fields.unsupported('.attention.value_length', `is ${valueDim}, only that of the keys, ${headDim}, is supported`)
  const embedding = embeddingShape(fields, '.embedding_length', tensors, { name: 'token_embd.weight', hiddenSize })
  const vocabSize = checkedVocabulary(fields, '.vocab_size', fields.integerOr('.vocab_size', RANGES.vocabulary, embedding.numRows), embedding)
  return {
    vocabSize,
    hiddenSize,
    intermediateSize: fields.uniformInteger('.feed_forward_length', RANGES.width),
    numLayers: fields.integer('.block_count', RANGES.layers),
    numHeads,
    numKvHeads: checkedKvHeads(fields, '.attention.head_count_kv', fields.uniformIntegerOr('.attention.head_count_kv', RANGES.heads, numHeads), numHeads),
    headDim,
    contextLength: fields.integer('.context_length', RANGES.contextLength),
    normEpsilon: fields.number('.attention.layer_norm_rms_epsilon', RANGES.epsilon),
    tiedEmbeddings: !tensors.tensors.has('output.weight'),
  }
}

interface HuggingFaceDefaults {
  /** Head size when `head_dim` is absent; null: hidden_size / num_attention_heads. */
  readonly headDim: number | null
  readonly normEpsilon: number
  readonly tiedEmbeddings: boolean
  readonly contextLength: number
}

/** defaults: what transformers takes when config.json leaves a key out. */
export function readHuggingFaceDimensions(fields: ConfigFields, tensors: TensorFile, defaults: HuggingFaceDefaults): DecoderDimensions {
  if (fields.has('quantization_config')) throw fields.unsupported('quantization_config', 'is set: quantized safetensors are not supported, use GGUF')
  const hiddenSize = fields.integer('hidden_size', RANGES.width)
  const numHeads = fields.integer('num_attention_heads', RANGES.heads)
  const embedding = embeddingShape(fields, 'hidden_size', tensors, { name: 'model.embed_tokens.weight', hiddenSize })
  return {
    vocabSize: checkedVocabulary(fields, 'vocab_size', fields.integer('vocab_size', RANGES.vocabulary), embedding),
    hiddenSize,
    intermediateSize: fields.integer('intermediate_size', RANGES.width),
    numLayers: fields.integer('num_hidden_layers', RANGES.layers),
    numHeads,
    numKvHeads: checkedKvHeads(fields, 'num_key_value_heads', fields.integerOr('num_key_value_heads', RANGES.heads, numHeads), numHeads),
    headDim: fields.integerOr('head_dim', RANGES.headDim, defaults.headDim) ?? derivedHeadDim(fields, 'num_attention_heads', hiddenSize, numHeads),
    contextLength: fields.integerOr('max_position_embeddings', RANGES.contextLength, defaults.contextLength),
    normEpsilon: fields.numberOr('rms_norm_eps', RANGES.epsilon, defaults.normEpsilon),
    tiedEmbeddings: fields.booleanOr('tie_word_embeddings', defaults.tiedEmbeddings) || !tensors.tensors.has('lm_head.weight'),
  }
}

/** Throws unless config.json names one of the given activations (or none at all). */
export function checkActivation(fields: ConfigFields, key: string, supported: readonly string[]): void {
  const activation = fields.textOr(key, supported[0] ?? null)
  if (activation === null || !supported.includes(activation)) throw fields.unsupported(key, `is ${JSON.stringify(activation)}, supported is ${supported.join(', ')}`)
}

interface EmbeddingShape {
  readonly name: string
  readonly numRows: number
}

function embeddingShape(fields: ConfigFields, key: string, tensors: TensorFile, expected: { readonly name: string; readonly hiddenSize: number }): EmbeddingShape {
  const { name, hiddenSize } = expected
  const shape = tensors.tensors.get(name)?.shape
  const [numRows, numColumns] = shape ?? []
  if (shape?.length !== 2 || numRows === undefined) throw fields.fault(key, `cannot be checked: the model has no matrix ${name}`)
  if (numColumns !== hiddenSize) throw fields.fault(key, `is ${hiddenSize}, but the rows of ${name} have ${numColumns} elements`)
  return { name, numRows }
}

function checkedVocabulary(fields: ConfigFields, key: string, vocabSize: number, embedding: EmbeddingShape): number {
  if (vocabSize !== embedding.numRows) throw fields.fault(key, `is ${vocabSize}, but ${embedding.name} has ${embedding.numRows} rows`)
  return vocabSize
}

function checkedKvHeads(fields: ConfigFields, key: string, numKvHeads: number, numHeads: number): number {
  if (numHeads % numKvHeads !== 0) throw fields.fault(key, `is ${numKvHeads}, which does not divide the ${numHeads} query heads`)
  return numKvHeads
}

function derivedHeadDim(fields: ConfigFields, key: string, hiddenSize: number, numHeads: number): number {
  const headDim = hiddenSize / numHeads
  if (!Number.isInteger(headDim)) throw fields.fault(key, `is ${numHeads}, which does not divide the hidden size ${hiddenSize}`)
  return headDim
}
