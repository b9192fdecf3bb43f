/** How a file that is whole and synced gets the name of an object. */
import path from 'node:path'
import type { Version } from './about-files.ts'
import { type Disk, statOf } from './disk.ts'
import { errnoOf } from './disk-errors.ts'
import { type DurableFolders, taken } from './durable-folders.ts'
import { namesOfKey } from './key-path.ts'
import { findObject, type ObjectFolder } from './open-object.ts'

export interface Publication {
  readonly key: string
  readonly file: string
  readonly ifAbsent: boolean
}

export interface Placed {
  /** To be synced before anybody is told of either outcome. */
  readonly folder: string
  /** False = another object has the name. */
  readonly isVisible: boolean
  /** Whose place it took. */
  readonly old: Version | null
}

/** A folder between may go away with its last object, again and again. */
const MAX_TRIES = 8

/** Throws conflict where a folder and an object want one name, and what the disk throws; then nothing is visible. */
export async function placeObject(folder: ObjectFolder & { readonly folders: DurableFolders }, publication: Publication): Promise<Placed> {
  const { disk, top, folders } = folder
  const { key, file, ifAbsent } = publication
  const names = namesOfKey(key)
  const folderNames = names.slice(0, -1)
  const target = path.join(top, ...names)
  for (let numTries = 1; ; numTries++) {
    try {
      const inner = await folders.make(folderNames)
      const old = ifAbsent ? null : await findObject(folder, key)
      return { folder: inner, isVisible: await takeName(disk, { file, target, ifAbsent }), old }
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT' || numTries >= MAX_TRIES) throw error
      // Is it the folder that is gone, or our file?
      await statOf(disk, file)
      folders.forget(folderNames)
    }
  }
}

async function takeName(
  disk: Disk,
  { file, target, ifAbsent }: { readonly file: string; readonly target: string; readonly ifAbsent: boolean },
): Promise<boolean> {
  try {
    await (ifAbsent ? disk.link(file, target) : disk.rename(file, target))
    return true
  } catch (error) {
    const code = errnoOf(error)
    if (['EISDIR', 'ENOTEMPTY', 'ENOTDIR'].includes(code)) throw taken()
    if (code !== 'EEXIST') throw error
    if (!(await isFile(disk, target))) throw taken()
    return false
  }
}

async function isFile(disk: Disk, target: string): Promise<boolean> {
  try {
    return (await statOf(disk, target)).kind === 'file'
  } catch (error) {
    if (errnoOf(error) === 'ELOOP') return false
    throw error
  }
}
