/**
 * Files on the disk of this machine: rows in the store, bytes in a folder, named by their hash. Bytes come in beside them and take their
 * name when they are whole and synced; a crash leaves nothing that a start does not clean.
 */
import { createReadStream } from 'node:fs'
import { mkdir, readdir, rename, rm } from 'node:fs/promises'
import path from 'node:path'
import type { Clock } from '#base/clock'
import { randomId } from '#base/random'
import { InferdError } from '#contract/errors'
import type { FileQuery, FileShelf, FileUpload, StoredFile } from '#contract/stored-file'
import {
  deleteFile,
  type FileRow,
  insertFile,
  selectExpiredFiles,
  selectFile,
  selectFileHashes,
  selectFiles,
  sumFiles,
} from '#platform/store/file-rows'
import { systemDisk } from '#platform/objects/disk'
import { SyncGuard } from '#platform/objects/sync-guard'
import type { Store } from '#platform/store/open-store'
import { DiskUpload, type UploadLabel, type WholeUpload } from './disk-upload.ts'

export interface FileShelfOptions {
  readonly store: Store
  readonly clock: Clock
  /** Nobody else writes into it. */
  readonly folder: string
  readonly maxFileBytes: number
  readonly maxTeamBytes: number
  readonly maxTeamFiles: number
  readonly maxUploads: number
  /** A sync failed: no file is taken any more until a restart. */
  readonly onDamage: (error: unknown) => void
}

export const DEFAULT_FILE_LIMITS: Omit<FileShelfOptions, 'store' | 'clock' | 'folder' | 'onDamage'> = {
  maxFileBytes: 512 * 2 ** 20,
  maxTeamBytes: 16 * 2 ** 30,
  maxTeamFiles: 10_000,
  maxUploads: 64,
}

const SWEEP_INTERVAL_MS = 600_000
const SWEEP_BATCH = 256
const RETRY_AFTER_MS = 2000

export class DiskFileShelf implements FileShelf {
  readonly maxFileBytes: number
  private readonly options: FileShelfOptions
  /** Those who give and take names of contents, one after the other. */
  private line: Promise<unknown> = Promise.resolve()
  private numUploads = 0
  private readonly guard: SyncGuard

  private constructor(options: FileShelfOptions) {
    this.options = options
    this.guard = new SyncGuard({ disk: systemDisk, what: 'the folder of files', onDamage: options.onDamage })
    this.maxFileBytes = options.maxFileBytes
  }

  /** Makes the folder, or cleans it of what a crash has left. Throws store_failed. */
  static async open(options: FileShelfOptions): Promise<DiskFileShelf> {
    const shelf = new DiskFileShelf(options)
    try {
      await rm(shelf.incomingFolder, { recursive: true, force: true })
      await mkdir(shelf.incomingFolder, { recursive: true, mode: 0o700 })
      const named = new Set(await selectFileHashes(options.store.db))
      const kept = (await readdir(options.folder)).filter((name) => /^[0-9a-f]{64}$/.test(name))
      for (const name of kept) if (!named.has(name)) await rm(path.join(options.folder, name), { force: true })
    } catch (cause) {
      throw failed(cause)
    }
    return shelf
  }

  /** Deletes what has expired, now and then every ten minutes, until the signal aborts. Calls `onError` when something fails, and goes on. */
  async sweep(signal: AbortSignal, onError: (error: unknown) => void): Promise<void> {
    while (!signal.aborted) {
      await this.deleteExpired().catch(onError)
      await this.options.clock.sleep(SWEEP_INTERVAL_MS, signal).catch(() => {})
    }
  }

  async receive(team: string): Promise<FileUpload> {
    const { maxUploads, maxFileBytes } = this.options
    this.guard.check()
    if (this.numUploads >= maxUploads) throw new InferdError('overloaded', 'too many files are being received', { retryAfterMs: RETRY_AFTER_MS })
    await this.checkRoom(team, 0)
    this.numUploads++
    const onEnd = (): void => void this.numUploads--
    const keep = (upload: WholeUpload, label: UploadLabel): Promise<StoredFile> =>
      this.alone(async () => {
        await this.checkRoom(team, upload.numBytes)
        return this.keep(upload, { ...label, team, id: randomId('file') })
      })
    return DiskUpload.open({ file: this.incomingFile(), maxBytes: maxFileBytes, guard: this.guard, keep, onEnd })
  }

