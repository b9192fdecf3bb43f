/**
 * Syncs, and what a failed one means. The kernel may have dropped what it could not write, and says so once: a later sync succeeds and
 * proves nothing. So after a failure nothing more is acknowledged until a restart looks at what the disk really holds.
 */
import type { InferdError } from '#contract/errors'
import type { Disk, DiskFile } from './disk.ts'
import { damaged, errnoOf } from './disk-errors.ts'

export interface SyncGuardOptions {
  readonly disk: Disk
  /** Of the bucket, for words. */
  readonly name: string
  readonly onDamage: (error: unknown) => void
}

/** The folder could not even be opened: nothing was lost by that. */
const IS_NO_DAMAGE = ['ENOENT', 'ENOTDIR', 'EMFILE', 'ENFILE', 'EACCES', 'EPERM', 'ELOOP']
/** The file is thrown away, and written anew by whoever tries again. */
const IS_FULL = ['ENOSPC', 'EDQUOT', 'EFBIG']

export class SyncGuard {
  private readonly options: SyncGuardOptions
  private damage: InferdError | null = null

  constructor(options: SyncGuardOptions) {
    this.options = options
  }

  /** Throws store_failed after a sync failed. */
  check(): void {
    if (this.damage !== null) throw this.damage
  }

  async file(file: DiskFile): Promise<void> {
    await this.sync(() => file.sync(), IS_FULL)
  }

  async folder(path: string): Promise<void> {
    await this.sync(() => this.options.disk.syncFolder(path), IS_NO_DAMAGE)
  }

  private async sync(work: () => Promise<void>, harmless: readonly string[]): Promise<void> {
    this.check()
    try {
      await work()
    } catch (error) {
      if (harmless.includes(errnoOf(error))) throw error
      this.damage ??= damaged(this.options.name, 'a sync of its disk failed, and nothing is written until inferd is started again')
      this.options.onDamage(error)
    }
    this.check()
  }
}
