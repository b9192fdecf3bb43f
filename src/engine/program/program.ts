/**
 * The op program: a model's forward pass as flat data. An architecture builds it once, the verifier checks it, passes
 * rewrite it, a plan lays out its activations, and an executor runs whole steps of it. It knows tensors, never sequences.
 *
 * A step runs over a ragged batch: numTokens rows, the new tokens of all sequences one after the other. Values are
 * f32 matrices whose row count is one of three, known only at run time:
 *
 *   tokens   one row per new token of the step
 *   outputs  the rows whose final hidden state is wanted (gathered by select_rows)
 *   logits   the first numLogitRows of outputs: those that sample
 */
import type { DType } from '#engine/tensor/dtype'

export type ValueId = number & { readonly __brand: 'ValueId' }
export type WeightId = number & { readonly __brand: 'WeightId' }
export type TableId = number & { readonly __brand: 'TableId' }

export type RowKind = 'tokens' | 'outputs' | 'logits'

/** An f32 activation (rows, width). A view names columns [columnOffset, columnOffset + width) of another value. */
export interface Value {
  readonly id: ValueId
  readonly name: string
  readonly rows: RowKind
  readonly width: number
  readonly view: { readonly of: ValueId; readonly columnOffset: number } | null
}

/** Rows [rowStart, rowStart + numRows) of a tensor in the model file. */
export interface WeightPart {
  readonly tensor: string
  readonly rowStart: number
  readonly numRows: number
}

/**
 * A weight (numRows, numColumns) put together from parts of equal dtype, top to bottom. A vector has numRows 1.
 * `offset` is added to every element at load (Gemma safetensors norms store weight - 1); only for f32/f16/bf16 vectors.
 */
export interface Weight {
  readonly id: WeightId
  readonly name: string
  readonly dtype: DType
  readonly numRows: number
  readonly numColumns: number
  readonly parts: readonly WeightPart[]
  readonly offset: number
}

/** Inverse frequencies of a rotary embedding, f32 (rotaryDim / 2), computed in double precision at build. */
export interface RopeTable {
  readonly id: TableId
  readonly inverseFrequencies: Float32Array
  /** Cosine and sine are multiplied by it (YaRN mscale, long-rope attention factor); 1 otherwise. */
  readonly magnitude: number
}

export type Op =
  /** out[t] = table[tokenId[t]] * scale. table (vocab, width). */
  | { readonly kind: 'embed'; readonly table: WeightId; readonly out: ValueId; readonly scale: number }
  /** Each group of groupWidth columns is normalized on its own: out = x / sqrt(mean(x^2) + epsilon) * weight. weight (1, groupWidth). May run in place. */
  | {
      readonly kind: 'rms_norm'
      readonly x: ValueId
      readonly weight: WeightId
      readonly out: ValueId
      readonly groupWidth: number
      readonly epsilon: number
    }
  /**
   * out = x * weight^T (+ bias) (+ residual). weight (out.width, x.width); bias (1, out.width) of an unquantized type; residual
   * may be the same value as out. Where the weight is quantized, x is rounded to 8-bit groups first, exactly as
   * `kernels/reference/quantize-activation.ts` says.
   */
  | {
      readonly kind: 'linear'
      readonly x: ValueId
      readonly weight: WeightId
      readonly bias: WeightId | null
      readonly residual: ValueId | null
      readonly out: ValueId
    }
  /** Rotates the first rotaryDim of every head in place by the token's position. interleaved: pairs (2i, 2i+1); half-split: (i, i + rotaryDim/2). */
  | {
      readonly kind: 'rope'
      readonly x: ValueId
      readonly headDim: number
      readonly rotaryDim: number
      readonly pairing: 'interleaved' | 'half-split'
      readonly table: TableId
    }
  /** Stores k and v (tokens, numKvHeads * headDim) at the step's slots of the layer's paged cache. */
  | { readonly kind: 'kv_write'; readonly layer: number; readonly k: ValueId; readonly v: ValueId }
  /**
   * Causal attention of each new token over its sequence's cached positions 0..position (window: only the last `window`).
   * scores = softcap(q . k * scale) where softcap(s) = cap * tanh(s / cap). q, out (tokens, numHeads * headDim).
   * Query head h reads KV head floor(h * numKvHeads / numHeads).
   */
  | {
      readonly kind: 'attention'
      readonly layer: number
      readonly q: ValueId
      readonly out: ValueId
      readonly numHeads: number
      readonly scale: number
      readonly window: number | null
      readonly softcap: number | null
    }
  /** out = activation(gate) * up. gelu_tanh is the tanh approximation. */
  | {
      readonly kind: 'gated_activation'
      readonly gate: ValueId
      readonly up: ValueId
      readonly out: ValueId
      readonly activation: 'silu' | 'gelu_tanh'
    }
  /** out = a + b; out may be a or b. */
  | { readonly kind: 'add'; readonly a: ValueId; readonly b: ValueId; readonly out: ValueId }
  /** Gathers the step's output rows: x (tokens, w) -> out (outputs, w). */
  | { readonly kind: 'select_rows'; readonly x: ValueId; readonly out: ValueId }
  /** x = cap * tanh(x / cap), in place. */
  | { readonly kind: 'softcap'; readonly x: ValueId; readonly cap: number }

export interface Program {
  readonly name: string
  readonly vocabSize: number
  readonly numLayers: number
  /** Width of a KV row: numKvHeads * headDim, equal in all layers. */
  readonly numKvHeads: number
  readonly headDim: number
  readonly values: readonly Value[]
  readonly weights: readonly Weight[]
  readonly tables: readonly RopeTable[]
  readonly ops: readonly Op[]
  /** (outputs, hiddenSize): final normalized hidden states. */
  readonly hidden: ValueId
  /** (logits, vocabSize). Its linear reads `hidden` and computes only the first numLogitRows rows. */
  readonly logits: ValueId
}
