/** An object on its way in: written, counted and hashed as it comes, under a name that nobody looks for. */
import { createHash } from 'node:crypto'
import { InferdError } from '#contract/errors'
import { abortableChunks } from './abortable-chunks.ts'
import type { DiskFile } from './disk.ts'

export interface IncomingLimits {
  readonly maxBytes: number
  readonly signal: AbortSignal
}

/** sha256 in hex of what was written. Throws payload_too_large, what the chunks throw, what the disk throws, and the signal's reason. */
export async function writeChunks(file: DiskFile, chunks: AsyncIterable<Uint8Array>, { maxBytes, signal }: IncomingLimits): Promise<string> {
  const hash = createHash('sha256')
  let numBytes = 0
  for await (const chunk of abortableChunks(chunks, signal)) {
    numBytes += chunk.length
    if (numBytes > maxBytes) throw objectTooLarge(maxBytes)
    hash.update(chunk)
    await file.write(chunk)
  }
  return hash.digest('hex')
}

export function objectTooLarge(maxBytes: number): InferdError {
  return new InferdError('payload_too_large', `the object has more than ${maxBytes} bytes`)
}
