/**
 * A bucket that is a folder of this machine, which people may look into and lay files into. An object is written and synced under a name
 * of ours, takes its own by one link or rename, and is acknowledged when the folder of that name is synced: at any moment it is whole or
 * absent. One server writes into a folder; whoever else may write into it is trusted.
 */
import path from 'node:path'
import { randomId } from '#base/random'
import { InferdError } from '#contract/errors'
import type { Bucket, ObjectEntry, ObjectMeta, PutOptions } from '#contract/objects'
import { type About, AboutFiles, type Version } from './about-files.ts'
import { guessContentType } from './content-type.ts'
import type { Disk } from './disk.ts'
import { diskError, errnoOf } from './disk-errors.ts'
import { DurableFolders } from './durable-folders.ts'
import { openFolder } from './folder-layout.ts'
import { keysOfFolder } from './folder-list.ts'
import { SourceFailure, writeChunks } from './incoming-file.ts'
import { namesOfKey } from './key-path.ts'
import { cleanLeftovers, incomingNames } from './leftovers.ts'
import { checkKey, checkPrefix, isKey } from './object-key.ts'
import { findObject, type FoundObject, type ObjectFolder, openObject } from './open-object.ts'
import { placeObject, type Placed } from './publish.ts'
import { readObject } from './read-object.ts'
import { SyncGuard } from './sync-guard.ts'

export interface FolderBucketOptions {
  readonly disk: Disk
  readonly name: string
  /** Absolute, and there when the bucket is first used: it is never made, so that nothing is written where a disk is not mounted. */
  readonly base: string
  /** Folders below it that are made when they are not there; with them the folder of the bucket. */
  readonly inside: readonly string[]
  /** A sync failed: what was written may be lost although the disk says otherwise. Nothing is taken any more until a restart. */
  readonly onDamage: (error: unknown) => void
}

interface OpenBucket extends ObjectFolder {
  readonly incoming: string
  readonly folders: DurableFolders
}

interface IncomingObject {
  readonly key: string
  readonly chunks: AsyncIterable<Uint8Array>
  readonly options: PutOptions
  readonly signal: AbortSignal
  /** Free names of ours. */
  readonly file: string
  readonly draft: string
}

/** Objects that are looked at together. */
const LIST_BATCH = 64
const NS_PER_MS = 1_000_000n

export class FolderBucket implements Bucket {
  private readonly options: FolderBucketOptions
  private readonly guard: SyncGuard
  private opening: Promise<OpenBucket> | null = null
  /** Once a process: later on there may be puts of our own. */
  private isClean = false

  constructor(options: FolderBucketOptions) {
    this.options = options
    this.guard = new SyncGuard({ ...options, what: `the bucket '${options.name}'` })
  }

  put(key: string, chunks: AsyncIterable<Uint8Array>, options: PutOptions, signal: AbortSignal): Promise<ObjectMeta | null> {
    return this.inOurWords(signal, async () => {
      checkKey(key)
      this.guard.check()
      const opened = await this.open()
      const names = incomingNames(randomId('put'))
      const file = path.join(opened.incoming, names.file)
      const draft = path.join(opened.incoming, names.draft)
      try {
        return await this.receive(opened, { key, chunks, options, signal, file, draft })
      } finally {
        for (const name of [draft, file]) await this.options.disk.unlink(name).catch(() => {})
      }
    })
  }

  head(key: string, signal: AbortSignal): Promise<ObjectMeta | null> {
    return this.inOurWords(signal, async () => {
      checkKey(key)
      const found = await findObject(await this.open(), key)
      return found === null ? null : metaOf(key, found)
    })
  }

  async *read(key: string, start: number, signal: AbortSignal): AsyncGenerator<Uint8Array, void> {
    const opened = await this.inOurWords(signal, async () => {
      checkKey(key)
      return openObject(await this.open(), key)
    })
    if (opened === null) throw new InferdError('resource_not_found', 'there is no such object')
    const { file, numBytes, about } = opened
    try {
      yield* readObject({ file, bucketName: this.options.name, numBytes, sha256: about?.sha256 ?? null, start }, signal)
    } catch (error) {
      throw diskError(this.options.name, error)
    } finally {
      await file.close()
    }
  }

