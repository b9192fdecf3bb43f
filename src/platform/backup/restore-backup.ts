/**
 * A data directory out of a backup. All of it is checked against the manifest while it is copied beside the wanted folder, which takes its
 * name at the end: of a damaged backup nothing is restored.
 */
import { createReadStream } from 'node:fs'
import { mkdir, readdir, rename, rm, rmdir } from 'node:fs/promises'
import path from 'node:path'
import { assert } from '#base/assert'
import { randomId } from '#base/random'
import { InferdError } from '#contract/errors'
import { DATA_FOLDER, MANIFEST_NAME } from './backup-layout.ts'
import { copyFile, syncFolder } from './copy-file.ts'
import { isAbsent } from './list-files.ts'
import { type BackupEntry, type BackupHead, readManifest } from './manifest.ts'
import { restampObjects } from './restamp-objects.ts'

export interface RestoreOrder {
  readonly source: string
  /** Made, or empty. */
  readonly dataDir: string
}

export interface RestoreSummary extends BackupHead {
  readonly numFiles: number
  readonly numBytes: number
}

/** No entry of a manifest has a longer line. */
const MAX_LINE_BYTES = 65_536
const COPIES_AT_ONCE = 8
const OWNER_ONLY = 0o700
const NEWLINE = 0x0a

/** Throws invalid_parameter, store_failed with the first bad entry, unsupported_parameter, or the signal's reason; nothing is left then. */
export async function restoreBackup({ source, dataDir }: RestoreOrder, signal: AbortSignal): Promise<RestoreSummary> {
  const target = path.resolve(dataDir)
  await checkEmpty(target)
  const draft = `${target}.${randomId('restoring')}`
  try {
    await mkdir(draft, { recursive: true, mode: OWNER_ONLY })
    const { head, entries } = await copyEntries(path.resolve(source), draft, signal)
    await restampObjects(draft, entries)
    await syncTree(draft)
    await rmdir(target).catch(ignoreAbsent)
    await rename(draft, target)
    await syncFolder(path.dirname(target))
    return { ...head, numFiles: entries.length, numBytes: entries.reduce((sum, { numBytes }) => sum + numBytes, 0) }
  } catch (cause) {
    await rm(draft, { recursive: true, force: true })
    if (cause instanceof InferdError) throw cause
    throw new InferdError('store_failed', `the backup cannot be restored: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
  }
}

async function checkEmpty(target: string): Promise<void> {
  const names = await readdir(target).catch((cause: unknown) => {
    if (isAbsent(cause)) return []
    throw new InferdError('invalid_parameter', `${target} cannot be restored to`, { param: '--data-dir', cause })
  })
  if (names.length > 0) throw new InferdError('invalid_parameter', `${target} is not empty: a restore overwrites nothing`, { param: '--data-dir' })
}

interface CopiedEntries {
  readonly head: BackupHead
  readonly entries: readonly BackupEntry[]
}

async function copyEntries(source: string, draft: string, signal: AbortSignal): Promise<CopiedEntries> {
  const heads: BackupHead[] = []
  const entries: BackupEntry[] = []
  let group: BackupEntry[] = []
  const copyGroup = async (): Promise<void> => {
    const problems = await Promise.all(group.map((entry) => copyEntry(source, draft, { entry, signal })))
    signal.throwIfAborted()
    const problem = problems.find((found) => found !== null)
    if (problem !== undefined) throw problem
    entries.push(...group)
    group = []
  }
  for await (const entry of readManifest(linesOf(path.join(source, MANIFEST_NAME)), (found) => heads.push(found))) {
    group.push(entry)
    if (group.length >= COPIES_AT_ONCE) await copyGroup()
  }
  await copyGroup()
  const [head] = heads
  assert(head !== undefined, 'a manifest without a head was read')
  return { head, entries }
}

/** What is wrong with it, so that the first of a group is told; null = nothing. */
async function copyEntry(
  source: string,
  draft: string,
  { entry, signal }: { readonly entry: BackupEntry; readonly signal: AbortSignal },
): Promise<InferdError | null> {
  const { name, numBytes, sha256 } = entry
  const parts = name.split('/')
  const damaged = (problem: string, cause?: unknown): InferdError =>
    new InferdError('store_failed', `the backup is damaged: ${DATA_FOLDER}/${name} ${problem}`, { cause })
  try {
    const copied = await copyFile(path.join(source, DATA_FOLDER, ...parts), path.join(draft, ...parts), signal)
    if (copied.numBytes !== numBytes) return damaged(`has ${copied.numBytes} bytes, not ${numBytes}`)
    return copied.sha256 === sha256 ? null : damaged('does not have the hash that the manifest gives')
  } catch (cause) {
    if (isAbsent(cause)) return damaged('is missing', cause)
    return damaged(`cannot be copied: ${cause instanceof Error ? cause.message : String(cause)}`, cause)
  }
}

async function* linesOf(file: string): AsyncGenerator<string> {
  let pending = Buffer.alloc(0)
  try {
    for await (const chunk of createReadStream(file) as AsyncIterable<Buffer>) {
      pending = Buffer.concat([pending, chunk])
      for (let end = pending.indexOf(NEWLINE); end >= 0; end = pending.indexOf(NEWLINE)) {
        yield pending.toString('utf8', 0, end)
        pending = pending.subarray(end + 1)
      }
      if (pending.length > MAX_LINE_BYTES) throw new InferdError('store_failed', `the backup is damaged: ${MANIFEST_NAME} has an endless line`)
    }
  } catch (cause) {
    if (isAbsent(cause)) throw new InferdError('invalid_parameter', `${file} is not there: that is no backup of inferd`, { cause })
    throw cause
  }
  if (pending.length > 0) yield pending.toString('utf8')
}

async function syncTree(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) if (entry.isDirectory()) await syncTree(path.join(folder, entry.name))
  await syncFolder(folder)
}

function ignoreAbsent(error: unknown): void {
  if (!isAbsent(error)) throw error
}
