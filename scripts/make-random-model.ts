/**
 * Writes a Llama-shaped GGUF with random weights and a complete tokenizer, for speed measurements: speed does not depend on
 * the values. The file also loads in llama.cpp. Weights come from one pool of random blocks per format, read from a new place for
 * each tensor; the pool's length is a prime above any row count, so that no two rows of a tensor are equal.
 *
 *   node --conditions=inferd-source scripts/make-random-model.ts --size 1b --type q4_0 --out FILE [--seed N] [--context N] [--pure]
 */
import { parseArgs } from 'node:util'
import { SeededRandom } from '#base/random'
import { DTYPES, type DType } from '#engine/tensor/dtype'
import { tensorByteLength, writeGguf, type TensorToWrite, type TypedValue } from '#engine/weights/gguf/gguf-writer'
import { floatToHalf } from '#engine/weights/half-float'
import { chooseDType, SCHEME_SPECS, type Scheme } from '#engine/weights/quantize/tensor-scheme'

interface ModelShape {
  readonly hiddenSize: number
  readonly numLayers: number
  readonly numHeads: number
  readonly numKvHeads: number
  readonly intermediateSize: number
  readonly vocabSize: number
}

const SHAPES: Readonly<Record<string, ModelShape>> = {
  tiny: { hiddenSize: 256, numLayers: 4, numHeads: 8, numKvHeads: 4, intermediateSize: 768, vocabSize: 4096 },
  '0.5b': { hiddenSize: 1280, numLayers: 24, numHeads: 20, numKvHeads: 4, intermediateSize: 3584, vocabSize: 32000 },
  /** TinyLlama 1.1 B. */
  '1b': { hiddenSize: 2048, numLayers: 22, numHeads: 32, numKvHeads: 4, intermediateSize: 5632, vocabSize: 32000 },
  '3b': { hiddenSize: 3072, numLayers: 28, numHeads: 24, numKvHeads: 8, intermediateSize: 8192, vocabSize: 32000 },
  '8b': { hiddenSize: 4096, numLayers: 32, numHeads: 32, numKvHeads: 8, intermediateSize: 14336, vocabSize: 32000 },
}

const TYPES: Readonly<Record<string, Scheme>> = { q4_0: 'q4_0', q8_0: 'q8_0', q4_k_m: 'q4_k_m', f16: 'f16' }

/** Blocks (or runs of 32 halves) in a pool: a prime above the most rows of a tensor. */
const POOL_BLOCKS = 32_771
const HALVES_PER_RUN = 32

const CHAT_TEMPLATE =
  "{% for message in messages %}{{ '<|' + message['role'] + '|>\\n' + message['content'] + eos_token + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}"

const TOKEN_KINDS = { normal: 1, unknown: 2, control: 3, byte: 6 } as const

/** Byte offsets of the f16 scales in a block, and the standard deviation of an element at scale 1. */
const SCALED_FORMATS: Partial<Record<DType, { readonly scaleAt: number; readonly minimumAt: number | null; readonly deviation: number }>> = {
  q8_0: { scaleAt: 0, minimumAt: null, deviation: 73.9 },
  q4_0: { scaleAt: 0, minimumAt: null, deviation: 4.6 },
  q4_k: { scaleAt: 0, minimumAt: 2, deviation: 258 },
  q6_k: { scaleAt: 208, minimumAt: null, deviation: 1360 },
}

await main()

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      size: { type: 'string', default: '1b' },
      type: { type: 'string', default: 'q4_0' },
      out: { type: 'string' },
      seed: { type: 'string', default: '1' },
      context: { type: 'string', default: '2048' },
      pure: { type: 'boolean', default: false },
    },
  })
  const shape = SHAPES[values.size]
  const scheme = TYPES[values.type]
  if (shape === undefined || scheme === undefined || values.out === undefined) {
    const [sizes, types] = [Object.keys(SHAPES).join('|'), Object.keys(TYPES).join('|')]
    console.error(`usage: make-random-model --size ${sizes} --type ${types} --out FILE [--seed N] [--context N] [--pure]`)
    process.exitCode = 2
    return
  }
  const startedMs = performance.now()
  const tensors = listTensors(shape, { scheme, pure: values.pure })
  const metadata = describeModel(shape, { name: `random-${values.size}`, scheme, contextLength: Number(values.context) })
  const random = new SeededRandom(Number(values.seed))
  const pools = new Map<string, Uint8Array>()
  await writeGguf(values.out, {
    metadata,
    tensors,
    writeData: async (tensor, write) => {
      if (tensor.dtype === 'f32') return write(normWeights(tensor.shape.at(-1)!, random))
      const columns = tensor.shape.at(-1)!
      const key = `${tensor.dtype} ${columns}`
      const pool = pools.get(key) ?? makePool(tensor.dtype, columns, random)
      pools.set(key, pool)
      return writeFromPool(tensor, pool, { random, write })
    },
  })
  const bytes = tensors.reduce((sum, tensor) => sum + tensorByteLength(tensor), 0)
  const parameters = tensors.reduce((sum, { shape: dimensions }) => sum + dimensions.reduce((product, one) => product * one, 1), 0)
  const seconds = (performance.now() - startedMs) / 1000
  console.log(`${values.out}: ${(parameters / 1e6).toFixed(1)} M parameters, ${(bytes / 1e6).toFixed(1)} MB, ${seconds.toFixed(1)} s`)
}

