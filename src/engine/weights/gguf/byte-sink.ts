/** A growing little-endian byte string: what a GGUF header is written into. */
import type { ValueTypeName } from './gguf-types.ts'
import { VALUE_TYPES } from './gguf-types.ts'

export type NumberType = Exclude<ValueTypeName, 'bool' | 'string' | 'array'>

const INITIAL_BYTES = 64 * 1024

export class ByteSink {
  private buffer = Buffer.alloc(INITIAL_BYTES)
  private length = 0

  get byteLength(): number {
    return this.length
  }

  /** What was written so far; valid until the next write. */
  bytes(): Uint8Array {
    return this.buffer.subarray(0, this.length)
  }

  uint8(value: number): void {
    const at = this.reserve(1)
    this.buffer.writeUInt8(value, at)
  }

  uint32(value: number): void {
    const at = this.reserve(4)
    this.buffer.writeUInt32LE(value, at)
  }

  uint64(value: number | bigint): void {
    const at = this.reserve(8)
    this.buffer.writeBigUInt64LE(BigInt(value), at)
  }

  /** Throws RangeError when the value does not fit the type. */
  number(type: NumberType, value: number | bigint): void {
    const at = this.reserve(NUMBER_BYTES[type])
    const { buffer } = this
    switch (type) {
      case 'uint8':
        return void buffer.writeUInt8(Number(value), at)
      case 'int8':
        return void buffer.writeInt8(Number(value), at)
      case 'uint16':
        return void buffer.writeUInt16LE(Number(value), at)
      case 'int16':
        return void buffer.writeInt16LE(Number(value), at)
      case 'uint32':
        return void buffer.writeUInt32LE(Number(value), at)
      case 'int32':
        return void buffer.writeInt32LE(Number(value), at)
      case 'float32':
        return void buffer.writeFloatLE(Number(value), at)
      case 'float64':
        return void buffer.writeDoubleLE(Number(value), at)
      case 'uint64':
        return void buffer.writeBigUInt64LE(BigInt(value), at)
      case 'int64':
        return void buffer.writeBigInt64LE(BigInt(value), at)
    }
  }

  /** u64 length, then UTF-8. */
  string(text: string): void {
    const byteLength = Buffer.byteLength(text)
    this.uint64(byteLength)
    const at = this.reserve(byteLength)
    this.buffer.write(text, at)
  }

  arrayHead(elementType: number, length: number): void {
    this.uint32(VALUE_TYPES.array)
    this.uint32(elementType)
    this.uint64(length)
  }

  raw(bytes: Uint8Array): void {
    const at = this.reserve(bytes.length)
    this.buffer.set(bytes, at)
  }

  padTo(alignment: number): void {
    const rest = this.length % alignment
    if (rest !== 0) this.raw(new Uint8Array(alignment - rest))
  }

  private reserve(byteLength: number): number {
    const at = this.length
    this.length += byteLength
    if (this.length > this.buffer.length) {
      const larger = Buffer.alloc(Math.max(this.length, this.buffer.length * 2))
      larger.set(this.buffer.subarray(0, at))
      this.buffer = larger
    }
    return at
  }
}

const NUMBER_BYTES: Readonly<Record<NumberType, number>> = {
  uint8: 1,
  int8: 1,
  uint16: 2,
  int16: 2,
  uint32: 4,
  int32: 4,
  float32: 4,
  float64: 8,
  uint64: 8,
  int64: 8,
}
