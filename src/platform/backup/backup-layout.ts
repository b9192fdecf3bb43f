/**
 * What a backup is: a folder with `manifest.jsonl` and, under `data/`, the files of a data directory under their own names. Not in it: what
 * is being written at the moment, and the log files of the store, whose rows are in its snapshot.
 */
import path from 'node:path'

export const MANIFEST_NAME = 'manifest.jsonl'
export const DATA_FOLDER = 'data'
export const STORE_NAME = 'inferd.sqlite'
/** Contents of kept files are named by their hash. */
export const FILES_FOLDER = 'files'
export const OBJECTS_FOLDER = 'objects'

/** Each by its name below the data directory, `/` between its parts. */
const PASSING: readonly RegExp[] = [
  /^inferd\.sqlite-(wal|shm|journal)$/,
  /^master\.key\.[0-9a-f]+$/,
  /^files\/incoming$/,
  /^objects\/[^/]+\/\.inferd\/incoming$/,
]

/** False: never in a backup, and nothing below it. */
export function isKept(name: string): boolean {
  return !PASSING.some((pattern) => pattern.test(name))
}

/** False for every name that could leave the folder, or stand for something that no backup has. */
export function isEntryName(name: string): boolean {
  const parts = name.split('/')
  const isInside = !name.includes('\0') && parts.every((part) => part !== '' && part !== '.' && part !== '..' && !part.includes(path.win32.sep))
  return isInside && parts.every((_, index) => isKept(parts.slice(0, index + 1).join('/')))
}
