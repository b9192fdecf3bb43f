import { describe, expect, test } from 'vitest'
import type { InferdError } from '#contract/errors'
import type { TensorFile, TensorInfo } from '#engine/weights/tensor-file'
import type { GgufValue, ModelConfig, ModelMetadata } from './architecture.ts'
import { gemmaEmbeddingScale } from './gemma-scales.ts'
import { findArchitecture } from './registry.ts'

const VOCAB = 100
const HIDDEN = 64

const LLAMA_GGUF: Readonly<Record<string, GgufValue>> = {
  'general.architecture': 'llama',
  'llama.block_count': 2,
  'llama.context_length': 4096,
  'llama.embedding_length': HIDDEN,
  'llama.feed_forward_length': 128,
  'llama.attention.head_count': 4,
  'llama.attention.head_count_kv': 2,
  'llama.attention.layer_norm_rms_epsilon': 1e-5,
}

const LLAMA_JSON = {
  architectures: ['LlamaForCausalLM'],
  hidden_size: HIDDEN,
  intermediate_size: 128,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: VOCAB,
  max_position_embeddings: 4096,
  rms_norm_eps: 1e-5,
}

describe('GGUF metadata', () => {
  const BAD: readonly (readonly [string, Readonly<Record<string, GgufValue | undefined>>, string])[] = [
    ['head_count 0', { 'llama.attention.head_count': 0 }, 'metadata: llama.attention.head_count is 0, allowed are 1 to 1024'],
    ['10^6 layers', { 'llama.block_count': 1_000_000 }, 'metadata: llama.block_count is 1000000, allowed are 1 to 1024'],
    ['layer count beyond 2^53', { 'llama.block_count': 2n ** 63n }, 'metadata: llama.block_count must be an integer, is 9223372036854775808'],
    ['no layer count', { 'llama.block_count': undefined }, 'metadata: llama.block_count is missing'],
    ['text for a number', { 'llama.embedding_length': '64' }, 'metadata: llama.embedding_length must be an integer, is the string "64"'],
    ['a fraction for a count', { 'llama.embedding_length': 64.5 }, 'metadata: llama.embedding_length must be an integer, is 64.5'],
    ['a list for a number', { 'llama.embedding_length': Int32Array.of(64) }, 'metadata: llama.embedding_length must be an integer, is a list of 1'],
    ['another hidden size', { 'llama.embedding_length': 32 }, 'metadata: llama.embedding_length is 32, but the rows of token_embd.weight have 64 elements'],
    ['another vocabulary', { 'llama.vocab_size': 99 }, 'metadata: llama.vocab_size is 99, but token_embd.weight has 100 rows'],
    ['heads that do not divide', { 'llama.attention.head_count': 3 }, 'metadata: llama.attention.head_count is 3, which does not divide the hidden size 64'],
    ['KV heads that do not divide', { 'llama.attention.head_count_kv': 3 }, 'metadata: llama.attention.head_count_kv is 3, which does not divide the 4 query heads'],
    ['more rotated dimensions than the head has', { 'llama.rope.dimension_count': 32 }, 'metadata: llama.rope.dimension_count rotates 32 dimensions, allowed are even numbers from 2 to the head size 16'],
    ['odd rotated dimensions', { 'llama.rope.dimension_count': 7 }, 'metadata: llama.rope.dimension_count rotates 7 dimensions, allowed are even numbers from 2 to the head size 16'],
    ['base frequency NaN', { 'llama.rope.freq_base': Number.NaN }, 'metadata: llama.rope.freq_base must be a number, is NaN'],
    ['epsilon 0', { 'llama.attention.layer_norm_rms_epsilon': 0 }, 'metadata: llama.attention.layer_norm_rms_epsilon is 0, allowed are 1e-12 to 1'],
    ['YaRN without a factor', { 'llama.rope.scaling.type': 'yarn' }, 'metadata: llama.rope.scaling.factor is missing'],
    ['negative window', { 'llama.attention.sliding_window': -1 }, 'metadata: llama.attention.sliding_window is -1, allowed are 0 to 134217728'],
  ]
  test.for(BAD)('%s is an invalid file', async ([, change, message]) => {
    const error = await failure(gguf({ ...LLAMA_GGUF, ...change }), tensorsOf('gguf'))
    expect(error).toMatchObject({ code: 'invalid_model_file', message })
  })

  const UNSUPPORTED: readonly (readonly [string, Readonly<Record<string, GgufValue>>, string])[] = [
    ['a mixture of experts', { 'llama.expert_count': 8 }, 'metadata: llama.expert_count is set'],
    ['heads that differ by layer', { 'llama.attention.head_count_kv': Uint32Array.of(2, 4) }, 'metadata: llama.attention.head_count_kv differs between layers'],
    ['values wider than keys', { 'llama.attention.value_length': 32 }, 'metadata: llama.attention.value_length is 32'],
    ['a magnitude without YaRN or factors', { 'llama.rope.scaling.attn_factor': 1.2 }, 'metadata: llama.rope.scaling.attn_factor is 1.2'],
    ['an unknown scaling', { 'llama.rope.scaling.type': 'ntk' }, 'metadata: llama.rope.scaling.type is "ntk"'],
  ]
  test.for(UNSUPPORTED)('%s is unsupported', async ([, change, message]) => {
    const error = await failure(gguf({ ...LLAMA_GGUF, ...change }), tensorsOf('gguf'))
    expect(error).toMatchObject({ code: 'unsupported_model', message: expect.stringContaining(message) })
  })

  test('a 64-bit count and one list for all layers are read as numbers', async () => {
    const config = await read(gguf({ ...LLAMA_GGUF, 'llama.block_count': 2n, 'llama.attention.head_count_kv': Uint32Array.of(2, 2) }), tensorsOf('gguf'))
    expect(config).toMatchObject({ numLayers: 2, numKvHeads: 2, headDim: 16, vocabSize: VOCAB, tiedEmbeddings: true, window: null })
  })

  test('rope_freqs.weight divides the frequencies', async () => {
    const factors = { 'rope_freqs.weight': Float32Array.of(1, 1, 1, 2, 4, 8, 8, 8) }
    const { rope } = await read(gguf(LLAMA_GGUF), tensorsOf('gguf', factors))
    expect(rope.scaling).toMatchObject({ kind: 'factors', long: [1, 1, 1, 2, 4, 8, 8, 8], attentionFactor: 1 })
  })

  test.for([
    ['too few', Float32Array.of(1, 2), 'tensor rope_freqs.weight is f32 [2], f32 [8] expected'],
    ['one zero', Float32Array.of(1, 1, 1, 0, 1, 1, 1, 1), 'tensor rope_freqs.weight holds 0, allowed are 0.001 to 10000'],
    ['one NaN', Float32Array.of(1, 1, 1, Number.NaN, 1, 1, 1, 1), 'tensor rope_freqs.weight holds NaN, allowed are 0.001 to 10000'],
  ] as const)('rope_freqs.weight with %s is an invalid file', async ([, values, message]) => {
    const error = await failure(gguf(LLAMA_GGUF), tensorsOf('gguf', { 'rope_freqs.weight': values }))
    expect(error).toMatchObject({ code: 'invalid_model_file', message })
  })

  test('Gemma 27 B, known by its layers, scales scores by the hidden size per head', async () => {
    const gemma = Object.fromEntries(Object.entries(LLAMA_GGUF).map(([key, value]) => [key.replace('llama', 'gemma2'), value]))
    const values = { ...gemma, 'general.architecture': 'gemma2', 'gemma2.attention.key_length': 8, 'gemma2.attention.value_length': 8 }
    const small = await read(gguf(values), tensorsOf('gguf'))
    const large = await read(gguf({ ...values, 'gemma2.block_count': 46 }), tensorsOf('gguf'))
    expect([small.attentionScale, large.attentionScale]).toEqual([1 / Math.sqrt(8), 1 / Math.sqrt(16)])
  })

  test('Gemma 3 has five local layers before each global one unless the file has a pattern', async () => {
    const gemma = Object.fromEntries(Object.entries(LLAMA_GGUF).map(([key, value]) => [key.replace('llama', 'gemma3'), value]))
    const values = { ...gemma, 'general.architecture': 'gemma3', 'gemma3.block_count': 7, 'gemma3.attention.sliding_window': 512 }
    const implied = await read(gguf(values), tensorsOf('gguf'))
    const stated = await read(gguf({ ...values, 'gemma3.attention.sliding_window_pattern': [true, false, true, false, true, false, true] }), tensorsOf('gguf'))
    expect(implied.window).toEqual({ size: 512, isLocalLayer: [true, true, true, true, true, false, true] })
    expect(stated.window).toEqual({ size: 512, isLocalLayer: [true, false, true, false, true, false, true] })
  })
})

