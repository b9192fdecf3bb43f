/**
 * Runs steps: op after op over the arena, then sampling. A step is synchronous inside.
 */
import { assert, unreachable } from '#base/assert'
import { maxRows, type MemoryPlan } from '#engine/program/memory-plan'
import { valueOf } from '#engine/program/operands'
import type { Op, Program, RowKind, ValueId, WeightId } from '#engine/program/program'
import { sampleRow } from '#engine/sampling/sample-reference'
import { MAX_TOP_LOGPROBS } from '../kernels.ts'
import type { BindOptions, Executor, ExecutorMemory, SamplingBatch, StepBatch, StepLimits, StepOutput } from '../kernels.ts'
import { add } from './add.ts'
import { attention } from './attention.ts'
import { embed } from './embed.ts'
import { gatedActivation } from './gated-activation.ts'
import { KvCache } from './kv-cache.ts'
import { linear } from './linear.ts'
import type { LoadedWeight } from './load-weights.ts'
import type { Matrix } from './matrix.ts'
import { rmsNorm } from './rms-norm.ts'
import { fillRotations, rope, type Rotations } from './rope.ts'
import { selectRows } from './select-rows.ts'
import { softcap } from './softcap.ts'

interface ReferenceExecutorOptions {
  readonly program: Program
  /** By weight id. */
  readonly weights: readonly LoadedWeight[]
  readonly plan: MemoryPlan
  readonly kvCache: BindOptions['kvCache']
  readonly limits: StepLimits
}

export class ReferenceExecutor implements Executor {
  readonly memory: ExecutorMemory
  private readonly program: Program
  private readonly weights: readonly LoadedWeight[]
  private readonly limits: StepLimits
  private readonly arena: Float32Array
  private readonly cache: KvCache
  /** By value id: where it lies in the arena. */
  private readonly matrices: readonly Matrix[]
  /** By table id: refilled every step. */
  private readonly rotations: readonly Rotations[]
  private readonly linearScratch: Float32Array
  private readonly sampleScratch: Float32Array

  constructor({ program, weights, plan, kvCache, limits }: ReferenceExecutorOptions) {
    this.program = program
    this.weights = weights
    this.limits = limits
    this.arena = new Float32Array(plan.arenaLength)
    this.cache = new KvCache({ ...kvCache, numLayers: program.numLayers, kvWidth: program.numKvHeads * program.headDim, headDim: program.headDim })
    this.matrices = program.values.map(({ id, width }) => ({ data: this.arena, offset: plan.offsets[id]!, stride: plan.strides[id]!, width }))
    this.rotations = program.tables.map(({ inverseFrequencies }) => ({
      cosines: new Float32Array(limits.maxTokens * inverseFrequencies.length),
      sines: new Float32Array(limits.maxTokens * inverseFrequencies.length),
    }))
    this.linearScratch = new Float32Array(longestLinearInput(program, limits))
    this.sampleScratch = new Float32Array(program.vocabSize)
    this.memory = {
      weightsBytes: weights.reduce((sum, weight) => sum + weight.values.byteLength, 0),
      kvCacheBytes: this.cache.numBytes,
      activationBytes: this.arena.byteLength + this.linearScratch.byteLength,
    }
  }

  async runStep(batch: StepBatch, sampling: SamplingBatch): Promise<StepOutput> {
    const { limits } = this
    assert(
      batch.numTokens <= limits.maxTokens && batch.numSequences <= limits.maxSequences && batch.numOutputs <= limits.maxOutputs,
      'a step is larger than its limits',
    )
    assert(batch.numLogitRows <= batch.numOutputs, 'more logit rows than outputs')
    for (const table of this.program.tables) fillRotations(table, batch.positions, batch.numTokens, this.rotations[table.id]!)
    for (const op of this.program.ops) this.runOp(op, batch)
    sampling.fillMasks?.()
    return this.collect(batch, sampling)
  }

  copyBlocks(pairs: Int32Array): void {
    this.cache.copyBlocks(pairs)
  }

  keepWeights(): Promise<void> {
    return Promise.resolve()
  }

  close(): Promise<void> {
    return Promise.resolve()
  }

