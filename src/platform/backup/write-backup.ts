/**
 * A backup of a data directory while its server runs. Files first, then the rows at one moment, then the files again that are new or
 * changed: so whatever a row of that moment names is there. The folder takes its name when all of it is on the disk.
 */
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import path from 'node:path'
import type { Clock } from '#base/clock'
import { randomId } from '#base/random'
import { InferdError } from '#contract/errors'
import { dropFilesFrom, fileHashesOf, snapshotStore } from '#platform/store/store-snapshot'
import { DATA_FOLDER, FILES_FOLDER, MANIFEST_NAME, STORE_NAME } from './backup-layout.ts'
import { copyFile, syncFolder } from './copy-file.ts'
import { isAbsent, listFiles } from './list-files.ts'
import { type BackupEntry, manifestLines, type StoreKind } from './manifest.ts'

export interface BackupOrder {
  readonly dataDir: string
  /** Must not be there, nor lie in the data directory. */
  readonly target: string
  readonly store: StoreKind
  readonly clock: Clock
}

export interface BackupSummary {
  readonly numFiles: number
  readonly numBytes: number
}

/** A content that is deleted and comes again may be missed by one look, not by so many. */
const MAX_ROUNDS = 8
const COPIES_AT_ONCE = 8
const OWNER_ONLY = 0o700

/** Throws invalid_parameter, store_failed, or the signal's reason; nothing is left then. */
export async function writeBackup(order: BackupOrder, signal: AbortSignal): Promise<BackupSummary> {
  const target = path.resolve(order.target)
  const draft = `${target}.${randomId('partial')}`
  await checkPlaces(order, target)
  try {
    await mkdir(path.join(draft, DATA_FOLDER), { recursive: true, mode: OWNER_ONLY })
    const copies = new Copies(order.dataDir, path.join(draft, DATA_FOLDER))
    await copies.update(signal)
    if (order.store === 'embedded') await copyRows(copies, order.dataDir, signal)
    await writeManifest(draft, order, copies)
    for (const folder of await foldersOf(draft)) await syncFolder(folder)
    await rename(draft, target)
    await syncFolder(path.dirname(target))
    return { numFiles: copies.entries.size, numBytes: [...copies.entries.values()].reduce((sum, { numBytes }) => sum + numBytes, 0) }
  } catch (cause) {
    await rm(draft, { recursive: true, force: true })
    if (cause instanceof InferdError) throw cause
    throw new InferdError('store_failed', `the backup cannot be written: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
  }
}

async function checkPlaces({ dataDir, store }: BackupOrder, target: string): Promise<void> {
  if (await isThere(target)) throw new InferdError('invalid_parameter', `${target} is there already: a backup overwrites nothing`)
  if (target === dataDir || target.startsWith(`${dataDir}${path.sep}`))
    throw new InferdError('invalid_parameter', `${target} lies in the data directory: a backup must not`)
  if (store === 'embedded' && !(await isThere(path.join(dataDir, STORE_NAME))))
    throw new InferdError('invalid_parameter', `${dataDir} has no store`, { param: '--data-dir' })
}

/** A content may be deleted, with the rows that name it, between the snapshot of the rows and its copy: then those rows go too. */
async function copyRows(copies: Copies, dataDir: string, signal: AbortSignal): Promise<void> {
  const [file, snapshot] = [path.join(dataDir, STORE_NAME), `${copies.target}.rows`]
  snapshotStore(file, snapshot)
  const named = [...fileHashesOf(snapshot)]
  for (let round = 1; ; round++) {
    await copies.update(signal)
    const missing = named.filter((hash) => !copies.entries.has(`${FILES_FOLDER}/${hash}`))
    const live = missing.length === 0 ? null : fileHashesOf(file)
    const lost = missing.find((hash) => live?.has(hash))
    if (lost !== undefined && round === MAX_ROUNDS)
      throw new InferdError('store_failed', `the data directory lacks ${FILES_FOLDER}/${lost}, which a row names`)
    if (lost !== undefined) continue
    if (missing.length > 0) dropFilesFrom(snapshot, missing)
    break
  }
  await copies.take(STORE_NAME, snapshot, signal)
  await rm(snapshot)
}

/** The copies so far, by their names. */
class Copies {
  readonly entries = new Map<string, BackupEntry>()
  private readonly source: string
  readonly target: string

  constructor(source: string, target: string) {
    this.source = source
    this.target = target
  }

  /** Copies what is new or has changed. */
  async update(signal: AbortSignal): Promise<void> {
    let group: string[] = []
    for await (const name of listFiles(this.source)) {
      if (name === STORE_NAME) continue
      group.push(name)
      if (group.length < COPIES_AT_ONCE) continue
      await this.copyAll(group, signal)
      group = []
    }
    await this.copyAll(group, signal)
  }

  async take(name: string, source: string, signal: AbortSignal): Promise<void> {
    const { numBytes, sha256, modifiedNs } = await copyFile(source, path.join(this.target, ...name.split('/')), signal)
    this.entries.set(name, { name, numBytes, sha256, modifiedNs: String(modifiedNs) })
  }

  /** Nothing is being written any more when it throws. */
  private async copyAll(names: readonly string[], signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const results = await Promise.allSettled(names.map((name) => this.copy(name, signal)))
    const failed = results.find((result) => result.status === 'rejected')
    if (failed !== undefined) throw failed.reason
  }

  private async copy(name: string, signal: AbortSignal): Promise<void> {
    const parts = name.split('/')
    const source = path.join(this.source, ...parts)
    try {
      if (await this.isCopied(name, source)) return
      if (this.entries.delete(name)) await rm(path.join(this.target, ...parts))
      await this.take(name, source, signal)
    } catch (error) {
      if (!isAbsent(error)) throw error
    }
  }

  private async isCopied(name: string, source: string): Promise<boolean> {
    const entry = this.entries.get(name)
    if (entry === undefined) return false
    const { size, mtimeNs } = await stat(source, { bigint: true })
    return Number(size) === entry.numBytes && String(mtimeNs) === entry.modifiedNs
  }
}

async function writeManifest(draft: string, { store, clock }: BackupOrder, { entries }: Copies): Promise<void> {
  const handle = await open(path.join(draft, MANIFEST_NAME), 'wx', 0o600)
  try {
    for (const line of manifestLines({ store, madeMs: clock.wallMs() }, entries.values())) await handle.write(line)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

async function foldersOf(folder: string): Promise<readonly string[]> {
  const inner = (await readdir(folder, { withFileTypes: true })).filter((entry) => entry.isDirectory())
  const below = await Promise.all(inner.map(({ name }) => foldersOf(path.join(folder, name))))
  return [...below.flat(), folder]
}

async function isThere(file: string): Promise<boolean> {
  try {
    await stat(file)
    return true
  } catch (error) {
    if (isAbsent(error)) return false
    throw error
  }
}
