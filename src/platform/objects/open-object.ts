/** From a key to the file that holds its object now, opened, with what is known of that version. */
import path from 'node:path'
import type { About, AboutFiles, Version } from './about-files.ts'
import { type Disk, type DiskFile, type DiskStat, statOf } from './disk.ts'
import { errnoOf } from './disk-errors.ts'
import { namesOfKey } from './key-path.ts'
import { isSameVersion } from './leftovers.ts'

export interface ObjectFolder {
  readonly disk: Disk
  readonly top: string
  readonly abouts: AboutFiles
}

export interface FoundObject extends Version {
  /** null = somebody else laid it there, or changed it. */
  readonly about: About | null
}

interface OpenedObject extends FoundObject {
  /** To be closed. */
  readonly file: DiskFile
}

const IS_NO_OBJECT = ['ENOENT', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG']
/** An object that is replaced again and again while we look is shown without its type. */
const MAX_LOOKS = 8

/** null = there is none, or a link leads to it. Throws ENOENT when the folder itself is gone. */
export async function openObject(folder: ObjectFolder, key: string): Promise<OpenedObject | null> {
  const { disk, top, abouts } = folder
  const name = path.join(top, ...namesOfKey(key))
  try {
    if ((await disk.realPath(path.dirname(name))) !== path.dirname(name)) return null
    for (let numLooks = 1; ; numLooks++) {
      const opened = await look(folder, key, name)
      if (opened === null || opened.about !== null || numLooks >= MAX_LOOKS) return opened
      // What is known of a version goes when another takes its place: was it replaced just now?
      const isCurrent = await statOf(disk, name).then(
        (now) => isSameVersion(now, opened),
        () => false,
      )
      if (isCurrent) return opened
      await opened.file.close()
    }
  } catch (error) {
    if (!IS_NO_OBJECT.includes(errnoOf(error))) throw error
    await disk.realPath(abouts.folder)
    return null
  }
}

export async function findObject(folder: ObjectFolder, key: string): Promise<FoundObject | null> {
  const opened = await openObject(folder, key)
  await opened?.file.close()
  return opened
}

async function look({ disk, abouts }: ObjectFolder, key: string, name: string): Promise<OpenedObject | null> {
  const file = await disk.open(name)
  let stat: DiskStat
  try {
    stat = await file.stat()
    if (stat.kind === 'file') return { ...stat, file, about: await abouts.find(key, stat) }
  } catch (error) {
    await file.close()
    throw error
  }
  await file.close()
  return null
}