function listTensors(shape: ModelShape, { scheme, pure }: { readonly scheme: Scheme; readonly pure: boolean }): TensorToWrite[] {
  const { hiddenSize, numLayers, numHeads, numKvHeads, intermediateSize, vocabSize } = shape
  const kvWidth = (hiddenSize / numHeads) * numKvHeads
  const shapes: [string, number[]][] = [['token_embd.weight', [vocabSize, hiddenSize]]]
  for (let layer = 0; layer < numLayers; layer++) {
    shapes.push(
      [`blk.${layer}.attn_norm.weight`, [hiddenSize]],
      [`blk.${layer}.attn_q.weight`, [hiddenSize, hiddenSize]],
      [`blk.${layer}.attn_k.weight`, [kvWidth, hiddenSize]],
      [`blk.${layer}.attn_v.weight`, [kvWidth, hiddenSize]],
      [`blk.${layer}.attn_output.weight`, [hiddenSize, hiddenSize]],
      [`blk.${layer}.ffn_norm.weight`, [hiddenSize]],
      [`blk.${layer}.ffn_gate.weight`, [intermediateSize, hiddenSize]],
      [`blk.${layer}.ffn_up.weight`, [intermediateSize, hiddenSize]],
      [`blk.${layer}.ffn_down.weight`, [hiddenSize, intermediateSize]],
    )
  }
  shapes.push(['output_norm.weight', [hiddenSize]], ['output.weight', [vocabSize, hiddenSize]])
  const options = { scheme, pure, hasOutputTensor: true, numLayers }
  return shapes.map(([name, dimensions]) => ({ name, shape: dimensions, dtype: chooseDType(name, dimensions, options) }))
}

interface ModelWords {
  readonly name: string
  readonly scheme: Scheme
  readonly contextLength: number
}

function describeModel(shape: ModelShape, { name, scheme, contextLength }: ModelWords): Map<string, TypedValue> {
  const uint32 = (value: number): TypedValue => ({ type: 'uint32', value })
  const { tokens, scores, kinds } = makeVocabulary(shape.vocabSize)
  return new Map<string, TypedValue>([
    ['general.architecture', { type: 'string', value: 'llama' }],
    ['general.name', { type: 'string', value: name }],
    ['general.quantization_version', uint32(2)],
    ['general.file_type', uint32(SCHEME_SPECS[scheme].fileType)],
    ['llama.context_length', uint32(contextLength)],
    ['llama.embedding_length', uint32(shape.hiddenSize)],
    ['llama.block_count', uint32(shape.numLayers)],
    ['llama.feed_forward_length', uint32(shape.intermediateSize)],
    ['llama.rope.dimension_count', uint32(shape.hiddenSize / shape.numHeads)],
    ['llama.rope.freq_base', { type: 'float32', value: 10_000 }],
    ['llama.attention.head_count', uint32(shape.numHeads)],
    ['llama.attention.head_count_kv', uint32(shape.numKvHeads)],
    ['llama.attention.layer_norm_rms_epsilon', { type: 'float32', value: 1e-5 }],
    ['llama.vocab_size', uint32(shape.vocabSize)],
    ['tokenizer.ggml.model', { type: 'string', value: 'llama' }],
    ['tokenizer.ggml.tokens', { type: 'strings', value: tokens }],
    ['tokenizer.ggml.scores', { type: 'numbers', value: scores }],
    ['tokenizer.ggml.token_type', { type: 'numbers', value: kinds }],
    ['tokenizer.ggml.bos_token_id', uint32(1)],
    ['tokenizer.ggml.eos_token_id', uint32(2)],
    ['tokenizer.ggml.unknown_token_id', uint32(0)],
    ['tokenizer.ggml.add_bos_token', { type: 'bool', value: true }],
    ['tokenizer.ggml.add_eos_token', { type: 'bool', value: false }],
    ['tokenizer.chat_template', { type: 'string', value: CHAT_TEMPLATE }],
  ])
}