  list(prefix: string, afterKey: string | null, limit: number, signal: AbortSignal): Promise<readonly ObjectEntry[]> {
    return this.inOurWords(signal, async () => {
      checkPrefix(prefix)
      const opened = await this.open()
      const keys = keysOfFolder(this.options.disk, opened.top, { prefix, afterKey })
      const entries: ObjectEntry[] = []
      while (entries.length < limit) {
        signal.throwIfAborted()
        const batch = await takeKeys(keys, Math.min(LIST_BATCH, limit - entries.length))
        if (batch.length === 0) break
        const found = await Promise.all(batch.map((key) => findObject(opened, key)))
        entries.push(...batch.flatMap((key, index) => (found[index] == null ? [] : [entryOf(key, found[index])])))
      }
      return entries
    })
  }

  delete(key: string, signal: AbortSignal): Promise<boolean> {
    return this.inOurWords(signal, async () => {
      checkKey(key)
      this.guard.check()
      const opened = await this.open()
      const found = await findObject(opened, key)
      const names = namesOfKey(key)
      const file = path.join(opened.top, ...names)
      const wasThere = found !== null && (await isDone(this.options.disk.unlink(file)))
      // Also of one that was gone already: by whom it was deleted may have died before his sync.
      await isDone(this.guard.folder(path.dirname(file)))
      if (found !== null) await opened.abouts.forget(key, found)
      if (wasThere) await opened.folders.prune(names.slice(0, -1))
      return wasThere
    })
  }

  private async receive(opened: OpenBucket, incoming: IncomingObject): Promise<ObjectMeta | null> {
    const { key, options, signal, file } = incoming
    const { about, version } = await this.write(opened, incoming)
    let placed: Placed
    try {
      signal.throwIfAborted()
      placed = await placeObject(opened, { key, file, ifAbsent: options.ifAbsent })
    } catch (error) {
      await opened.abouts.forget(key, version)
      throw error
    }
    // Once it is visible no signal takes it back.
    await this.guard.folder(placed.folder)
    if (!placed.isVisible) await opened.abouts.forget(key, version)
    if (placed.old !== null) await opened.abouts.forget(key, placed.old)
    return placed.isVisible ? metaOf(key, { ...version, about }) : null
  }

  private async write({ abouts }: OpenBucket, incoming: IncomingObject): Promise<{ readonly about: About; readonly version: Version }> {
    const { key, chunks, options, signal, file, draft } = incoming
    const writing = await this.options.disk.create(file)
    try {
      const sha256 = await writeChunks(writing, chunks, { maxBytes: options.maxBytes, signal })
      const about = { key, contentType: options.contentType, sha256 }
      return { about, version: await abouts.keep(about, writing, draft) }
    } finally {
      await writing.close()
    }
  }

  private open(): Promise<OpenBucket> {
    this.opening ??= this.openNow().catch((error: unknown) => {
      this.opening = null
      throw error
    })
    return this.opening
  }

  private async openNow(): Promise<OpenBucket> {
    const { disk } = this.options
    const sync = (folder: string): Promise<void> => this.guard.folder(folder)
    const { top, incoming, about } = await openFolder({ ...this.options, sync })
    const abouts = new AboutFiles({ disk, folder: about, sync, syncFile: (file) => this.guard.file(file) })
    if (!this.isClean) await cleanLeftovers({ disk, top, incoming, abouts })
    this.isClean = true
    return { disk, top, incoming, abouts, folders: new DurableFolders({ disk, top, sync }) }
  }

  private async inOurWords<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    try {
      signal.throwIfAborted()
      return await work()
    } catch (error) {
      if (error instanceof SourceFailure) throw error.cause
      // A folder that went away may come back: it is opened anew.
      if (errnoOf(error) === 'ENOENT') this.opening = null
      throw diskError(this.options.name, error)
    }
  }
}

/** Fewer at the end only. Of those that a location cannot name there are none. */
async function takeKeys(keys: AsyncGenerator<string, void>, numKeys: number): Promise<readonly string[]> {
  const taken: string[] = []
  while (taken.length < numKeys) {
    const next = await keys.next()
    if (next.done === true) break
    if (isKey(next.value)) taken.push(next.value)
  }
  return taken
}

/** False = what it is about is not there. */
async function isDone(work: Promise<void>): Promise<boolean> {
  try {
    await work
    return true
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(errnoOf(error))) return false
    throw error
  }
}

function entryOf(key: string, { numBytes, modifiedNs, about }: FoundObject): ObjectEntry {
  return { key, numBytes, etag: about?.sha256 ?? `${numBytes}-${modifiedNs}`, modifiedMs: Number(modifiedNs / NS_PER_MS) }
}

function metaOf(key: string, found: FoundObject): ObjectMeta {
  return { ...entryOf(key, found), contentType: found.about?.contentType ?? guessContentType(key) }
}
