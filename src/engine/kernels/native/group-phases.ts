/**
 * Cuts a program into phases. Threads meet only between phases, so fewer is better: ops that work row by row run one after
 * the other on the same rows, and linears that do not depend on each other share a phase. Activations that meet a
 * quantized weight are quantized once, in the row phase before, and reused by every linear that reads the same columns.
 */
import { unreachable } from '#base/assert'
import { baseOf, outputOf, overlap, readsOf, valueOf, weightOf } from '#engine/program/operands'
import type { Op, Program, RowKind, ValueId } from '#engine/program/program'
import { DTYPES } from '#engine/tensor/dtype'
import type { PhaseKind } from './lowered-program.ts'

/** x's rows as 8-bit groups; `id` counts from 0. */
export interface QuantizedActivation {
  readonly id: number
  readonly x: ValueId
  readonly rows: RowKind
}

export type Step =
  | { readonly kind: 'op'; readonly op: Op; readonly opIndex: number; readonly quantized: QuantizedActivation | null }
  | { readonly kind: 'quantize'; readonly quantized: QuantizedActivation }
  | { readonly kind: 'rotations'; readonly table: number }

export interface PhaseDraft {
  readonly kind: PhaseKind
  readonly rows: RowKind
  readonly steps: Step[]
}

export function groupPhases(program: Program): readonly PhaseDraft[] {
  const grouping = new Grouping(program)
  program.ops.forEach((op, opIndex) => grouping.place(op, opIndex))
  return grouping.phases
}

class Grouping {
  readonly phases: PhaseDraft[] = []
  private readonly program: Program
  /** Quantized activations whose source has not been written since. */
  private fresh: QuantizedActivation[] = []
  private numQuantized = 0

  constructor(program: Program) {
    this.program = program
    const steps: Step[] = program.tables.map((_, table) => ({ kind: 'rotations', table }))
    if (steps.length > 0) this.phases.push({ kind: 'rows', rows: 'tokens', steps })
  }

  place(op: Op, opIndex: number): void {
    if (op.kind === 'linear') this.placeLinear(op, opIndex)
    else if (op.kind === 'attention') this.phases.push({ kind: 'attention', rows: 'tokens', steps: [{ kind: 'op', op, opIndex, quantized: null }] })
    else this.rowPhase(rowsOf(this.program, op), op.kind === 'select_rows').steps.push({ kind: 'op', op, opIndex, quantized: null })
    const written = outputOf(op)
    if (written !== null) this.fresh = this.fresh.filter(({ x }) => !overlap(this.program, x, written))
  }

  private placeLinear(op: Op & { readonly kind: 'linear' }, opIndex: number): void {
    const isQuantized = DTYPES[weightOf(this.program, op.weight).dtype].blockSize > 1
    const rows = valueOf(this.program, op.out).rows
    const quantized = isQuantized ? this.quantize(op.x, rows) : null
    const step: Step = { kind: 'op', op, opIndex, quantized }
    const last = this.phases.at(-1)
    if (last?.kind === 'linears' && last.steps.every((other) => other.kind === 'op' && this.areIndependent(other.op, op))) last.steps.push(step)
    else this.phases.push({ kind: 'linears', rows, steps: [step] })
  }

  private quantize(x: ValueId, rows: RowKind): QuantizedActivation {
    const known = this.fresh.find((quantized) => quantized.rows === rows && isSameColumns(this.program, quantized.x, x))
    if (known !== undefined) return known
    const quantized = { id: this.numQuantized++, x, rows }
    this.fresh.push(quantized)
    this.rowPhase(rows, false).steps.push({ kind: 'quantize', quantized })
    return quantized
  }

  private rowPhase(rows: RowKind, mustBeNew: boolean): PhaseDraft {
    const last = this.phases.at(-1)
    if (!mustBeNew && last?.kind === 'rows' && last.rows === rows) return last
    const phase: PhaseDraft = { kind: 'rows', rows, steps: [] }
    this.phases.push(phase)
    return phase
  }

  private areIndependent(earlier: Op, later: Op): boolean {
    const earlierOut = outputOf(earlier)
    const laterOut = outputOf(later)
    if (earlierOut === null || laterOut === null) return false
    const touches = (a: ValueId, b: ValueId): boolean => overlap(this.program, a, b)
    return !touches(earlierOut, laterOut) && !readsOf(later).some((id) => touches(id, earlierOut)) && !readsOf(earlier).some((id) => touches(id, laterOut))
  }
}

function isSameColumns(program: Program, a: ValueId, b: ValueId): boolean {
  const [first, second] = [valueOf(program, a), valueOf(program, b)]
  return baseOf(program, a) === baseOf(program, b) && first.width === second.width && (first.view?.columnOffset ?? 0) === (second.view?.columnOffset ?? 0)
}

function rowsOf(program: Program, op: Op): RowKind {
  switch (op.kind) {
    case 'kv_write':
    case 'attention':
      return 'tokens'
    case 'rope':
    case 'softcap':
      return valueOf(program, op.x).rows
    case 'embed':
    case 'rms_norm':
    case 'linear':
    case 'gated_activation':
    case 'add':
    case 'select_rows':
      return valueOf(program, op.out).rows
    default:
      return unreachable(op)
  }
}
