/** An object on its way in: written, counted and hashed as it comes, under a name that nobody looks for. */
import { createHash } from 'node:crypto'
import { InferdError } from '#contract/errors'
import { abortableChunks } from './abortable-chunks.ts'
import type { DiskFile } from './disk.ts'

export interface IncomingLimits {
  readonly maxBytes: number
  readonly signal: AbortSignal
}

/** `cause`: what the chunks threw. Kept apart from what the disk throws, which may look the same. */
export class SourceFailure extends Error {}

/** sha256 in hex of what was written. Throws payload_too_large, what the disk throws, and SourceFailure, also for the signal's reason. */
export async function writeChunks(file: DiskFile, chunks: AsyncIterable<Uint8Array>, { maxBytes, signal }: IncomingLimits): Promise<string> {
  const hash = createHash('sha256')
  let numBytes = 0
  for await (const chunk of marked(abortableChunks(chunks, signal))) {
    numBytes += chunk.length
    if (numBytes > maxBytes) throw objectTooLarge(maxBytes)
    hash.update(chunk)
    await file.write(chunk)
  }
  return hash.digest('hex')
}

async function* marked(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  try {
    yield* chunks
  } catch (cause) {
    throw new SourceFailure('the source of an object failed', { cause })
  }
}

export function objectTooLarge(maxBytes: number): InferdError {
  return new InferdError('payload_too_large', `the object has more than ${maxBytes} bytes`)
}
