/**
 * What a file cannot say of itself: the type and hash of an object, in a small file of its own. It is named by the key and by the length
 * and time of the object's file, so that it speaks of that one version: it is on the disk before the version is visible, and never of
 * another one. A file that somebody laid into the bucket, or changed, has none.
 */
import { createHash } from 'node:crypto'
import path from 'node:path'
import { z } from 'zod'
import { type Disk, type DiskFile, type DiskStat, readSmall } from './disk.ts'
import { errnoOf } from './disk-errors.ts'

export const MAX_ABOUT_BYTES = 16_384
/** Two versions of one length in one tick of the clock: the later one is given a later time. */
const MAX_STAMPS = 64
const STAMP_STEP_NS = 1_000_000n

const aboutSchema = z.object({ key: z.string(), contentType: z.string(), sha256: z.string().regex(/^[0-9a-f]{64}$/) })

export type About = z.infer<typeof aboutSchema>

/** Which version of an object it is. */
export type Version = Pick<DiskStat, 'numBytes' | 'modifiedNs'>

export interface AboutFilesOptions {
  readonly disk: Disk
  readonly folder: string
  readonly sync: (folder: string) => Promise<void>
  readonly syncFile: (file: DiskFile) => Promise<void>
}

export class AboutFiles {
  private readonly options: AboutFilesOptions

  get folder(): string {
    return this.options.folder
  }

  constructor(options: AboutFilesOptions) {
    this.options = options
  }

  /** Durable when it resolves. `file`: the version, not yet synced, which may be given another time; `draft`: a free name for us. */
  async keep(about: About, file: DiskFile, draft: string): Promise<Version> {
    const { disk, folder, sync, syncFile } = this.options
    const writing = await disk.create(draft)
    try {
      await writing.write(Buffer.from(JSON.stringify(about)))
      await syncFile(writing)
    } finally {
      await writing.close()
    }
    // First: a file system over the network may give a file its time when it is synced.
    await syncFile(file)
    const version = await this.claim(about.key, file, draft)
    await sync(folder)
    return version
  }

  /** null = nothing is known of that version. */
  async find(key: string, version: Version): Promise<About | null> {
    let text: string
    try {
      text = await readSmall(this.options.disk, this.pathOf(key, version), MAX_ABOUT_BYTES)
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return null
      throw error
    }
    return parseAbout(text)
  }

  /** After the version is gone for good. */
  async forget(key: string, version: Version): Promise<void> {
    await this.options.disk.unlink(this.pathOf(key, version)).catch(() => {})
  }

  /** Gives the draft the name of a version that no other has. */
  private async claim(key: string, file: DiskFile, draft: string): Promise<Version> {
    let version = await file.stat()
    for (let numTries = 1; ; numTries++) {
      try {
        await this.options.disk.link(draft, this.pathOf(key, version))
        return version
      } catch (error) {
        if (errnoOf(error) !== 'EEXIST' || numTries >= MAX_STAMPS) throw error
      }
      await file.setModified(version.modifiedNs + STAMP_STEP_NS * BigInt(numTries * numTries))
      await this.options.syncFile(file)
      version = await file.stat()
    }
  }

  private pathOf(key: string, version: Version): string {
    return path.join(this.options.folder, aboutNameOf(key, version))
  }
}

/** Of the file that speaks of that version. */
export function aboutNameOf(key: string, { numBytes, modifiedNs }: Version): string {
  return createHash('sha256').update(`${key}\0${numBytes}\0${modifiedNs}`).digest('hex')
}

/** null = it was not written by us, or is torn. */
export function parseAbout(text: string): About | null {
  try {
    return aboutSchema.parse(JSON.parse(text))
  } catch {
    return null
  }
}