/** SentencePiece-style pieces: special tokens, all bytes, printable ASCII, then words of one to four letters, shorter ones first. */
function makeVocabulary(vocabSize: number): { readonly tokens: string[]; readonly scores: Float32Array; readonly kinds: Int32Array } {
  const tokens = ['<unk>', '<s>', '</s>']
  for (let byte = 0; byte < 256; byte++) tokens.push(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`)
  const numSpecial = tokens.length
  tokens.push('▁')
  for (let code = 0x21; code < 0x7f; code++) tokens.push(String.fromCharCode(code))
  for (const word of letterWords()) {
    if (tokens.length >= vocabSize) break
    tokens.push(word)
  }
  const scores = Float32Array.from(tokens, (_, id) => (id < numSpecial ? 0 : numSpecial - id))
  const kinds = new Int32Array(tokens.length).fill(TOKEN_KINDS.normal)
  kinds.fill(TOKEN_KINDS.byte, 3, numSpecial)
  kinds.set([TOKEN_KINDS.unknown, TOKEN_KINDS.control, TOKEN_KINDS.control])
  return { tokens, scores, kinds }
}

function* letterWords(): Generator<string> {
  const letters = 'etaoinshrdlcumwfgypbvkjxqz'
  let words = ['']
  for (let length = 1; length <= 4; length++) {
    words = words.flatMap((head) => Array.from(letters, (letter) => head + letter))
    for (const word of words) {
      if (length > 1) yield word
      yield `▁${word}`
    }
  }
}

function normWeights(length: number, random: SeededRandom): Uint8Array {
  return new Uint8Array(Float32Array.from({ length }, () => 0.9 + random.nextFloat() * 0.2).buffer)
}

/** Random blocks whose elements have a standard deviation near 1 / sqrt(columns), which keeps activations of order one. */
function makePool(dtype: DType, columns: number, random: SeededRandom): Uint8Array {
  const deviation = 1 / Math.sqrt(columns)
  if (dtype === 'f16') {
    const halfWidth = Math.sqrt(3) * deviation
    const halves = Float16Array.from({ length: POOL_BLOCKS * HALVES_PER_RUN }, () => (2 * random.nextFloat() - 1) * halfWidth)
    return new Uint8Array(halves.buffer)
  }
  const format = SCALED_FORMATS[dtype]
  if (format === undefined) throw new TypeError(`no random ${dtype} blocks`)
  const { blockBytes } = DTYPES[dtype]
  const words = Uint32Array.from({ length: Math.ceil((POOL_BLOCKS * blockBytes) / 4) }, () => random.nextUint32())
  const pool = new Uint8Array(words.buffer, 0, POOL_BLOCKS * blockBytes)
  const view = new DataView(pool.buffer)
  for (let block = 0; block < POOL_BLOCKS; block++) {
    const scale = (deviation / format.deviation) * (0.75 + random.nextFloat() / 2)
    // Signed quants lie half a step below zero on average: scales of both signs centre them.
    const sign = format.minimumAt === null && random.nextInt(2) === 1 ? -1 : 1
    view.setUint16(block * blockBytes + format.scaleAt, floatToHalf(sign * scale), true)
    // Scales and minimums are uniform 6-bit numbers: this minimum centres quants of mean 7.5 on zero.
    if (format.minimumAt !== null) view.setUint16(block * blockBytes + format.minimumAt, floatToHalf(scale * 7.5), true)
  }
  return pool
}

interface PoolWriter {
  readonly random: SeededRandom
  readonly write: (bytes: Uint8Array) => Promise<void>
}

async function writeFromPool(tensor: TensorToWrite, pool: Uint8Array, { random, write }: PoolWriter): Promise<void> {
  const unitBytes = pool.length / POOL_BLOCKS
  let left = tensorByteLength(tensor)
  let at = random.nextInt(POOL_BLOCKS) * unitBytes
  while (left > 0) {
    const length = Math.min(left, pool.length - at)
    await write(pool.subarray(at, at + length))
    left -= length
    at = (at + length) % pool.length
  }
}
