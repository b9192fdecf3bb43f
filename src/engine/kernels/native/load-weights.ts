/**
 * Streams weights from the file into the addon, a few megabytes at a time: while all threads pack one piece the next is
 * read. Two buffers take turns, because reading into fresh pages costs more than the read.
 */
import { InferdError } from '#contract/errors'
import { weightOf } from '#engine/program/operands'
import type { Program, Weight, WeightPart } from '#engine/program/program'
import { rowBytes } from '#engine/tensor/dtype'
import type { TensorFile, TensorInfo } from '#engine/weights/tensor-file'
import type { BindOptions } from '../kernels.ts'
import type { NativeExecutorHandle } from './addon.ts'
import { formatCode } from './lowered-program.ts'
import type { LoweredProgram } from './lower-program.ts'

const PIECE_BYTES = 8 << 20
/** Pieces are cut between panels, so that no panel is packed twice. */
const PANEL_ROWS = 16

interface Piece {
  readonly info: TensorInfo
  readonly byteStart: number
  readonly byteLength: number
  /** Hands the bytes over; resolves when they may be dropped. */
  readonly store: (bytes: Uint8Array) => Promise<void>
}

/** Throws InferdError('invalid_model_file') on a short read, or the signal's reason. */
export async function loadWeights(handle: NativeExecutorHandle, lowered: LoweredProgram, options: BindOptions): Promise<void> {
  const { tensors, onProgress, signal } = options
  const pieces = [...listPieces(handle, lowered, options.program, tensors)]
  const totalBytes = pieces.reduce((sum, piece) => sum + piece.byteLength, 0)
  let loadedBytes = 0
  const largest = pieces.reduce((largestYet, piece) => Math.max(largestYet, piece.byteLength), 0)
  const scratch = [new Uint8Array(largest), new Uint8Array(largest)] as const
  let storing: Promise<void> = Promise.resolve()
  try {
    for (const [index, piece] of pieces.entries()) {
      signal?.throwIfAborted()
      // The buffer whose piece has been stored: the other one may still be read by the addon.
      const bytes = await tensors.readTensor(piece.info, { byteStart: piece.byteStart, byteLength: piece.byteLength }, scratch[index % 2 === 0 ? 0 : 1])
      await storing
      storing = piece.store(bytes)
      loadedBytes += piece.byteLength
      onProgress?.(loadedBytes, totalBytes)
    }
  } finally {
    // Also when a read failed: the addon must not go on packing behind our back.
    await storing
  }
}

function* listPieces(handle: NativeExecutorHandle, lowered: LoweredProgram, program: Program, tensors: TensorFile): Generator<Piece> {
  for (const [index, id] of lowered.vectors.entries()) yield* vectorPieces(handle, weightOf(program, id), index, tensors)
  for (const [index, id] of lowered.matrices.entries()) yield* matrixPieces(handle, weightOf(program, id), index, tensors)
}

function* vectorPieces(handle: NativeExecutorHandle, weight: Weight, index: number, tensors: TensorFile): Generator<Piece> {
  for (const part of weight.parts) {
    const store = (bytes: Uint8Array): Promise<void> => {
      handle.setVector(index, formatCode(weight.dtype), 0, bytes, weight.offset)
      return Promise.resolve()
    }
    const numBytes = rowBytes(weight.dtype, weight.numColumns)
    yield { info: findTensor(tensors, part), byteStart: part.rowStart * numBytes, byteLength: part.numRows * numBytes, store }
  }
}

function* matrixPieces(handle: NativeExecutorHandle, weight: Weight, index: number, tensors: TensorFile): Generator<Piece> {
  const bytesPerRow = rowBytes(weight.dtype, weight.numColumns)
  const rowsPerPiece = Math.max(PANEL_ROWS, Math.floor(PIECE_BYTES / bytesPerRow / PANEL_ROWS) * PANEL_ROWS)
  let partStart = 0
  for (const part of weight.parts) {
    const info = findTensor(tensors, part)
    for (let row = 0; row < part.numRows; ) {
      const target = partStart + row
      const numRows = Math.min(part.numRows - row, rowsPerPiece - (target % PANEL_ROWS))
      const store = (bytes: Uint8Array): Promise<void> => handle.packRows(index, target, numRows, bytes)
      yield { info, byteStart: (part.rowStart + row) * bytesPerRow, byteLength: numRows * bytesPerRow, store }
      row += numRows
    }
    partStart += part.numRows
  }
}

function findTensor(tensors: TensorFile, part: WeightPart): TensorInfo {
  const info = tensors.tensors.get(part.tensor)
  if (info === undefined) throw new InferdError('invalid_model_file', `tensor ${part.tensor} is not in the file`)
  return info
}