describe('config.json', () => {
  const BAD: readonly (readonly [string, Readonly<Record<string, unknown>>, string])[] = [
    ['no heads key', { num_attention_heads: null }, 'config.json: num_attention_heads is missing'],
    ['another vocabulary', { vocab_size: 128 }, 'config.json: vocab_size is 128, but model.embed_tokens.weight has 100 rows'],
    ['text for an object', { rope_scaling: 'linear' }, 'config.json: rope_scaling must be an object, is the string "linear"'],
    ['linear without a factor', { rope_scaling: { type: 'linear' } }, 'config.json rope_scaling: factor is missing'],
    ['a factor of 0', { rope_scaling: { type: 'linear', factor: 0 } }, 'config.json rope_scaling: factor is 0, allowed are 0.001 to 10000'],
    [
      'long rope with too few factors',
      { rope_scaling: { type: 'longrope', short_factor: [1], long_factor: [1], original_max_position_embeddings: 64 } },
      'config.json rope_scaling: short_factor has 1 factors, 8 expected (half of the rotated dimensions)',
    ],
    [
      'frequency bounds in the wrong order',
      { rope_parameters: { rope_type: 'llama3', factor: 8, low_freq_factor: 4, high_freq_factor: 1 } },
      'config.json rope_parameters: high_freq_factor is 1, must be above low_freq_factor 4',
    ],
    ['text for a flag', { tie_word_embeddings: 'yes' }, 'config.json: tie_word_embeddings must be true or false, is the string "yes"'],
  ]
  test.for(BAD)('%s is an invalid file', async ([, change, message]) => {
    const error = await failure(json({ ...LLAMA_JSON, ...change }), tensorsOf('safetensors'))
    expect(error).toMatchObject({ code: 'invalid_model_file', message })
  })

  const UNSUPPORTED: readonly (readonly [string, Readonly<Record<string, unknown>>, string])[] = [
    ['another activation', { hidden_act: 'relu' }, 'hidden_act is "relu", supported is silu'],
    ['dynamic scaling', { rope_scaling: { type: 'dynamic', factor: 2 } }, 'type is "dynamic", supported are default, linear, llama3, yarn and longrope'],
    ['a quantized checkpoint', { quantization_config: { quant_method: 'gptq' } }, 'quantization_config is set'],
    ['an unknown layer type', { architectures: ['MistralForCausalLM'], layer_types: ['chunked_attention', 'full_attention'] }, 'layer_types has "chunked_attention"'],
  ]
  test.for(UNSUPPORTED)('%s is unsupported', async ([, change, message]) => {
    const error = await failure(json({ ...LLAMA_JSON, ...change }), tensorsOf('safetensors'))
    expect(error).toMatchObject({ code: 'unsupported_model', message: expect.stringContaining(message) })
  })

  test('older and newer RoPE keys mean the same', async () => {
    const scaling = { factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 1024 }
    const older = await read(json({ ...LLAMA_JSON, rope_theta: 500_000, rope_scaling: { ...scaling, rope_type: 'llama3' } }), tensorsOf('safetensors'))
    const newer = await read(json({ ...LLAMA_JSON, rope_parameters: { ...scaling, rope_type: 'llama3', rope_theta: 500_000 } }), tensorsOf('safetensors'))
    expect(older.rope).toEqual(newer.rope)
    expect(older.rope).toMatchObject({ theta: 500_000, scaling: { kind: 'llama3', factor: 8 } })
  })

  test('YaRN stretches the context beyond the stated one', async () => {
    const yarn = { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 4096 }
    const config = await read(json({ ...LLAMA_JSON, architectures: ['Qwen2ForCausalLM'], rope_scaling: yarn }), tensorsOf('safetensors'))
    expect(config.contextLength).toBe(16_384)
  })

  test('the old name "su" of long rope is known', async () => {
    const factors = Array.from({ length: 8 }, (_, i) => 1 + i)
    const phi3 = { ...LLAMA_JSON, architectures: ['Phi3ForCausalLM'], original_max_position_embeddings: 1024 }
    const { rope } = await read(json({ ...phi3, rope_scaling: { type: 'su', short_factor: factors, long_factor: factors } }), tensorsOf('safetensors'))
    expect(rope.scaling).toMatchObject({ kind: 'factors', originalContextLength: 1024, attentionFactor: Math.sqrt(1 + Math.log(4) / Math.log(1024)) })
  })

  test('only Mistral reads sliding_window, 4096 when absent and none when null', async () => {
    const mistral = { ...LLAMA_JSON, architectures: ['MistralForCausalLM'] }
    const windows = await Promise.all(
      [{ ...LLAMA_JSON, sliding_window: 8 }, mistral, { ...mistral, sliding_window: null }, { ...mistral, sliding_window: 8 }].map(
        async (config) => (await read(json(config), tensorsOf('safetensors'))).window?.size,
      ),
    )
    expect(windows).toEqual([undefined, 4096, undefined, 8])
  })

  test('the Gemma embedding scale is rounded to the type of the embedding', () => {
    const scaleFor = (dtype: 'f32' | 'bf16') => gemmaEmbeddingScale(3072, tensorsOf('safetensors', {}, { dtype }))
    expect([scaleFor('f32'), scaleFor('bf16')]).toEqual([Math.fround(Math.sqrt(3072)), 55.5])
  })
})

