/** Folders in which files may be published: each is there, and known to be in its parent after a power loss. */
import path from 'node:path'
import { InferdError } from '#contract/errors'
import type { Disk } from './disk.ts'
import { errnoOf } from './disk-errors.ts'
import { makeFolder } from './folder-layout.ts'

const MAX_KNOWN = 10_000
/** Less what the umask takes: people look into buckets. */
const ANYBODY = 0o777

export interface DurableFoldersOptions {
  readonly disk: Disk
  /** There, and durable. */
  readonly top: string
  readonly sync: (folder: string) => Promise<void>
}

export class DurableFolders {
  private readonly options: DurableFoldersOptions
  /** Made or found by us, and synced since: one that was merely found may be of a process that died before its sync. */
  private readonly known = new Set<string>()

  constructor(options: DurableFoldersOptions) {
    this.options = options
  }

  /** The path of the innermost one. Throws conflict where something else has the name of a folder. */
  async make(names: readonly string[]): Promise<string> {
    const { disk, top, sync } = this.options
    let folder = top
    for (const name of names) {
      const parent = folder
      folder = path.join(parent, name)
      if (this.known.has(folder)) continue
      await this.makeOne(folder)
      await sync(parent)
      if (this.known.size >= MAX_KNOWN) this.known.clear()
      this.known.add(folder)
    }
    if ((await disk.realPath(folder)) !== folder) throw taken()
    return folder
  }

  /** To be asked again, since one of them is gone. */
  forget(names: readonly string[]): void {
    let folder = this.options.top
    for (const name of names) this.known.delete((folder = path.join(folder, name)))
  }

  /** Takes those away that are empty, from the inside out. One that a put wants meanwhile stays, or is made once more by it. */
  async prune(names: readonly string[]): Promise<void> {
    for (let depth = names.length; depth > 0; depth--) {
      const folder = path.join(this.options.top, ...names.slice(0, depth))
      const isGone = await this.options.disk.rmdir(folder).then(
        () => true,
        () => false,
      )
      if (!isGone) return
      this.known.delete(folder)
    }
  }

  private async makeOne(folder: string): Promise<void> {
    try {
      await makeFolder(this.options.disk, folder, ANYBODY)
    } catch (error) {
      if (['ENOTDIR', 'ELOOP'].includes(errnoOf(error))) throw taken()
      throw error
    }
  }
}

/** Where a folder and an object want one name. */
export function taken(): InferdError {
  return new InferdError('conflict', 'the bucket is a folder: an object cannot lie inside of the name of another, nor where a link lies')
}
