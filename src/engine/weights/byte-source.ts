/**
 * Random access to the bytes of a model file. Header parsers read through it synchronously and in bounded pieces, so that
 * the same code runs on files and, in tests, on buffers.
 */
import { assert } from '#base/assert'
import { InferdError } from '#contract/errors'

export interface ByteSource {
  /** File name without its folder, for messages. */
  readonly name: string
  readonly byteLength: number
  /** Fills `target`, mutated, from `byteStart` on; the caller keeps within byteLength. Throws InferdError('invalid_model_file') on a short read. */
  readInto(target: Uint8Array, byteStart: number): void
}

export class BufferSource implements ByteSource {
  readonly name: string
  private readonly bytes: Uint8Array

  constructor(name: string, bytes: Uint8Array) {
    this.name = name
    this.bytes = bytes
  }

  get byteLength(): number {
    return this.bytes.length
  }

  readInto(target: Uint8Array, byteStart: number): void {
    assert(byteStart >= 0 && byteStart + target.length <= this.bytes.length, 'read beyond the buffer')
    target.set(this.bytes.subarray(byteStart, byteStart + target.length))
  }
}

/** A damaged or hostile file, by file, field and byte. */
export function invalidFile(source: ByteSource, field: string, byteOffset: number, reason: string): InferdError {
  return new InferdError('invalid_model_file', `${source.name}: ${field} at byte ${byteOffset}: ${reason}`)
}

/** A sound file that asks for what we do not run. */
export function unsupportedFile(source: ByteSource, field: string, byteOffset: number, reason: string): InferdError {
  return new InferdError('unsupported_model', `${source.name}: ${field} at byte ${byteOffset}: ${reason}`)
}
