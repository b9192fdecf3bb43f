/** One model of a bucket as files of this machine: which objects it has, and a folder that is all of it or is not there. */
import { createWriteStream } from 'node:fs'
import { mkdir, rename, rm, stat } from 'node:fs/promises'
import path from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { InferdError } from '#contract/errors'
import type { ObjectEntry, ObjectLocation } from '#contract/objects'

/** Objects of one model. */
const MAX_OBJECTS = 1000
const FILE_NAME = /^(?!\.+$)[\w.+@-][\w.+@ -]{0,200}$/
/** Of a folder that is no model: half a copy, or what is being deleted. */
export const UNFINISHED = '.part'

/** A key that ends with `/` stands for all directly below it. Throws model_not_found. */
export async function entriesOf({ bucket, key }: ObjectLocation, uri: string, signal: AbortSignal): Promise<readonly ObjectEntry[]> {
  const entries = key.endsWith('/') ? await bucket.list(key, null, MAX_OBJECTS + 1, signal) : [await bucket.head(key, signal)]
  if (entries.length > MAX_OBJECTS) throw new InferdError('invalid_parameter', `a model has at most ${MAX_OBJECTS} objects`)
  const found = entries.filter((entry) => entry !== null && (!key.endsWith('/') || !entry.key.slice(key.length).includes('/')))
  if (found.length === 0) throw new InferdError('model_not_found', `there is no model at ${uri}`, { param: 'model' })
  return found as readonly ObjectEntry[]
}

export function numBytesOf(entries: readonly ObjectEntry[]): number {
  return entries.reduce((sum, { numBytes }) => sum + numBytes, 0)
}

/** What a worker is started with: the file, or the folder when the location is one. */
export function modelPath(location: ObjectLocation, entries: readonly ObjectEntry[], folder: string): string {
  return location.key.endsWith('/') ? folder : path.join(folder, fileName(location, entries[0]!))
}

/** Whether the folder has every object in full length. */
export async function isWhole(location: ObjectLocation, entries: readonly ObjectEntry[], folder: string): Promise<boolean> {
  for (const entry of entries) {
    const found = await stat(path.join(folder, fileName(location, entry))).catch(() => null)
    if (found === null || found.size !== entry.numBytes) return false
  }
  return true
}

/** Throws store_failed, also for an object that is not as long as its bucket said; the signal's reason; what the bucket throws. Leaves nothing behind then. */
export async function copyModel(location: ObjectLocation, entries: readonly ObjectEntry[], folder: string, signal: AbortSignal): Promise<void> {
  const unfinished = folder + UNFINISHED
  await rm(unfinished, { recursive: true, force: true })
  await mkdir(unfinished, { recursive: true })
  try {
    for (const entry of entries) {
      const from = Readable.from(location.bucket.read(entry.key, 0, signal))
      await pipeline(from, createWriteStream(path.join(unfinished, fileName(location, entry)), { flush: true }), { signal })
    }
    if (!(await isWhole(location, entries, unfinished)))
      throw new InferdError('store_failed', 'the model was changed in its bucket while it was copied')
    await rename(unfinished, folder)
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true })
    if (error instanceof InferdError || signal.aborted) throw error
    throw new InferdError('store_failed', 'the model could not be copied from its bucket', { cause: error })
  }
}

/** A crash on the way leaves nothing that is taken for a model. */
export async function deleteCopy(folder: string): Promise<void> {
  const unfinished = folder + UNFINISHED
  await rm(unfinished, { recursive: true, force: true })
  const isThere = await rename(folder, unfinished).then(
    () => true,
    () => false,
  )
  if (isThere) await rm(unfinished, { recursive: true, force: true })
}

/** Throws invalid_parameter for a name that is no plain file's. */
function fileName({ key }: ObjectLocation, entry: ObjectEntry): string {
  const name = entry.key.slice(key.endsWith('/') ? key.length : entry.key.lastIndexOf('/') + 1)
  if (!FILE_NAME.test(name)) throw new InferdError('invalid_parameter', `the object '${entry.key}' has no name that a file of a model can have`)
  return name
}