describe('the registry', () => {
  test('names what is supported when the architecture is not', () => {
    const find = () => findArchitecture(gguf({ 'general.architecture': 'mamba' }))
    expect(find).toThrow('architecture "mamba" is not supported; supported are llama, qwen2, qwen3, gemma2, gemma3, phi3')
  })

  test.for([gguf({}), gguf({ 'general.architecture': 7 }), json({}), json({ architectures: 'LlamaForCausalLM' }), json({ architectures: [] })])(
    'refuses metadata without a name',
    (metadata) => {
      expect(() => findArchitecture(metadata)).toThrow('does not name an architecture')
    },
  )
})

function gguf(values: Readonly<Record<string, GgufValue | undefined>>): ModelMetadata {
  const present = Object.entries(values).filter((entry): entry is [string, GgufValue] => entry[1] !== undefined)
  return { format: 'gguf', values: new Map(present) }
}

function json(config: Readonly<Record<string, unknown>>): ModelMetadata {
  return { format: 'safetensors', config }
}

/** A file with an embedding and the given f32 vectors. */
function tensorsOf(format: 'gguf' | 'safetensors', vectors: Readonly<Record<string, Float32Array>> = {}, { dtype = 'f32' }: { readonly dtype?: 'f32' | 'bf16' } = {}): TensorFile {
  const info = (name: string, shape: readonly number[]): [string, TensorInfo] => [name, { name, dtype, shape, fileIndex: 0, byteOffset: 0, byteLength: 0 }]
  const embedding = info(format === 'gguf' ? 'token_embd.weight' : 'model.embed_tokens.weight', [VOCAB, HIDDEN])
  return {
    format,
    paths: ['model'],
    tensors: new Map([embedding, ...Object.entries(vectors).map(([name, values]) => info(name, [values.length]))]),
    readTensor: async ({ name }) => new Uint8Array(Float32Array.from(vectors[name]!).buffer),
    close: async () => {},
  }
}

function read(metadata: ModelMetadata, tensors: TensorFile): Promise<ModelConfig> {
  return findArchitecture(metadata).readConfig(metadata, tensors)
}

async function failure(metadata: ModelMetadata, tensors: TensorFile): Promise<InferdError> {
  return await read(metadata, tensors).then(
    () => expect.fail('the configuration was accepted'),
    (error: InferdError) => error,
  )
}