  receiveResult(team: string, id: string): Promise<FileUpload> {
    const keep = (upload: WholeUpload, label: UploadLabel): Promise<StoredFile> =>
      this.alone(async () => {
        const row = await selectFile(this.options.store.db, team, id)
        if (row === null) return this.keep(upload, { ...label, team, id })
        await rm(upload.file, { force: true })
        return fileOf(row)
      })
    return DiskUpload.open({ file: this.incomingFile(), maxBytes: Number.POSITIVE_INFINITY, guard: this.guard, keep, onEnd: () => {} })
  }

  async get(team: string, id: string): Promise<StoredFile | null> {
    const row = await selectFile(this.options.store.db, team, id)
    return row === null || (row.expires_ms !== null && row.expires_ms <= this.options.clock.wallMs()) ? null : fileOf(row)
  }

  async list({ team, purpose, afterId, limit, order }: FileQuery): Promise<readonly StoredFile[]> {
    const { store, clock } = this.options
    const after = afterId === null ? null : await selectFile(store.db, team, afterId)
    if (afterId !== null && after === null) throw new InferdError('resource_not_found', 'after must be the id of a file', { param: 'after' })
    const rows = await selectFiles(store.db, { team, purpose, after, limit, order, nowMs: clock.wallMs() })
    return rows.map(fileOf)
  }

  async *read({ sha256 }: StoredFile): AsyncGenerator<Uint8Array> {
    try {
      yield* createReadStream(this.pathOf(sha256)) as AsyncIterable<Uint8Array>
    } catch (cause) {
      throw failed(cause)
    }
  }

  delete(team: string, id: string): Promise<boolean> {
    return this.alone(async () => {
      const { wasThere, orphan } = await deleteFile(this.options.store.db, team, id)
      if (orphan !== null) await rm(this.pathOf(orphan), { force: true })
      return wasThere
    })
  }

  private get incomingFolder(): string {
    return path.join(this.options.folder, 'incoming')
  }

  private incomingFile(): string {
    return path.join(this.incomingFolder, randomId('upload'))
  }

  private pathOf(sha256: string): string {
    return path.join(this.options.folder, sha256)
  }

  /** To be called alone. */
  private async keep(
    upload: WholeUpload,
    { id, team, filename, purpose, expiresAfterS }: UploadLabel & Pick<StoredFile, 'id' | 'team'>,
  ): Promise<StoredFile> {
    const { store, clock, folder } = this.options
    const createdMs = clock.wallMs()
    const expiresMs = expiresAfterS === null ? null : createdMs + expiresAfterS * 1000
    const file: StoredFile = { id, team, filename, purpose, numBytes: upload.numBytes, sha256: upload.sha256, createdMs, expiresMs }
    try {
      await rename(upload.file, this.pathOf(file.sha256))
      // A rename is on the disk once its folder is.
      await this.guard.folder(folder)
    } catch (cause) {
      throw failed(cause)
    }
    await insertFile(store.db, rowOf(file))
    return file
  }

  private async checkRoom(team: string, numNewBytes: number): Promise<void> {
    const { maxTeamBytes, maxTeamFiles, store } = this.options
    const { numFiles, numBytes } = await sumFiles(store.db, team)
    if (numFiles >= maxTeamFiles) throw new InferdError('payload_too_large', `a team may keep ${maxTeamFiles} files; delete some`)
    if (numBytes + numNewBytes > maxTeamBytes) {
      throw new InferdError('payload_too_large', `a team may keep ${maxTeamBytes} bytes of files, ${numBytes} are kept; delete some`)
    }
  }

  private async deleteExpired(): Promise<void> {
    const { store, clock } = this.options
    for (;;) {
      const expired = await selectExpiredFiles(store.db, clock.wallMs(), SWEEP_BATCH)
      for (const { team, id } of expired) await this.delete(team, id)
      if (expired.length < SWEEP_BATCH) return
    }
  }

  private alone<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.line.then(work)
    this.line = turn.catch(() => {})
    return turn
  }
}

function failed(cause: unknown): InferdError {
  return cause instanceof InferdError ? cause : new InferdError('store_failed', 'the folder of files failed', { cause })
}

function fileOf(row: FileRow): StoredFile {
  return {
    id: row.id,
    team: row.team,
    filename: row.filename,
    purpose: row.purpose,
    numBytes: row.num_bytes,
    sha256: row.sha256,
    createdMs: row.created_ms,
    expiresMs: row.expires_ms,
  }
}

function rowOf(file: StoredFile): FileRow {
  return {
    id: file.id,
    team: file.team,
    filename: file.filename,
    purpose: file.purpose,
    num_bytes: file.numBytes,
    sha256: file.sha256,
    created_ms: file.createdMs,
    expires_ms: file.expiresMs,
  }
}
