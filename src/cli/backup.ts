/** `inferd backup` and `inferd restore`: a data directory to a folder and back. What PostgreSQL keeps is for its own tools, and that is said. */
import { systemClock } from '#base/clock'
import type { DataConfig } from '#config/schema'
import { restoreBackup } from '#platform/backup/restore-backup'
import { writeBackup } from '#platform/backup/write-backup'
import { resolveDataDir } from './data-dir.ts'

const BYTES_PER_MB = 1e6

/** Throws InferdError; nothing is left then. */
export async function backup(target: string, { dataDir, store: address }: DataConfig, signal: AbortSignal): Promise<void> {
  const store = address === null ? 'embedded' : 'postgres'
  const { numFiles, numBytes } = await writeBackup({ dataDir: resolveDataDir(dataDir), target, store, clock: systemClock }, signal)
  process.stdout.write(`${target}: ${countOf(numFiles, numBytes)}\n`)
  if (address === null) return
  const { host, port, database } = address
  process.stderr.write(
    `The rows are not in it: they are on PostgreSQL at ${host}:${port}, database ${database}. Copy them with pg_dump, before the backup of the files.\n`,
  )
}

/** Throws InferdError; nothing is restored then. */
export async function restore(source: string, { dataDir }: DataConfig, signal: AbortSignal): Promise<void> {
  const { numFiles, numBytes, madeMs, store } = await restoreBackup({ source, dataDir: resolveDataDir(dataDir) }, signal)
  process.stdout.write(`${dataDir}: ${countOf(numFiles, numBytes)}, of ${new Date(madeMs).toISOString()}\n`)
  if (store === 'postgres') {
    process.stderr.write('The rows are not in it: restore the dump of PostgreSQL that was made before it, and name that server with --store.\n')
  }
}

function countOf(numFiles: number, numBytes: number): string {
  return `${numFiles} file${numFiles === 1 ? '' : 's'}, ${(numBytes / BYTES_PER_MB).toFixed(1)} MB`
}
