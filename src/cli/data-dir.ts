/** The folder that outlives the process. */
import { mkdirSync } from 'node:fs'
import { homedir } from 'node:os'
import path from 'node:path'
import { InferdError } from '#contract/errors'

const OWNER_ONLY = 0o700

/** Makes it when it is not there; `~/` is the user's home. Returns its absolute path. Throws invalid_parameter. */
export function openDataDir(folder: string): string {
  const absolute = path.resolve(folder === '~' || folder.startsWith('~/') ? path.join(homedir(), folder.slice(1)) : folder)
  try {
    mkdirSync(absolute, { recursive: true, mode: OWNER_ONLY })
    return absolute
  } catch (cause) {
    throw new InferdError('invalid_parameter', `--data-dir ${folder} cannot be made`, { param: '--data-dir', cause })
  }
}

/** The one store of a data directory: the server and the commands share it. */
export function storeFileOf(dataDir: string): string {
  return path.join(dataDir, 'inferd.sqlite')
}
