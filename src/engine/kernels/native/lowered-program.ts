/**
 * The program as the addon runs it: numbers only. Mirrors native/src/executor/lowered_program.h; the enumerations there and
 * the tables here list the same names in the same order.
 */
import { DTYPES, type DType } from '#engine/tensor/dtype'
import { KV_DTYPES, type KvDType } from '../kv-dtype.ts'
import type { RowKind } from '#engine/program/program'

const OP_CODES = ['fillRotations', 'embed', 'rmsNorm', 'quantize', 'linear', 'rope', 'kvWrite', 'attention', 'gatedActivation', 'add', 'selectRows', 'softcap'] as const
const PHASE_KINDS = ['rows', 'linears', 'attention'] as const
const ROW_KINDS: readonly RowKind[] = ['tokens', 'outputs', 'logits']

type OpCode = (typeof OP_CODES)[number]
export type PhaseKind = (typeof PHASE_KINDS)[number]

export function opCode(name: OpCode): number {
  return OP_CODES.indexOf(name)
}

export function phaseKind(name: PhaseKind): number {
  return PHASE_KINDS.indexOf(name)
}

export function rowKind(name: RowKind): number {
  return ROW_KINDS.indexOf(name)
}

/** The addon's formats follow the order of DTYPES. */
export function formatCode(dtype: DType): number {
  return Object.keys(DTYPES).indexOf(dtype)
}

/** The addon's KvType follows the order of KV_DTYPES. */
export function kvTypeCode(dtype: KvDType): number {
  return KV_DTYPES.indexOf(dtype)
}

/** Rows of an activation: floats from the arena's start, floats from row to row. */
export interface Operand {
  readonly offset: number
  readonly stride: number
}

export interface Instruction {
  readonly code: number
  readonly rows: number
  /** a: x, gate, q or k. b: up, v, residual or addend. */
  readonly a?: Operand
  readonly b?: Operand
  readonly out?: Operand
  readonly width?: number
  /** Index of a matrix, or of a vector for rmsNorm. */
  readonly weight?: number
  readonly bias?: number
  /** Bytes from the arena's start to the quantized activations. */
  readonly act?: number
  readonly layer?: number
  readonly numHeads?: number
  readonly headDim?: number
  readonly rotaryDim?: number
  readonly groupWidth?: number
  readonly window?: number
  readonly table?: number
  /** 1: interleaved pairs (rope), GELU (gatedActivation). */
  readonly flag?: number
  readonly scale?: number
  readonly softcap?: number
  readonly epsilon?: number
}

interface LoweredPhase {
  readonly kind: number
  readonly instructions: readonly Instruction[]
}

export interface ExecutorConfig {
  readonly numThreads: number
  readonly numLayers: number
  readonly numKvHeads: number
  readonly headDim: number
  readonly vocabSize: number
  readonly hiddenSize: number
  readonly numBlocks: number
  readonly blockSize: number
  readonly kvType: number
  readonly maxTokens: number
  readonly maxSequences: number
  readonly maxOutputs: number
  readonly arenaBytes: number
  readonly matrices: readonly { readonly format: number; readonly numRows: number; readonly numColumns: number }[]
  readonly vectorLengths: readonly number[]
  readonly tables: readonly { readonly inverseFrequencies: Float32Array; readonly magnitude: number; readonly offset: number }[]
  readonly phases: readonly LoweredPhase[]
  readonly hidden: Operand
  readonly logits: Operand
}
