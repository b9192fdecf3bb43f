/**
 * Builds a small program together with random weights for it. Inputs of an op under test are embeddings of random tables; its
 * result leaves as `hidden`, so that a step with numLogitRows 0 shows every row of it.
 */
import { SeededRandom } from '#base/random'
import { ProgramBuilder, type ProgramShape } from '#engine/program/program-builder'
import type { Program, ValueId, WeightId } from '#engine/program/program'
import { rowBytes, type DType } from '#engine/tensor/dtype'
import { MemoryTensorFile } from './memory-tensor-file.ts'
import { randomWeight } from './random-weights.ts'

export interface ProgramCase {
  readonly name: string
  readonly program: Program
  readonly tensors: MemoryTensorFile
}

export class CaseBuilder {
  readonly program: ProgramBuilder
  readonly random: SeededRandom
  private readonly shape: ProgramShape
  private readonly tensors = new MemoryTensorFile()
  private numTensors = 0

  constructor(shape: ProgramShape, seed: number) {
    this.shape = shape
    this.program = new ProgramBuilder(shape)
    this.random = new SeededRandom(seed)
  }

  /** A weight that is one whole random tensor. */
  weight(name: string, dtype: DType, numRows: number, numColumns: number): WeightId {
    const tensor = this.tensor(name, dtype, numRows, numColumns)
    return this.program.weight({ name, dtype, numRows, numColumns, parts: [{ tensor, rowStart: 0, numRows }] })
  }

  /** A weight of two parts: all of one random tensor, then some rows from the middle of another. */
  splitWeight(name: string, dtype: DType, numRows: number, numColumns: number): WeightId {
    const firstRows = Math.max(1, Math.floor(numRows / 3))
    const rowStart = 2
    const parts = [
      { tensor: this.tensor(`${name}.a`, dtype, firstRows, numColumns), rowStart: 0, numRows: firstRows },
      { tensor: this.tensor(`${name}.b`, dtype, numRows + 3, numColumns), rowStart, numRows: numRows - firstRows },
    ]
    return this.program.weight({ name, dtype, numRows, numColumns, parts })
  }

  /** A vector; offset is added at load. */
  vector(name: string, length: number, dtype: DType = 'f32', offset = 0): WeightId {
    const tensor = this.tensor(name, dtype, 1, length)
    return this.program.weight({ name, dtype, numRows: 1, numColumns: length, parts: [{ tensor, rowStart: 0, numRows: 1 }], offset })
  }

  /** A random activation (tokens, width) of deviation 1. */
  input(name: string, width: number): ValueId {
    return this.program.embed({ name, table: this.weight(`${name}.table`, 'f32', this.shape.vocabSize, width), scale: 10 })
  }

  /** Ends the program with `x` (tokens, width) as the hidden state. */
  finish(x: ValueId, width: number, outputDType: DType = 'f32'): ProgramCase {
    const hidden = this.program.selectRows({ name: 'hidden', x })
    return this.finishHidden(hidden, this.weight('output', outputDType, this.shape.vocabSize, width))
  }

  finishHidden(hidden: ValueId, outputWeight: WeightId, softcap: number | null = null): ProgramCase {
    const logits = this.program.linear({ name: 'logits', x: hidden, weight: outputWeight, rows: 'logits' })
    if (softcap !== null) this.program.softcap({ x: logits, cap: softcap })
    return { name: this.shape.name, program: this.program.finish({ hidden, logits }), tensors: this.tensors }
  }

  private tensor(name: string, dtype: DType, numRows: number, numColumns: number): string {
    const unique = `${name}#${this.numTensors++}`
    const bytes = randomWeight(this.random, dtype, numRows, numColumns)
    this.tensors.add(unique, dtype, numRows === 1 ? [numColumns] : [bytes.byteLength / rowBytes(dtype, numColumns), numColumns], bytes)
    return unique
  }
}
