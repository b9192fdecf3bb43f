/** The buckets of the platform's file and those of teams. */
import { realpath } from 'node:fs/promises'
import path from 'node:path'
import type { Clock } from '#base/clock'
import type { ObjectsConfig } from '#config/platform-file/objects'
import type { EgressConfig } from '#config/platform-file/upstreams'
import { InferdError } from '#contract/errors'
import type { Bucket, ObjectStores } from '#contract/objects'
import { Egress } from '#upstreams/egress'
import { systemDisk } from './disk.ts'
import { FolderBucket } from './folder-bucket.ts'
import { type GrantedBucket, TeamStores } from './object-stores.ts'

export interface OpenObjectStores {
  readonly config: ObjectsConfig
  readonly egress: EgressConfig
  /** null = no team has a bucket of its own. */
  readonly dataDir: string | null
  readonly clock: Clock
  /** Told once for each bucket whose disk failed to sync: a restart must look at what it holds. */
  readonly onDamage: (bucketName: string, error: unknown) => void
}

interface OpenedStores {
  readonly stores: ObjectStores
  close(): void
}

/** Connects to nothing. Throws invalid_parameter for what the operator must mend. */
export async function openObjectStores({ config, egress, dataDir, clock, onDamage }: OpenObjectStores): Promise<OpenedStores> {
  const folders = await foldersOf(config, dataDir)
  const judge = new Egress(egress.hosts)
  const granted = new Map<string, GrantedBucket>()
  const closers: (() => void)[] = []
  const folderBucket = (name: string, base: string, inside: readonly string[]): Bucket =>
    new FolderBucket({ disk: systemDisk, name, base, inside, onDamage: (error) => onDamage(name, error) })
  for (const [name, { s3, teams }] of Object.entries(config.buckets)) {
    if (s3 === null) {
      granted.set(name, { bucket: folderBucket(name, folders.get(name)!, []), teams })
      continue
    }
    // The client is large: it is loaded only where somebody wants it.
    const { openS3Bucket } = await import('./open-s3-bucket.ts').catch((cause: unknown) => {
      throw refused(name, 'the package @aws-sdk/client-s3 is not installed', cause)
    })
    const opened = openS3Bucket({ name, entry: s3, egress: judge, clock })
    closers.push(() => opened.close())
    granted.set(name, { bucket: opened.bucket, teams })
  }
  const openTeamBucket = dataDir === null ? null : (name: string) => folderBucket(name, dataDir, ['objects', name])
  return { stores: new TeamStores({ granted, openTeamBucket }), close: () => closers.forEach((close) => close()) }
}

/** By the name of their bucket. None lies in another or in our own data, where it would show what is not its. */
async function foldersOf({ buckets }: ObjectsConfig, dataDir: string | null): Promise<ReadonlyMap<string, string>> {
  const folders = new Map<string, string>()
  const taken = dataDir === null ? [] : [await realpath(dataDir)]
  for (const [name, { folder }] of Object.entries(buckets)) {
    if (folder === null) continue
    const real = await realpath(folder).catch((cause: unknown) => {
      throw refused(name, 'the folder is not there; it is never made, so that nothing is written where a disk is not mounted', cause)
    })
    if (taken.some((other) => isWithin(real, other) || isWithin(other, real)))
      throw refused(name, 'the folder lies in that of another bucket or of the data directory, or around it')
    taken.push(real)
    folders.set(name, folder)
  }
  return folders
}

function isWithin(inner: string, outer: string): boolean {
  const way = path.relative(outer, inner)
  return way === '' || (way !== '..' && !way.startsWith(`..${path.sep}`) && !path.isAbsolute(way))
}

function refused(name: string, words: string, cause?: unknown): InferdError {
  return new InferdError('invalid_parameter', `objects.buckets.${name}: ${words}`, { param: '--config', cause })
}
