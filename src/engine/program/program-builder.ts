/**
 * Builds a Program op by op. An architecture calls one method per op, in execution order; each returns the value that it
 * made. Widths follow from the weights, so a builder call names only what cannot be derived.
 */
import type { DType } from '#engine/tensor/dtype'
import { assert } from '#base/assert'
import type { Op, Program, RopeTable, RowKind, TableId, Value, ValueId, Weight, WeightId, WeightPart } from './program.ts'
import { verifyProgram } from './verify.ts'

export interface ProgramShape {
  readonly name: string
  readonly vocabSize: number
  readonly numLayers: number
  readonly numKvHeads: number
  readonly headDim: number
}

interface WeightOptions {
  readonly name: string
  readonly dtype: DType
  readonly numRows: number
  readonly numColumns: number
  /** Default: the whole tensor called `name`. */
  readonly parts?: readonly WeightPart[]
  /** Default 0. */
  readonly offset?: number
}

interface Named {
  /** Of the value that the op makes; shown in error messages (`blk.3.ffn_up`). */
  readonly name: string
}

interface EmbedOptions extends Named {
  readonly table: WeightId
  /** Default 1. */
  readonly scale?: number
}

interface RmsNormOptions extends Named {
  readonly x: ValueId
  readonly weight: WeightId
  readonly epsilon: number
  /** Columns that are normalized together. Default: the width of the weight (the whole row, or one head for q/k norm). */
  readonly groupWidth?: number
  /** True overwrites x and returns it. Default false. */
  readonly inPlace?: boolean
}

interface LinearOptions extends Named {
  readonly x: ValueId
  readonly weight: WeightId
  readonly bias?: WeightId | null
  /** Added to the result. */
  readonly residual?: ValueId | null
  /** Default: the rows of x. The output projection says 'logits' and reads the hidden value of rows 'outputs'. */
  readonly rows?: RowKind
}

interface RopeOptions {
  readonly x: ValueId
  readonly table: TableId
  readonly rotaryDim: number
  readonly pairing: 'interleaved' | 'half-split'
  /** Default: the program's. */
  readonly headDim?: number
}

interface AttentionOptions extends Named {
  readonly layer: number
  readonly q: ValueId
  readonly numHeads: number
  readonly scale: number
  readonly window?: number | null
  readonly softcap?: number | null
}

export class ProgramBuilder {
  private readonly shape: ProgramShape
  private readonly values: Value[] = []
  private readonly weights: Weight[] = []
  private readonly tables: RopeTable[] = []
  private readonly ops: Op[] = []

  constructor(shape: ProgramShape) {
    this.shape = shape
  }

  weight(options: WeightOptions): WeightId {
    const id = this.weights.length as WeightId
    const { name, dtype, numRows, numColumns, offset = 0 } = options
    const parts = options.parts ?? [{ tensor: name, rowStart: 0, numRows }]
    this.weights.push({ id, name, dtype, numRows, numColumns, parts, offset })
    return id
  }

  /** inverseFrequencies: (rotaryDim / 2), rounded to f32 here. magnitude: factor of cosine and sine, 1 when plain. */
  table(inverseFrequencies: ArrayLike<number>, magnitude = 1): TableId {
    const id = this.tables.length as TableId
    this.tables.push({ id, inverseFrequencies: Float32Array.from(inverseFrequencies), magnitude })
    return id
  }

  /** (tokens, width of the table). */
  embed({ name, table, scale = 1 }: EmbedOptions): ValueId {
    const out = this.value(name, 'tokens', this.weightOf(table).numColumns)
    this.ops.push({ kind: 'embed', table, out, scale })
    return out
  }

  rmsNorm({ name, x, weight, epsilon, groupWidth, inPlace = false }: RmsNormOptions): ValueId {
    const { rows, width } = this.valueOf(x)
    const out = inPlace ? x : this.value(name, rows, width)
    this.ops.push({ kind: 'rms_norm', x, weight, out, groupWidth: groupWidth ?? this.weightOf(weight).numColumns, epsilon })
    return out
  }

