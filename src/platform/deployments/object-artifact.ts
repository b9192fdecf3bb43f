/** Models that lie in a bucket, copied beside the server once for each version, so that a worker can read them as files. */
import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdir, readdir, rename, rm } from 'node:fs/promises'
import path from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { InferdError } from '#contract/errors'
import type { ObjectEntry, ObjectLocation, ObjectStores } from '#contract/objects'

/** Objects of one model. */
const MAX_OBJECTS = 1000
const FILE_NAME = /^(?!\.+$)[\w.+@-][\w.+@ -]{0,200}$/
const UNFINISHED = '.part'

export interface ObjectArtifactsParts {
  readonly objects: ObjectStores
  /** Of the copies; made when it is first used. */
  readonly folder: string
}

export class ObjectArtifacts {
  private readonly parts: ObjectArtifactsParts
  /** Copies on their way, so that replicas of one model wait for the same one. */
  private readonly copying = new Map<string, Promise<string>>()
  private cleaned: Promise<void> | null = null

  constructor(parts: ObjectArtifactsParts) {
    this.parts = parts
  }

  /** The path of a .gguf file, or of a folder of a model. Throws model_not_found for what is not there, store_failed, and the signal's reason. */
  async fetch(team: string, uri: string, signal: AbortSignal): Promise<string> {
    this.cleaned ??= this.clean()
    await this.cleaned
    const location = this.parts.objects.locate(team, uri)
    const entries = await entriesOf(location, signal)
    if (entries.length === 0) throw new InferdError('model_not_found', `there is no model at ${uri}`, { param: 'model' })
    const digest = digestOf(uri, entries)
    let copying = this.copying.get(digest)
    if (copying === undefined) {
      copying = this.copy(location, entries, digest, signal).finally(() => this.copying.delete(digest))
      this.copying.set(digest, copying)
    }
    return copying
  }

  private async copy(location: ObjectLocation, entries: readonly ObjectEntry[], digest: string, signal: AbortSignal): Promise<string> {
    const target = path.join(this.parts.folder, digest)
    const isFolder = location.key.endsWith('/')
    const resultOf = (folder: string): string => (isFolder ? folder : path.join(folder, fileName(location, entries[0]!)))
    if (await isThere(target)) return resultOf(target)
    const unfinished = target + UNFINISHED
    await rm(unfinished, { recursive: true, force: true })
    await mkdir(unfinished, { recursive: true })
    try {
      for (const entry of entries) {
        const from = Readable.from(location.bucket.read(entry.key, 0, signal))
        await pipeline(from, createWriteStream(path.join(unfinished, fileName(location, entry)), { flush: true }), { signal })
      }
      await rename(unfinished, target)
    } catch (error) {
      await rm(unfinished, { recursive: true, force: true })
      if (error instanceof InferdError || signal.aborted) throw error
      throw new InferdError('store_failed', 'the model could not be copied from its bucket', { cause: error })
    }
    return resultOf(target)
  }

  /** What a crash left. */
  private async clean(): Promise<void> {
    const names = await readdir(this.parts.folder).catch(() => [])
    for (const name of names.filter((one) => one.endsWith(UNFINISHED))) await rm(path.join(this.parts.folder, name), { recursive: true, force: true })
  }
}

/** A key that ends with `/` stands for all directly below it. */
async function entriesOf({ bucket, key }: ObjectLocation, signal: AbortSignal): Promise<readonly ObjectEntry[]> {
  if (!key.endsWith('/')) {
    const meta = await bucket.head(key, signal)
    return meta === null ? [] : [meta]
  }
  const entries = await bucket.list(key, null, MAX_OBJECTS + 1, signal)
  if (entries.length > MAX_OBJECTS) throw new InferdError('invalid_parameter', `a model has at most ${MAX_OBJECTS} objects`)
  return entries.filter((entry) => !entry.key.slice(key.length).includes('/'))
}

/** Throws invalid_parameter for a name that is no plain file's. */
function fileName({ key }: ObjectLocation, entry: ObjectEntry): string {
  const name = entry.key.slice(key.endsWith('/') ? key.length : entry.key.lastIndexOf('/') + 1)
  if (!FILE_NAME.test(name)) throw new InferdError('invalid_parameter', `the object '${entry.key}' has no name that a file of a model can have`)
  return name
}

function digestOf(uri: string, entries: readonly ObjectEntry[]): string {
  const hash = createHash('sha256').update(uri)
  for (const { key, numBytes, etag } of entries) hash.update(`\0${key}\0${numBytes}\0${etag}`)
  return hash.digest('hex').slice(0, 32)
}

async function isThere(folder: string): Promise<boolean> {
  return (await readdir(folder).catch(() => [])).length > 0
}
