/**
 * The paged cache of keys and values: per layer, slot after slot, one row of numKvHeads * headDim each. Slots hold f32 also
 * for an f16 or q8_0 cache, whose rounding happens on write: the oracle wants the values, not the bytes.
 */
import type { KvDType } from '../kv-dtype.ts'
import type { Matrix } from './matrix.ts'
import { quantizeKvRow } from './quantize-kv-row.ts'

interface KvCacheShape {
  readonly numLayers: number
  readonly numBlocks: number
  readonly blockSize: number
  readonly kvWidth: number
  /** A divisor of kvWidth. */
  readonly headDim: number
  readonly dtype: KvDType
}

export class KvCache {
  readonly blockSize: number
  readonly kvWidth: number
  /** By layer: f32 (numBlocks * blockSize, kvWidth). */
  readonly keys: readonly Float32Array[]
  readonly values: readonly Float32Array[]
  readonly numBytes: number
  private readonly headDim: number
  private readonly dtype: KvDType

  constructor({ numLayers, numBlocks, blockSize, kvWidth, headDim, dtype }: KvCacheShape) {
    const length = numBlocks * blockSize * kvWidth
    this.keys = Array.from({ length: numLayers }, () => new Float32Array(length))
    this.values = Array.from({ length: numLayers }, () => new Float32Array(length))
    this.blockSize = blockSize
    this.kvWidth = kvWidth
    this.headDim = headDim
    this.dtype = dtype
    this.numBytes = 2 * numLayers * length * Float32Array.BYTES_PER_ELEMENT
  }

  /** k, v: (numTokens, kvWidth). slotMapping: i32 (numTokens). */
  write(layer: number, k: Matrix, v: Matrix, slotMapping: Int32Array, numTokens: number): void {
    for (let token = 0; token < numTokens; token++) {
      const slotStart = slotMapping[token]! * this.kvWidth
      this.writeRow(k, token, this.keys[layer]!, slotStart)
      this.writeRow(v, token, this.values[layer]!, slotStart)
    }
  }

  /** Copies whole blocks of all layers, pair after pair (from, to). */
  copyBlocks(pairs: Int32Array): void {
    const blockLength = this.blockSize * this.kvWidth
    for (let i = 0; i < pairs.length; i += 2) {
      const from = pairs[i]! * blockLength
      const to = pairs[i + 1]! * blockLength
      for (const rows of [...this.keys, ...this.values]) rows.copyWithin(to, from, from + blockLength)
    }
  }

  private writeRow(from: Matrix, row: number, to: Float32Array, toStart: number): void {
    const fromStart = from.offset + row * from.stride
    for (let i = 0; i < this.kvWidth; i++) {
      const value = from.data[fromStart + i]!
      to[toStart + i] = this.dtype === 'f16' ? Math.f16round(value) : value
    }
    if (this.dtype !== 'q8_0') return
    for (let i = 0; i < this.kvWidth; i += this.headDim) quantizeKvRow(to, toStart + i, this.headDim)
  }
}