  /** (rows, numRows of the weight). */
  linear({ name, x, weight, bias = null, residual = null, rows }: LinearOptions): ValueId {
    const out = this.value(name, rows ?? this.valueOf(x).rows, this.weightOf(weight).numRows)
    this.ops.push({ kind: 'linear', x, weight, bias, residual, out })
    return out
  }

  /** Overwrites x and returns it. */
  rope({ x, table, rotaryDim, pairing, headDim = this.shape.headDim }: RopeOptions): ValueId {
    this.ops.push({ kind: 'rope', x, headDim, rotaryDim, pairing, table })
    return x
  }

  kvWrite({ layer, k, v }: { readonly layer: number; readonly k: ValueId; readonly v: ValueId }): void {
    this.ops.push({ kind: 'kv_write', layer, k, v })
  }

  /** (tokens, numHeads * headDim). */
  attention({ name, layer, q, numHeads, scale, window = null, softcap = null }: AttentionOptions): ValueId {
    const out = this.value(name, this.valueOf(q).rows, numHeads * this.shape.headDim)
    this.ops.push({ kind: 'attention', layer, q, out, numHeads, scale, window, softcap })
    return out
  }

  gatedActivation({
    name,
    gate,
    up,
    activation,
  }: Named & { readonly gate: ValueId; readonly up: ValueId; readonly activation: 'silu' | 'gelu_tanh' }): ValueId {
    const { rows, width } = this.valueOf(gate)
    const out = this.value(name, rows, width)
    this.ops.push({ kind: 'gated_activation', gate, up, out, activation })
    return out
  }

  add({ name, a, b }: Named & { readonly a: ValueId; readonly b: ValueId }): ValueId {
    const { rows, width } = this.valueOf(a)
    const out = this.value(name, rows, width)
    this.ops.push({ kind: 'add', a, b, out })
    return out
  }

  /** (outputs, width of x). */
  selectRows({ name, x }: Named & { readonly x: ValueId }): ValueId {
    const out = this.value(name, 'outputs', this.valueOf(x).width)
    this.ops.push({ kind: 'select_rows', x, out })
    return out
  }

  /** Overwrites x and returns it. */
  softcap({ x, cap }: { readonly x: ValueId; readonly cap: number }): ValueId {
    this.ops.push({ kind: 'softcap', x, cap })
    return x
  }

  /** Columns [columnOffset, columnOffset + width) of a value, without a copy. A view of a view becomes a view of its base. */
  view(value: ValueId, columnOffset: number, width: number): ValueId {
    const viewed = this.valueOf(value)
    const view = { of: viewed.view?.of ?? value, columnOffset: (viewed.view?.columnOffset ?? 0) + columnOffset }
    return this.value(`${viewed.name}[${columnOffset}:${columnOffset + width}]`, viewed.rows, width, view)
  }

  /** hidden: final normalized states (rows 'outputs'). Throws InferdError, naming the op, when the program is not valid. */
  finish({ hidden, logits }: { readonly hidden: ValueId; readonly logits: ValueId }): Program {
    const { values, weights, tables, ops } = this
    const program: Program = { ...this.shape, values, weights, tables, ops, hidden, logits }
    verifyProgram(program)
    return program
  }

  private value(name: string, rows: RowKind, width: number, view: Value['view'] = null): ValueId {
    const id = this.values.length as ValueId
    this.values.push({ id, name, rows, width, view })
    return id
  }

  private valueOf(id: ValueId): Value {
    const value = this.values[id]
    assert(value !== undefined, `value ${id} was not made by this builder`)
    return value
  }

  private weightOf(id: WeightId): Weight {
    const weight = this.weights[id]
    assert(weight !== undefined, `weight ${id} was not made by this builder`)
    return weight
  }
}