  private runOp(op: Op, batch: StepBatch): void {
    switch (op.kind) {
      case 'embed':
        return embed(batch.tokenIds, batch.numTokens, this.weight(op.table), op.scale, this.matrix(op.out))
      case 'rms_norm':
        return rmsNorm(this.matrix(op.x), this.weight(op.weight).values, op.epsilon, this.numRows(op.x, batch), this.matrix(op.out))
      case 'linear':
        return this.runLinear(op, batch)
      case 'rope':
        return rope(this.matrix(op.x), op, this.rotations[op.table]!, batch.numTokens)
      case 'kv_write':
        return this.cache.write(op.layer, this.matrix(op.k), this.matrix(op.v), batch.slotMapping, batch.numTokens)
      case 'attention':
        return attention(this.matrix(op.q), { ...op, headDim: this.program.headDim }, this.cache, batch, this.matrix(op.out))
      case 'gated_activation':
        return gatedActivation(this.matrix(op.gate), this.matrix(op.up), op.activation, this.numRows(op.out, batch), this.matrix(op.out))
      case 'add':
        return add(this.matrix(op.a), this.matrix(op.b), this.numRows(op.out, batch), this.matrix(op.out))
      case 'select_rows':
        return selectRows(this.matrix(op.x), batch.outputRows, batch.numOutputs, this.matrix(op.out))
      case 'softcap':
        return softcap(this.matrix(op.x), op.cap, this.numRows(op.x, batch))
      default:
        return unreachable(op)
    }
  }

  private runLinear(op: Op & { readonly kind: 'linear' }, batch: StepBatch): void {
    const operands = {
      x: this.matrix(op.x),
      weight: this.weight(op.weight),
      bias: op.bias === null ? null : this.weight(op.bias).values,
      residual: op.residual === null ? null : this.matrix(op.residual),
      out: this.matrix(op.out),
    }
    linear(operands, this.numRows(op.out, batch), this.linearScratch)
  }

  private collect(batch: StepBatch, sampling: SamplingBatch): StepOutput {
    const { numLogitRows, numOutputs } = batch
    const output = {
      tokenIds: new Int32Array(numLogitRows),
      nonFinite: new Uint8Array(numLogitRows),
      logprobs: new Float32Array(numLogitRows),
      topTokenIds: new Int32Array(numLogitRows * MAX_TOP_LOGPROBS),
      topLogprobs: new Float32Array(numLogitRows * MAX_TOP_LOGPROBS),
      hidden: this.rowsOf(this.program.hidden, numLogitRows, numOutputs),
      logits: sampling.captureLogits ? this.rowsOf(this.program.logits, 0, numLogitRows) : new Float32Array(0),
    }
    for (let row = 0; row < numLogitRows; row++) {
      const { offset, stride } = this.matrix(this.program.logits)
      const logits = this.arena.subarray(offset + row * stride, offset + row * stride + this.program.vocabSize)
      sampleRow(logits, sampling, row, this.sampleScratch, output)
    }
    return output
  }

  /** A copy of rows [start, end) of a whole value. */
  private rowsOf(id: ValueId, start: number, end: number): Float32Array {
    const { offset, stride } = this.matrix(id)
    return this.arena.slice(offset + start * stride, offset + end * stride)
  }

  private numRows(id: ValueId, batch: StepBatch): number {
    return rowCount(valueOf(this.program, id).rows, batch)
  }

  private matrix(id: ValueId): Matrix {
    return this.matrices[id]!
  }

  private weight(id: WeightId): LoadedWeight {
    return this.weights[id]!
  }
}

function rowCount(rows: RowKind, batch: StepBatch): number {
  switch (rows) {
    case 'tokens':
      return batch.numTokens
    case 'outputs':
      return batch.numOutputs
    case 'logits':
      return batch.numLogitRows
    default:
      return unreachable(rows)
  }
}

/** f32 elements of the largest x of any linear. */
function longestLinearInput(program: Program, limits: StepLimits): number {
  let length = 0
  for (const op of program.ops) {
    if (op.kind !== 'linear') continue
    const x = valueOf(program, op.x)
    length = Math.max(length, maxRows(x.rows, limits) * x.width)
  }
  return length
}
