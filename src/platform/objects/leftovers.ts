/** What a crash has left of objects that nobody was told of: cleaned when the bucket is opened. */
import path from 'node:path'
import { type AboutFiles, MAX_ABOUT_BYTES, parseAbout, type Version } from './about-files.ts'
import { type Disk, readSmall, statOf } from './disk.ts'
import { errnoOf } from './disk-errors.ts'
import { namesOfKey } from './key-path.ts'

/** Both names of one put: the object on its way in, and what will be known of it. */
export function incomingNames(id: string): { readonly file: string; readonly draft: string } {
  return { file: `${id}.object`, draft: `${id}.about` }
}

export interface LeftoversOptions {
  readonly disk: Disk
  readonly top: string
  readonly incoming: string
  readonly abouts: AboutFiles
}

/** Throws what the disk throws. */
export async function cleanLeftovers(options: LeftoversOptions): Promise<void> {
  const { disk, incoming } = options
  const entries = (await disk.list(incoming)).filter(({ kind }) => kind === 'file')
  for (const { name } of entries) {
    if (name.endsWith('.about')) await forgetUnpublished(options, name.slice(0, -'.about'.length))
  }
  for (const { name } of entries) await disk.unlink(path.join(incoming, name))
}

/** It may be known of a version that never took its name. */
async function forgetUnpublished({ disk, top, incoming, abouts }: LeftoversOptions, id: string): Promise<void> {
  const { file, draft } = incomingNames(id)
  const version = await versionOf(disk, path.join(incoming, file))
  const about = parseAbout(await readSmall(disk, path.join(incoming, draft), MAX_ABOUT_BYTES))
  if (version === null || about === null) return
  const visible = await versionOf(disk, path.join(top, ...namesOfKey(about.key)))
  if (visible === null || !isSameVersion(visible, version)) await abouts.forget(about.key, version)
}

async function versionOf(disk: Disk, file: string): Promise<Version | null> {
  try {
    return await statOf(disk, file)
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes(errnoOf(error))) return null
    throw error
  }
}

export function isSameVersion(a: Version, b: Version): boolean {
  return a.numBytes === b.numBytes && a.modifiedNs === b.modifiedNs
}
