/**
 * One open model file. It remembers size and modification time, and every read of weights checks them: a file that is
 * truncated or rewritten under us is an error with a name, never garbage weights.
 */
import { createHash } from 'node:crypto'
import { readSync } from 'node:fs'
import { open, stat, type FileHandle } from 'node:fs/promises'
import { basename } from 'node:path'
import { InferdError } from '#contract/errors'
import type { ByteSource } from './byte-source.ts'

/** Largest piece of one read call. */
const MAX_READ_BYTES = 64 * 1024 * 1024
const HASH_PIECE_BYTES = 4 * 1024 * 1024

export class ModelFile implements ByteSource {
  readonly path: string
  readonly name: string
  readonly byteLength: number
  private readonly handle: FileHandle
  private readonly modifiedMs: number

  private constructor(path: string, handle: FileHandle, extent: { readonly size: number; readonly mtimeMs: number }) {
    this.path = path
    this.name = basename(path)
    this.handle = handle
    this.byteLength = extent.size
    this.modifiedMs = extent.mtimeMs
  }

  /** Throws InferdError('invalid_model_file') when there is no such regular file, or it may not be read. */
  static async open(path: string): Promise<ModelFile> {
    try {
      // Asked before opening: opening a pipe would wait for a writer.
      const kind = await stat(path)
      if (!kind.isFile()) throw new InferdError('invalid_model_file', `${basename(path)}: not a regular file`)
      const handle = await open(path, 'r')
      return new ModelFile(path, handle, await handle.stat())
    } catch (error) {
      if (error instanceof InferdError) throw error
      throw new InferdError('invalid_model_file', `${basename(path)}: cannot be opened (${systemCode(error)})`, { cause: error })
    }
  }

  readInto(target: Uint8Array, byteStart: number): void {
    let done = 0
    while (done < target.length) {
      const numRead = readSync(this.handle.fd, target, done, target.length - done, byteStart + done)
      if (numRead === 0) throw this.shortRead(byteStart + done, target.length - done)
      done += numRead
    }
  }

  /** As readInto, off the event loop; throws InferdError('invalid_model_file') also when the file changed since it was opened. */
  async read(target: Uint8Array, byteStart: number): Promise<void> {
    let done = 0
    while (done < target.length) {
      const length = Math.min(target.length - done, MAX_READ_BYTES)
      const { bytesRead } = await this.handle.read(target, done, length, byteStart + done)
      if (bytesRead === 0) throw this.shortRead(byteStart + done, target.length - done)
      done += bytesRead
    }
    await this.checkUnchanged()
  }

  async checkUnchanged(): Promise<void> {
    const now = await this.handle.stat()
    if (now.size !== this.byteLength) {
      const change = `size changed from ${this.byteLength} to ${now.size} bytes`
      throw new InferdError('invalid_model_file', `${this.name}: ${change} while the model was in use`)
    }
    if (now.mtimeMs !== this.modifiedMs) {
      throw new InferdError('invalid_model_file', `${this.name}: was rewritten while the model was in use`)
    }
  }

  /** SHA-256 of the whole content in hexadecimal, read in pieces. */
  async sha256(signal?: AbortSignal): Promise<string> {
    const hash = createHash('sha256')
    const piece = new Uint8Array(Math.min(HASH_PIECE_BYTES, this.byteLength))
    for (let at = 0; at < this.byteLength; at += piece.length) {
      signal?.throwIfAborted()
      const part = piece.subarray(0, Math.min(piece.length, this.byteLength - at))
      await this.read(part, at)
      hash.update(part)
    }
    return hash.digest('hex')
  }

  close(): Promise<void> {
    return this.handle.close()
  }

  private shortRead(byteOffset: number, missingBytes: number): InferdError {
    return new InferdError('invalid_model_file', `${this.name}: ends at byte ${byteOffset}, ${missingBytes} bytes short of what its header promised`)
  }
}

/** Opens all paths or none. */
export async function openAll(paths: readonly string[]): Promise<ModelFile[]> {
  const files: ModelFile[] = []
  try {
    for (const path of paths) files.push(await ModelFile.open(path))
    return files
  } catch (error) {
    await closeAll(files)
    throw error
  }
}

export async function closeAll(files: readonly ModelFile[]): Promise<void> {
  for (const file of files) await file.close()
}

/** False only when nothing is there; a file that may not be looked at throws InferdError('invalid_model_file'). */
export async function fileExists(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    const code = systemCode(error)
    if (code === 'ENOENT') return false
    throw new InferdError('invalid_model_file', `${basename(path)}: cannot be opened (${code})`, { cause: error })
  }
}

/** `ENOENT` and its kin, for messages that must not hold a path. */
export function systemCode(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown reason'
}
