/**
 * The only meeting of blocks and tensors: turns a StepPlan into the flat arrays of StepBatch and SamplingBatch and has the
 * executor run them. All arrays are made at start for the largest step; a batch is views of them.
 */
import { assert } from '#base/assert'
import { blocksForTokens } from '#engine/kv-cache/block-table'
import { SamplingBatchBuilder } from '#engine/sampling/sampling-batch'
import { StepMasks } from '#engine/step-masks'
import type { Clock } from '#base/clock'
import type { EngineCoreOptions } from '#engine/engine-core-options'
import type { Executor, SamplingBatch, StepBatch, StepOutput } from '#engine/kernels/kernels'
import type { Sequence } from '#engine/scheduler/sequence'
import type { StepPlan } from '#engine/scheduler/step-plan'

/** What the executor gets. Views of the runner's arrays, valid until the next prepare(). */
interface PreparedStep {
  readonly batch: StepBatch
  readonly sampling: SamplingBatch
  /** i32: block pairs (from, to) to copy before the step; empty when nothing is shared and written. */
  readonly copies: Int32Array
}

export class ModelRunner {
  readonly masks: StepMasks
  private readonly executor: Executor
  private readonly blockSize: number
  private readonly tokenIds: Int32Array
  private readonly positions: Int32Array
  private readonly slotMapping: Int32Array
  private readonly sequenceStarts: Int32Array
  private readonly contextLengths: Int32Array
  private readonly blockTableStarts: Int32Array
  private readonly blockTables: Int32Array
  private readonly outputRows: Int32Array
  private readonly sampling: SamplingBatchBuilder

  /** Only the time that masks take is read from the clock. */
  constructor(executor: Executor, options: EngineCoreOptions, clock: Clock) {
    this.executor = executor
    this.blockSize = options.blockSize
    const { maxTokensPerStep, maxSequences, maxOutputsPerStep } = options
    const maxBlocks = Math.min(blocksForTokens(options.contextLength, options.blockSize), options.numBlocks)
    this.tokenIds = new Int32Array(maxTokensPerStep)
    this.positions = new Int32Array(maxTokensPerStep)
    this.slotMapping = new Int32Array(maxTokensPerStep)
    this.sequenceStarts = new Int32Array(maxSequences + 1)
    this.contextLengths = new Int32Array(maxSequences)
    this.blockTableStarts = new Int32Array(maxSequences + 1)
    this.blockTables = new Int32Array(maxSequences * maxBlocks)
    this.outputRows = new Int32Array(maxOutputsPerStep)
    this.sampling = new SamplingBatchBuilder({ maxRows: maxOutputsPerStep, vocabSize: options.vocabSize })
    this.masks = new StepMasks(this.sampling.masks, clock)
  }

  /** Runs one prepared step, block copies first. Rejects with whatever the executor rejects with. */
  run({ batch, sampling, copies }: PreparedStep): Promise<StepOutput> {
    if (copies.length > 0) this.executor.copyBlocks(copies)
    return this.executor.runStep(batch, sampling)
  }

  /** Fills the arrays of the step. */
  prepare(plan: StepPlan): PreparedStep {
    this.sampling.clear()
    this.masks.clear()
    let numTokens = 0
    let numTableEntries = 0
    let logitRow = 0
    let hiddenRow = plan.numLogitRowsTotal
    for (let index = 0; index < plan.numSequences; index++) {
      const sequence = plan.sequences[index]!
      const numNew = plan.numTokens[index]!
      this.sequenceStarts[index] = numTokens
      this.blockTableStarts[index] = numTableEntries
      this.contextLengths[index] = sequence.numComputedTokens + numNew
      this.writeTokens(sequence, numTokens, numNew)
      numTableEntries += this.writeTable(sequence, numTableEntries, this.contextLengths[index]!)
      numTokens += numNew
      if (sequence.isEmbed) hiddenRow = this.writeHiddenRows({ firstToken: numTokens - numNew, numNew }, hiddenRow)
      else logitRow = this.writeLogitRows(sequence, { tokenRow: numTokens - 1, numRows: plan.numLogitRows[index]! }, logitRow)
    }
    this.sequenceStarts[plan.numSequences] = numTokens
    this.blockTableStarts[plan.numSequences] = numTableEntries
    assert(numTokens === plan.numTokensTotal && logitRow === plan.numLogitRowsTotal, 'the batch is not its plan')
    const sampling = this.sampling.build(this.masks.isEmpty ? null : this.masks.fill)
    return { batch: this.batchViews(plan, numTableEntries), sampling, copies: plan.copies() }
  }

  private batchViews(plan: StepPlan, numTableEntries: number): StepBatch {
    const { numSequences, numTokensTotal: numTokens } = plan
    const numOutputs = plan.numLogitRowsTotal + plan.numHiddenRowsTotal
    return {
      numTokens,
      numSequences,
      tokenIds: this.tokenIds.subarray(0, numTokens),
      positions: this.positions.subarray(0, numTokens),
      slotMapping: this.slotMapping.subarray(0, numTokens),
      sequenceStarts: this.sequenceStarts.subarray(0, numSequences + 1),
      contextLengths: this.contextLengths.subarray(0, numSequences),
      blockTableStarts: this.blockTableStarts.subarray(0, numSequences + 1),
      blockTables: this.blockTables.subarray(0, numTableEntries),
      outputRows: this.outputRows.subarray(0, numOutputs),
      numOutputs,
      numLogitRows: plan.numLogitRowsTotal,
    }
  }

  /** Hot: per token. */
  private writeTokens(sequence: Sequence, row: number, numNew: number): void {
    const { blockSize } = this
    const { blockIds } = sequence.table!
    const start = sequence.numComputedTokens
    sequence.copyTokens({ start, numTokens: numNew }, this.tokenIds, row)
    for (let index = 0; index < numNew; index++) {
      const position = start + index
      const blockIndex = Math.floor(position / blockSize)
      this.positions[row + index] = position
      this.slotMapping[row + index] = blockIds[blockIndex]! * blockSize + (position - blockIndex * blockSize)
    }
  }

  /** Copies the blocks that hold the first contextLength tokens; returns how many. */
  private writeTable(sequence: Sequence, start: number, contextLength: number): number {
    const numBlocks = blocksForTokens(contextLength, this.blockSize)
    const { blockIds } = sequence.table!
    for (let index = 0; index < numBlocks; index++) this.blockTables[start + index] = blockIds[index]!
    return numBlocks
  }

  /** The row of the last pending token is sampled once for each choice; those before it give no logits. */
  private writeLogitRows(sequence: Sequence, rows: { readonly tokenRow: number; readonly numRows: number }, logitRow: number): number {
    if (rows.numRows === 0) return logitRow
    for (let index = 0; index < rows.numRows; index++) this.outputRows[logitRow + index] = rows.tokenRow
    const choices = sequence.sampledChoices
    for (let index = 0; index < choices.length; index++) this.addSamplingRow(choices[index]!)
    return logitRow + rows.numRows
  }

  /** Hot: per token. */
  private addSamplingRow(choice: Sequence): void {
    choice.prepareSampling()
    const maskIndex = this.sampling.addRow(choice)
    if (maskIndex >= 0) this.masks.add(choice, maskIndex)
  }

  private writeHiddenRows(tokens: { readonly firstToken: number; readonly numNew: number }, hiddenRow: number): number {
    for (let index = 0; index < tokens.numNew; index++) this.outputRows[hiddenRow + index] = tokens.firstToken + index
    return hiddenRow + tokens.numNew
  }
}
