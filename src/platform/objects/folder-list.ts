/** The objects of a folder in the order of their keys, read one folder at a time. */
import path from 'node:path'
import type { Disk } from './disk.ts'
import { errnoOf } from './disk-errors.ts'
import { goesOn, namesOfKey, OWN_FOLDER, partOfNames } from './key-path.ts'
import { compareKeys } from './object-key.ts'

export interface KeyRange {
  readonly prefix: string
  readonly afterKey: string | null
}

interface PartEntry {
  /** With its slash when it is a folder: so its keys come where they belong. */
  readonly text: string
  readonly isFolder: boolean
  readonly folder: string
}

/** A key has 1024 bytes, a folder of a long part at least 238 of them. */
const MAX_GOES_ON = 16
/** Each has at least a slash in the key. */
const MAX_DEPTH = 1024

const IS_NOT_THERE = ['ENOENT', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG']

/** Keys with the prefix, behind `afterKey`, ascending. Links and whatever else is neither file nor folder are left out. */
export async function* keysOfFolder(disk: Disk, top: string, { prefix, afterKey }: KeyRange): AsyncGenerator<string, void> {
  const base = prefix.slice(0, prefix.lastIndexOf('/') + 1)
  const folder = base === '' ? top : path.join(top, ...namesOfKey(base.slice(0, -1)))
  if (!(await isReal(disk, folder))) return
  yield* walk(disk, { folder, base, depth: 0 }, { prefix, afterKey })
}

async function* walk(
  disk: Disk,
  { folder, base, depth }: { readonly folder: string; readonly base: string; readonly depth: number },
  range: KeyRange,
): AsyncGenerator<string, void> {
  if (depth > MAX_DEPTH) return
  const { prefix, afterKey } = range
  const entries = await readParts(disk, { folder, names: [], isTop: base === '' })
  entries.sort((a, b) => compareKeys(a.text, b.text))
  for (const { text, isFolder, folder: inner } of entries) {
    const key = base + text
    if (!key.startsWith(prefix)) continue
    if (isFolder) {
      const isBehind = afterKey === null || afterKey.startsWith(key) || compareKeys(key, afterKey) > 0
      if (isBehind) yield* walk(disk, { folder: inner, base: key, depth: depth + 1 }, range)
    } else if (afterKey === null || compareKeys(key, afterKey) > 0) yield key
  }
}

/** Parts that are cut into several names are put together again. */
async function readParts(
  disk: Disk,
  { folder, names, isTop }: { readonly folder: string; readonly names: readonly string[]; readonly isTop: boolean },
): Promise<PartEntry[]> {
  const parts: PartEntry[] = []
  for (const { name, kind } of await listOrNothing(disk, folder)) {
    if (kind === 'other' || (isTop && name === OWN_FOLDER)) continue
    const isFolder = kind === 'folder'
    const inner = path.join(folder, name)
    if (isFolder && goesOn(name)) {
      if (names.length < MAX_GOES_ON) parts.push(...(await readParts(disk, { folder: inner, names: [...names, name], isTop: false })))
      continue
    }
    const part = partOfNames([...names, name])
    if (part !== null) parts.push({ text: isFolder ? `${part}/` : part, isFolder, folder: inner })
  }
  return parts
}

/** Whether it is there, and no link leads to it. */
async function isReal(disk: Disk, folder: string): Promise<boolean> {
  try {
    return (await disk.realPath(folder)) === folder
  } catch (error) {
    if (IS_NOT_THERE.includes(errnoOf(error))) return false
    throw error
  }
}

/** A folder that went away while we looked held nothing. */
async function listOrNothing(disk: Disk, folder: string): ReturnType<Disk['list']> {
  try {
    return await disk.list(folder)
  } catch (error) {
    if (IS_NOT_THERE.includes(errnoOf(error))) return []
    throw error
  }
}
