/** What lies in the folder of a bucket beside its objects: `.inferd/incoming` for what is being written, `.inferd/about` for types and hashes. */
import path from 'node:path'
import { type Disk, statOf } from './disk.ts'
import { errnoOf } from './disk-errors.ts'
import { OWN_FOLDER } from './key-path.ts'

export interface FolderLayout {
  /** Without symbolic links. */
  readonly top: string
  readonly incoming: string
  readonly about: string
}

export interface OpenFolderOptions {
  readonly disk: Disk
  readonly base: string
  readonly inside: readonly string[]
  readonly sync: (folder: string) => Promise<void>
}

const OWNER_ONLY = 0o700

/** Made where it is not there, and durable. Throws what the disk throws, ENOENT without a base. */
export async function openFolder({ disk, base, inside, sync }: OpenFolderOptions): Promise<FolderLayout> {
  let top = await disk.realPath(base)
  const make = async (parent: string, name: string): Promise<string> => {
    const folder = path.join(parent, name)
    await makeFolder(disk, folder, OWNER_ONLY)
    await sync(parent)
    return folder
  }
  for (const name of inside) top = await make(top, name)
  const own = await make(top, OWN_FOLDER)
  return { top, incoming: await make(own, 'incoming'), about: await make(own, 'about') }
}

/** True when there is one. Throws ENOTDIR where something else has its name. */
export async function makeFolder(disk: Disk, folder: string, mode: number): Promise<void> {
  try {
    await disk.mkdir(folder, mode)
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error
    const { kind } = await statOf(disk, folder)
    if (kind !== 'folder') throw Object.assign(error as Error, { code: 'ENOTDIR' })
  }
}
