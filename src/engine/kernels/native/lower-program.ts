/**
 * Lowers a verified program to what the addon runs: phases of instructions with arena offsets, matrices and vectors by
 * index. What the kernels cannot do is refused here, with the op's index.
 */
import { assert, unreachable } from '#base/assert'
import { InferdError } from '#contract/errors'
import { describeOp, valueOf, weightOf } from '#engine/program/operands'
import type { Op, Program, ValueId, WeightId } from '#engine/program/program'
import { DTYPES } from '#engine/tensor/dtype'
import type { BindOptions } from '../kernels.ts'
import { groupPhases, type PhaseDraft, type QuantizedActivation, type Step } from './group-phases.ts'
import { formatCode, kvTypeCode, opCode, phaseKind, rowKind, type ExecutorConfig, type Instruction, type Operand } from './lowered-program.ts'
import { planArena, rowStride, type ArenaPlan } from './plan-arena.ts'

/** Query heads of one KV head that a task of the attention kernel can hold (kAttentionRows). */
const MAX_HEADS_PER_KV_HEAD = 64

export interface LoweredProgram {
  readonly config: ExecutorConfig
  /** Weights in the order of config.matrices and config.vectorLengths. */
  readonly matrices: readonly WeightId[]
  readonly vectors: readonly WeightId[]
}

/** Throws InferdError('unsupported_model') for an op that the kernels lack. */
export function lowerProgram({ program, kvCache, limits }: Pick<BindOptions, 'program' | 'kvCache' | 'limits'>, numThreads: number): LoweredProgram {
  const phases = groupPhases(program)
  const lowering = new Lowering(program, planArena(program, phases, limits))
  const loweredPhases = phases.map((phase) => ({ kind: phaseKind(phase.kind), instructions: phase.steps.map((step) => lowering.instruction(step, phase)) }))
  const { matrices, vectors } = lowering
  const config: ExecutorConfig = {
    numThreads,
    numLayers: program.numLayers,
    numKvHeads: program.numKvHeads,
    headDim: program.headDim,
    vocabSize: program.vocabSize,
    hiddenSize: valueOf(program, program.hidden).width,
    numBlocks: kvCache.numBlocks,
    blockSize: kvCache.blockSize,
    kvType: kvTypeCode(kvCache.dtype),
    ...limits,
    arenaBytes: lowering.plan.arenaBytes,
    matrices: matrices.map((id) => {
      const { dtype, numRows, numColumns } = weightOf(program, id)
      return { format: formatCode(dtype), numRows, numColumns }
    }),
    vectorLengths: vectors.map((id) => weightOf(program, id).numColumns),
    tables: program.tables.map(({ inverseFrequencies, magnitude }, index) => ({ inverseFrequencies, magnitude, offset: lowering.plan.tableOffsets[index]! / 4 })),
    phases: loweredPhases,
    hidden: lowering.operand(program.hidden),
    logits: lowering.operand(program.logits),
  }
  return { config, matrices, vectors }
}

class Lowering {
  readonly plan: ArenaPlan
  readonly matrices: WeightId[] = []
  readonly vectors: WeightId[] = []
  private readonly program: Program

  constructor(program: Program, plan: ArenaPlan) {
    this.program = program
    this.plan = plan
  }

  instruction(step: Step, phase: PhaseDraft): Instruction {
    const rows = rowKind(phase.rows)
    switch (step.kind) {
      case 'rotations':
        return { code: opCode('fillRotations'), rows, table: step.table }
      case 'quantize':
        return { code: opCode('quantize'), rows, a: this.operand(step.quantized.x), width: this.width(step.quantized.x), act: this.act(step.quantized) }
      case 'op':
        return { ...this.lowerOp(step.op, step.opIndex, step.quantized), rows: step.op.kind === 'linear' ? rowKind(valueOf(this.program, step.op.out).rows) : rows }
      default:
        return unreachable(step)
    }
  }

  operand(id: ValueId): Operand {
    const value = valueOf(this.program, id)
    const base = value.view === null ? value : valueOf(this.program, value.view.of)
    const offset = this.plan.valueOffsets.get(base.id)
    assert(offset !== undefined, `value ${base.name} was not laid out`)
    return { offset: offset / 4 + (value.view?.columnOffset ?? 0), stride: rowStride(base.width) }
  }

