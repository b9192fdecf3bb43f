/** One file on its way in: written, counted and hashed as it comes, synced before it is kept. */
import { createHash } from 'node:crypto'
import { type FileHandle, open, rm } from 'node:fs/promises'
import { assert } from '#base/assert'
import { InferdError } from '#contract/errors'
import type { FileUpload, StoredFile } from '#contract/stored-file'
import type { SyncGuard } from '#platform/objects/sync-guard'

/** On the disk, under a name of its own that `keep` may take away. */
export interface WholeUpload {
  readonly file: string
  readonly numBytes: number
  readonly sha256: string
}

export type UploadLabel = Parameters<FileUpload['commit']>[0]

export interface DiskUploadOptions {
  readonly file: string
  readonly maxBytes: number
  readonly guard: Pick<SyncGuard, 'file'>
  readonly keep: (upload: WholeUpload, label: UploadLabel) => Promise<StoredFile>
  readonly onEnd: () => void
}

export class DiskUpload implements FileUpload {
  private readonly options: DiskUploadOptions
  private readonly handle: FileHandle
  private readonly hash = createHash('sha256')
  private numBytes = 0
  private hasEnded = false

  private constructor(options: DiskUploadOptions, handle: FileHandle) {
    this.options = options
    this.handle = handle
  }

  static async open(options: DiskUploadOptions): Promise<DiskUpload> {
    try {
      return new DiskUpload(options, await open(options.file, 'wx', 0o600))
    } catch (cause) {
      options.onEnd()
      throw failed(cause)
    }
  }

  async write(chunk: Uint8Array): Promise<void> {
    const { maxBytes } = this.options
    this.numBytes += chunk.length
    if (this.numBytes > maxBytes) throw new InferdError('payload_too_large', `a file may have ${maxBytes} bytes`)
    this.hash.update(chunk)
    try {
      for (let start = 0; start < chunk.length;) start += (await this.handle.write(chunk, start)).bytesWritten
    } catch (cause) {
      throw failed(cause)
    }
  }

  async commit(label: UploadLabel): Promise<StoredFile> {
    try {
      await this.options.guard.file(this.handle)
    } catch (cause) {
      await this.abandon()
      throw failed(cause)
    }
    await this.end()
    const { file, keep } = this.options
    try {
      return await keep({ file, numBytes: this.numBytes, sha256: this.hash.digest('hex') }, label)
    } catch (error) {
      await rm(file, { force: true })
      throw error
    }
  }

  async abandon(): Promise<void> {
    await this.end()
    await rm(this.options.file, { force: true })
  }

  private async end(): Promise<void> {
    assert(!this.hasEnded, 'an upload ends twice')
    this.hasEnded = true
    this.options.onEnd()
    await this.handle.close()
  }
}

function failed(cause: unknown): InferdError {
  return cause instanceof InferdError ? cause : new InferdError('store_failed', 'the file could not be written', { cause })
}
