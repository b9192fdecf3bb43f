/**
 * Names of a decoder's weights in both file formats, and the looking-up of them: each weight is declared to the program
 * with the shape that the configuration demands, and the file must agree.
 */
import { InferdError } from '#contract/errors'
import type { ProgramBuilder } from '#engine/program/program-builder'
import type { WeightId } from '#engine/program/program'
import type { TensorFile, TensorInfo } from '#engine/weights/tensor-file'

/** Without `.weight` or `.bias`; `{}` stands for the layer's number. */
export interface WeightName {
  readonly gguf: string
  readonly safetensors: string
}

/** What most decoders share. An architecture spreads this into its own table and replaces what differs. */
export const DECODER_WEIGHTS = {
  tokenEmbedding: { gguf: 'token_embd', safetensors: 'model.embed_tokens' },
  attentionNorm: { gguf: 'blk.{}.attn_norm', safetensors: 'model.layers.{}.input_layernorm' },
  query: { gguf: 'blk.{}.attn_q', safetensors: 'model.layers.{}.self_attn.q_proj' },
  key: { gguf: 'blk.{}.attn_k', safetensors: 'model.layers.{}.self_attn.k_proj' },
  value: { gguf: 'blk.{}.attn_v', safetensors: 'model.layers.{}.self_attn.v_proj' },
  attentionOutput: { gguf: 'blk.{}.attn_output', safetensors: 'model.layers.{}.self_attn.o_proj' },
  mlpNorm: { gguf: 'blk.{}.ffn_norm', safetensors: 'model.layers.{}.post_attention_layernorm' },
  gate: { gguf: 'blk.{}.ffn_gate', safetensors: 'model.layers.{}.mlp.gate_proj' },
  up: { gguf: 'blk.{}.ffn_up', safetensors: 'model.layers.{}.mlp.up_proj' },
  down: { gguf: 'blk.{}.ffn_down', safetensors: 'model.layers.{}.mlp.down_proj' },
  finalNorm: { gguf: 'output_norm', safetensors: 'model.norm' },
  output: { gguf: 'output', safetensors: 'lm_head' },
} as const satisfies Record<string, WeightName>

/** A matrix with its bias, as `linear` takes them. */
export interface LinearWeights {
  readonly weight: WeightId
  readonly bias: WeightId | null
}

interface MatrixShape {
  readonly numRows: number
  readonly numColumns: number
}

/** Declares weights to one program from one file. All methods throw InferdError('invalid_model_file') for an absent tensor or another shape. */
export class DecoderWeights {
  private readonly program: ProgramBuilder
  private readonly tensors: TensorFile

  constructor(program: ProgramBuilder, tensors: TensorFile) {
    this.program = program
    this.tensors = tensors
  }

  /** The matrix and, where the file has one, its bias. */
  linear(name: WeightName, layer: number | null, shape: MatrixShape): LinearWeights {
    return { weight: this.matrix(name, layer, shape), bias: this.biasOf(name, layer, shape.numRows) }
  }

  matrix(name: WeightName, layer: number | null, { numRows, numColumns }: MatrixShape): WeightId {
    const info = this.tensor(this.fullName(name, layer, 'weight'), [numRows, numColumns])
    return this.program.weight({ name: info.name, dtype: info.dtype, numRows, numColumns })
  }

  /** Rows [rowStart, rowStart + numRows) of a matrix that the file keeps fused; `part` tells the pieces apart in messages. */
  fusedRows(name: WeightName, layer: number, shape: MatrixShape, rows: { readonly part: string; readonly rowStart: number; readonly numRows: number }): LinearWeights {
    const info = this.tensor(this.fullName(name, layer, 'weight'), [shape.numRows, shape.numColumns])
    const { part, rowStart, numRows } = rows
    const parts = [{ tensor: info.name, rowStart, numRows }]
    return { weight: this.program.weight({ name: `${info.name}.${part}`, dtype: info.dtype, numRows, numColumns: shape.numColumns, parts }), bias: null }
  }

  /** offset: added to every element when it is loaded. */
  vector(name: WeightName, layer: number | null, width: number, offset = 0): WeightId {
    const info = this.tensor(this.fullName(name, layer, 'weight'), [width])
    return this.program.weight({ name: info.name, dtype: info.dtype, numRows: 1, numColumns: width, offset })
  }

  private biasOf(name: WeightName, layer: number | null, width: number): WeightId | null {
    const fullName = this.fullName(name, layer, 'bias')
    if (!this.tensors.tensors.has(fullName)) return null
    const info = this.tensor(fullName, [width])
    return this.program.weight({ name: info.name, dtype: info.dtype, numRows: 1, numColumns: width })
  }

  private fullName(name: WeightName, layer: number | null, kind: 'weight' | 'bias'): string {
    return `${name[this.tensors.format].replace('{}', `${layer}`)}.${kind}`
  }

  private tensor(fullName: string, shape: readonly number[]): TensorInfo {
    const info = this.tensors.tensors.get(fullName)
    if (info === undefined) throw new InferdError('invalid_model_file', `tensor ${fullName} is missing`)
    if (info.shape.length !== shape.length || info.shape.some((length, i) => length !== shape[i])) {
      throw new InferdError('invalid_model_file', `tensor ${fullName} has shape [${info.shape.join(', ')}], the configuration asks for [${shape.join(', ')}]`)
    }
    return info
  }
}
