/** The folder that outlives the process. */
import { chmodSync, mkdirSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import path from 'node:path'
import { InferdError } from '#contract/errors'

const OWNER_ONLY = 0o700
const OTHERS_WRITE = 0o002
const STICKY = 0o1000

/** Makes it when it is not there. Returns its absolute path. Throws invalid_parameter. */
export function openDataDir(folder: string): string {
  const absolute = resolveDataDir(folder)
  try {
    mkdirSync(absolute, { recursive: true, mode: OWNER_ONLY })
    closeToStrangers(absolute)
    return absolute
  } catch (cause) {
    throw new InferdError('invalid_parameter', `--data-dir ${folder} cannot be made`, { param: '--data-dir', cause })
  }
}

/** Absolute; `~/` is the user's home. */
export function resolveDataDir(folder: string): string {
  return path.resolve(folder === '~' || folder.startsWith('~/') ? path.join(homedir(), folder.slice(1)) : folder)
}

/** The one store of a data directory: the server and the commands share it. */
export function storeFileOf(dataDir: string): string {
  return path.join(dataDir, 'inferd.sqlite')
}

/** In a folder that anybody may write to, anybody may put another file in the place of ours. A folder such as /tmp keeps its files apart itself. */
function closeToStrangers(folder: string): void {
  const { mode, uid } = statSync(folder)
  const isOwn = uid === process.geteuid?.()
  if (isOwn && (mode & OTHERS_WRITE) !== 0 && (mode & STICKY) === 0) chmodSync(folder, mode & 0o7777 & ~OTHERS_WRITE)
}
