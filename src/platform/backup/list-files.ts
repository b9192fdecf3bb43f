/** The files of a data directory that a backup keeps. */
import { type Dirent } from 'node:fs'
import { readdir } from 'node:fs/promises'
import path from 'node:path'
import { InferdError } from '#contract/errors'
import { isKept } from './backup-layout.ts'

/** Names below `folder`, `/` between their parts, in the order of each folder. What goes away meanwhile is left out. Throws invalid_parameter for a link. */
export async function* listFiles(folder: string, below = ''): AsyncGenerator<string> {
  for (const entry of await entriesOf(path.join(folder, below))) {
    const name = below === '' ? entry.name : `${below}/${entry.name}`
    if (!isKept(name)) continue
    if (entry.isSymbolicLink()) throw new InferdError('invalid_parameter', `${path.join(folder, name)} is a link: a backup holds files only`)
    if (entry.isDirectory()) yield* listFiles(folder, name)
    else if (entry.isFile()) yield name
  }
}

async function entriesOf(folder: string): Promise<readonly Dirent[]> {
  try {
    return (await readdir(folder, { withFileTypes: true })).toSorted((a, b) => (a.name < b.name ? -1 : 1))
  } catch (error) {
    if (isAbsent(error)) return []
    throw error
  }
}

export function isAbsent(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}
