/**
 * Models that lie in a bucket, copied beside the server once for each version, so that a worker can read them as files. A copy is kept while
 * a unit uses it, and what nobody uses is deleted; the disk is never filled with them.
 */
import { createHash } from 'node:crypto'
import { mkdir, readdir, rm, statfs } from 'node:fs/promises'
import path from 'node:path'
import { assert } from '#base/assert'
import { InferdError } from '#contract/errors'
import type { ObjectEntry, ObjectLocation, ObjectStores } from '#contract/objects'
import { copyModel, deleteCopy, entriesOf, isWhole, modelPath, numBytesOf, UNFINISHED } from './model-copy.ts'

export interface ObjectArtifactsParts {
  readonly objects: ObjectStores
  /** Of the copies; made when it is first used. */
  readonly folder: string
  /** What the disk has left. */
  readonly freeBytes?: (folder: string) => Promise<number>
}

/** Invariant: it has a user, or is on its way out of the map. */
interface Copy {
  /** Units. */
  readonly users: Set<string>
  readonly path: Promise<string>
}

/** Of the disk, for all that is not a model. */
const RESERVE_BYTES = 512 * 2 ** 20

export class ObjectArtifacts {
  private readonly parts: ObjectArtifactsParts
  /** By digest: there, or on its way. */
  private readonly copies = new Map<string, Copy>()
  private readonly deleting = new Map<string, Promise<unknown>>()
  /** Asked for and not found yet: what they will use is not known. */
  private numLooking = 0
  private hasFailed = false
  /** Of copies that are being made; what they have written counts twice meanwhile. */
  private promisedBytes = 0
  private cleaned: Promise<void> | null = null

  constructor(parts: ObjectArtifactsParts) {
    this.parts = parts
  }

  /**
   * The path of a .gguf file, or of a folder of a model, for this unit until `release`. Throws model_not_found for what is not there,
   * store_failed with need and have for what the disk has no room for, and the signal's reason.
   */
  async fetch(unit: string, { team, uri }: { readonly team: string; readonly uri: string }, signal: AbortSignal): Promise<string> {
    this.numLooking++
    try {
      await (this.cleaned ??= this.clean())
      const location = this.parts.objects.locate(team, uri)
      const entries = await entriesOf(location, uri, signal)
      return await this.use(unit, digestOf(uri, entries), (digest) => this.bring(location, entries, digest, signal))
    } catch (error) {
      this.hasFailed = true
      throw error
    } finally {
      this.numLooking--
    }
  }

  /** It uses no copy any more; one that nobody uses is deleted. */
  release(unit: string): void {
    for (const [digest, { users }] of this.copies) if (users.delete(unit) && users.size === 0) this.drop(digest)
  }

  /** Deletes what earlier runs have left, once all units that are wanted have asked for theirs; not when that is not sure. */
  async sweep(): Promise<void> {
    if (this.numLooking > 0 || this.hasFailed) return
    const names = await readdir(this.parts.folder).catch(() => [])
    for (const name of names) if (!name.endsWith(UNFINISHED) && !this.copies.has(name)) this.drop(name)
    await this.settled()
  }

  /** Until nothing is being deleted. */
  async settled(): Promise<void> {
    await Promise.all(this.deleting.values())
  }

  checkInvariants(): void {
    for (const { users } of this.copies.values()) assert(users.size > 0, 'a copy is kept for somebody')
    assert(this.promisedBytes >= 0, 'what is promised is given back once')
  }

  private use(unit: string, digest: string, bring: (digest: string) => Promise<string>): Promise<string> {
    const copy = this.copies.get(digest) ?? { users: new Set(), path: bring(digest) }
    this.copies.set(digest, copy)
    copy.users.add(unit)
    copy.path.catch(() => this.copies.get(digest) === copy && this.copies.delete(digest))
    return copy.path
  }

  private async bring(location: ObjectLocation, entries: readonly ObjectEntry[], digest: string, signal: AbortSignal): Promise<string> {
    await this.deleting.get(digest)
    const target = path.join(this.parts.folder, digest)
    if (!(await isWhole(location, entries, target))) {
      await deleteCopy(target)
      await this.withRoom(numBytesOf(entries), () => copyModel(location, entries, target, signal))
    }
    return modelPath(location, entries, target)
  }

  private async withRoom(needBytes: number, copy: () => Promise<void>): Promise<void> {
    const { folder, freeBytes = freeBytesOf } = this.parts
    await mkdir(folder, { recursive: true })
    const haveBytes = Math.max(0, (await freeBytes(folder)) - RESERVE_BYTES - this.promisedBytes)
    if (needBytes > haveBytes)
      throw new InferdError('store_failed', `a copy of the model needs ${needBytes} bytes of disk; there are ${haveBytes} for it`)
    this.promisedBytes += needBytes
    try {
      await copy()
    } finally {
      this.promisedBytes -= needBytes
    }
  }

  private drop(digest: string): void {
    const copying = this.copies.get(digest)?.path
    this.copies.delete(digest)
    const work: Promise<unknown> = Promise.resolve(copying)
      .catch(() => {})
      .then(() => deleteCopy(path.join(this.parts.folder, digest)))
      .catch(() => {})
      .finally(() => this.deleting.get(digest) === work && this.deleting.delete(digest))
    this.deleting.set(digest, work)
  }

  /** What a crash left. */
  private async clean(): Promise<void> {
    const names = await readdir(this.parts.folder).catch(() => [])
    for (const name of names.filter((one) => one.endsWith(UNFINISHED))) await rm(path.join(this.parts.folder, name), { recursive: true, force: true })
  }
}

function digestOf(uri: string, entries: readonly ObjectEntry[]): string {
  const hash = createHash('sha256').update(uri)
  for (const { key, numBytes, etag } of entries) hash.update(`\0${key}\0${numBytes}\0${etag}`)
  return hash.digest('hex').slice(0, 32)
}

async function freeBytesOf(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder)
  return bavail * bsize
}
