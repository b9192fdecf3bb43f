/**
 * Syncs, and what a failed one means. The kernel may have dropped what it could not write, and says so once: a later sync succeeds and
 * proves nothing. So after a failure nothing more is acknowledged until a restart looks at what the disk really holds.
 */
import { InferdError } from '#contract/errors'
import type { Disk, DiskFile } from './disk.ts'
import { errnoOf } from './disk-errors.ts'

export interface SyncGuardOptions {
  readonly disk: Disk
  /** Whose syncs these are, in words. */
  readonly what: string
  readonly onDamage: (error: unknown) => void
}

interface FolderSyncs {
  readonly running: Promise<void>
  /** Not begun. */
  next: Promise<void> | null
}

/** A file is thrown away, and written anew by whoever tries again; a folder keeps what it could not write, and is synced again. */
const IS_FULL = ['ENOSPC', 'EDQUOT', 'EFBIG']
/** The folder could not even be opened: nothing was lost by that. */
const IS_NOT_OPEN = ['ENOENT', 'ENOTDIR', 'EMFILE', 'ENFILE', 'EACCES', 'EPERM', 'ELOOP']

export class SyncGuard {
  private readonly options: SyncGuardOptions
  private damage: InferdError | null = null
  /** By the path of the folder; only those that are being synced. */
  private readonly folderSyncs = new Map<string, FolderSyncs>()

  constructor(options: SyncGuardOptions) {
    this.options = options
  }

  /** Throws store_failed after a sync failed. */
  check(): void {
    if (this.damage !== null) throw this.damage
  }

  async file(file: Pick<DiskFile, 'sync'>): Promise<void> {
    await this.sync(() => file.sync(), IS_FULL)
  }

  /** Those who come while a sync of the folder runs share the next one: what they changed was changed before it begins. */
  folder(path: string): Promise<void> {
    const current = this.folderSyncs.get(path)
    if (current === undefined) return this.beginFolder(path)
    current.next ??= current.running.then(
      () => this.beginFolder(path),
      () => this.beginFolder(path),
    )
    return current.next
  }

  private beginFolder(path: string): Promise<void> {
    const running = this.sync(() => this.options.disk.syncFolder(path), [...IS_FULL, ...IS_NOT_OPEN])
    const current: FolderSyncs = { running, next: null }
    this.folderSyncs.set(path, current)
    const onEnd = (): void => {
      if (current.next === null) this.folderSyncs.delete(path)
    }
    running.then(onEnd, onEnd)
    return running
  }

  private async sync(work: () => Promise<void>, harmless: readonly string[]): Promise<void> {
    this.check()
    try {
      await work()
    } catch (error) {
      if (harmless.includes(errnoOf(error))) throw error
      const isFirst = this.damage === null
      this.damage ??= new InferdError(
        'store_failed',
        `${this.options.what} failed: a sync of its disk failed, and nothing is written until inferd is started again`,
        { cause: error },
      )
      if (isFirst) this.options.onDamage(error)
    }
    this.check()
  }
}
