/** The key under which the secrets of signing keys are sealed: 32 bytes in a file that only its owner reads. */
import { chmodSync, closeSync, fstatSync, fsyncSync, linkSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs'
import path from 'node:path'
import { secretBytes } from '#base/random'
import { InferdError } from '#contract/errors'

const FILE_NAME = 'master.key'
const MASTER_KEY_BYTES = 32
const OWNER_ONLY = 0o600
const OTHERS = 0o077

/** Of the data directory; made on first use. Throws store_failed when others may read it, or when it is damaged. */
export function loadMasterKey(dataDir: string): Buffer {
  const file = path.join(dataDir, FILE_NAME)
  try {
    return readMasterKey(file)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
  }
  makeMasterKey(file)
  return readMasterKey(file)
}

function readMasterKey(file: string): Buffer {
  const descriptor = openSync(file, 'r')
  try {
    const { mode } = fstatSync(descriptor)
    if (process.platform !== 'win32' && (mode & OTHERS) !== 0) {
      throw new InferdError(
        'store_failed',
        `${file} can be read by others (mode ${(mode & 0o777).toString(8)}): give it mode 600, then rotate the signing keys`,
      )
    }
    const key = readFileSync(descriptor)
    if (key.length !== MASTER_KEY_BYTES) throw new InferdError('store_failed', `${file} must hold ${MASTER_KEY_BYTES} bytes, it has ${key.length}`)
    return key
  } finally {
    closeSync(descriptor)
  }
}

/** Appears whole, and once: of two processes the second finds the first one's. */
function makeMasterKey(file: string): void {
  const draft = `${file}.${secretBytes(8).toString('hex')}`
  const descriptor = openSync(draft, 'wx', OWNER_ONLY)
  try {
    writeSync(descriptor, secretBytes(MASTER_KEY_BYTES))
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
  try {
    chmodSync(draft, OWNER_ONLY)
    linkSync(draft, file)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
  } finally {
    rmSync(draft)
  }
}