  private lowerOp(op: Op, opIndex: number, quantized: QuantizedActivation | null): Omit<Instruction, 'rows'> {
    switch (op.kind) {
      case 'embed':
        return { code: opCode('embed'), out: this.operand(op.out), weight: this.matrix(op.table), scale: op.scale }
      case 'rms_norm':
        return {
          code: opCode('rmsNorm'), a: this.operand(op.x), out: this.operand(op.out), width: this.width(op.x),
          groupWidth: op.groupWidth, epsilon: op.epsilon, weight: this.vector(op.weight, opIndex),
        }
      case 'linear':
        return {
          code: opCode('linear'), a: this.operand(op.x), out: this.operand(op.out), weight: this.matrix(op.weight),
          ...(op.bias === null ? {} : { bias: this.vector(op.bias, opIndex) }),
          ...(op.residual === null ? {} : { b: this.operand(op.residual) }),
          ...(quantized === null ? {} : { act: this.act(quantized) }),
        }
      case 'rope':
        return {
          code: opCode('rope'), a: this.operand(op.x), width: this.width(op.x), headDim: op.headDim,
          rotaryDim: op.rotaryDim, table: op.table, flag: op.pairing === 'interleaved' ? 1 : 0,
        }
      case 'kv_write':
        return { code: opCode('kvWrite'), a: this.operand(op.k), b: this.operand(op.v), layer: op.layer }
      case 'attention':
        return this.lowerAttention(op, opIndex)
      case 'gated_activation':
        return {
          code: opCode('gatedActivation'), a: this.operand(op.gate), b: this.operand(op.up), out: this.operand(op.out),
          width: this.width(op.out), flag: op.activation === 'gelu_tanh' ? 1 : 0,
        }
      case 'add':
        return { code: opCode('add'), a: this.operand(op.a), b: this.operand(op.b), out: this.operand(op.out), width: this.width(op.out) }
      case 'select_rows':
        return { code: opCode('selectRows'), a: this.operand(op.x), out: this.operand(op.out), width: this.width(op.out) }
      case 'softcap':
        return { code: opCode('softcap'), a: this.operand(op.x), width: this.width(op.x), softcap: op.cap }
      default:
        return unreachable(op)
    }
  }

  private lowerAttention(op: Op & { readonly kind: 'attention' }, opIndex: number): Omit<Instruction, 'rows'> {
    const headsPerKvHead = op.numHeads / this.program.numKvHeads
    if (!Number.isInteger(headsPerKvHead) || headsPerKvHead > MAX_HEADS_PER_KV_HEAD) {
      const problem = `${op.numHeads} query heads over ${this.program.numKvHeads} KV heads; a whole number of at most ${MAX_HEADS_PER_KV_HEAD} each is supported`
      throw new InferdError('unsupported_model', `${describeOp(this.program, opIndex)}: ${problem}`)
    }
    return {
      code: opCode('attention'), a: this.operand(op.q), out: this.operand(op.out), layer: op.layer, numHeads: op.numHeads,
      scale: op.scale, window: op.window ?? 0, softcap: op.softcap ?? 0,
    }
  }

  private width(id: ValueId): number {
    return valueOf(this.program, id).width
  }

  private act({ id }: QuantizedActivation): number {
    const offset = this.plan.quantizedOffsets.get(id)
    assert(offset !== undefined, 'a quantized activation was not laid out')
    return offset
  }

  private matrix(id: WeightId): number {
    return indexIn(this.matrices, id)
  }

  private vector(id: WeightId, opIndex: number): number {
    const weight = weightOf(this.program, id)
    if (DTYPES[weight.dtype].blockSize > 1) {
      throw new InferdError('unsupported_model', `${describeOp(this.program, opIndex)}: vector ${weight.name} has the quantized type ${weight.dtype}`)
    }
    return indexIn(this.vectors, id)
  }
}

/** The position of `id` in the list, appended where it is new. */
function indexIn(list: WeightId[], id: WeightId): number {
  const known = list.indexOf(id)
  return known === -1 ? list.push(id) - 1 : known
}
