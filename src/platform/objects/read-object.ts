/** The bytes of an object's file, held against what was written. */
import { createHash } from 'node:crypto'
import type { DiskFile } from './disk.ts'
import { damaged } from './disk-errors.ts'

const CHUNK_BYTES = 256 * 1024

export interface ReadObject {
  readonly file: DiskFile
  readonly bucketName: string
  readonly numBytes: number
  /** null = nobody wrote it down. */
  readonly sha256: string | null
  readonly start: number
}

/** Throws store_failed at the end of a whole object that is not what was put. */
export async function* readObject({ file, bucketName, numBytes, sha256, start }: ReadObject, signal: AbortSignal): AsyncGenerator<Uint8Array, void> {
  const hash = sha256 !== null && start === 0 ? createHash('sha256') : null
  for (let position = start; position < numBytes;) {
    const chunk = await file.read(position, Math.min(CHUNK_BYTES, numBytes - position))
    signal.throwIfAborted()
    if (chunk.length === 0) throw damaged(bucketName, 'an object became shorter while it was read')
    position += chunk.length
    hash?.update(chunk)
    yield chunk
  }
  if (hash !== null && hash.digest('hex') !== sha256) throw damaged(bucketName, 'an object is not what was written')
}
