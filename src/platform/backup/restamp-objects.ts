/**
 * What is known of an object is named by the time of its file, to the nanosecond. A restored file has a time that is near to it: what is
 * known gets the name of that one.
 */
import { readFile, rename, stat } from 'node:fs/promises'
import path from 'node:path'
import { aboutNameOf, parseAbout } from '#platform/objects/about-files'
import { namesOfKey, OWN_FOLDER } from '#platform/objects/key-path'
import { OBJECTS_FOLDER } from './backup-layout.ts'
import type { BackupEntry } from './manifest.ts'

/** `objects/BUCKET/.inferd/about/HASH`. */
const ABOUT = new RegExp(`^${OBJECTS_FOLDER}/([^/]+)/\\${OWN_FOLDER}/about/([0-9a-f]{64})$`)

/** `entries`: of the restored data directory. Throws what the file system throws. */
export async function restampObjects(dataDir: string, entries: readonly BackupEntry[]): Promise<void> {
  const objects = new Map(entries.filter(({ name }) => name.startsWith(`${OBJECTS_FOLDER}/`)).map((entry) => [entry.name, entry]))
  for (const name of objects.keys()) {
    const [, bucket, hash] = ABOUT.exec(name) ?? []
    if (bucket === undefined || hash === undefined) continue
    const file = path.join(dataDir, ...name.split('/'))
    const about = parseAbout(await readFile(file, 'utf8'))
    if (about === null) continue
    const objectName = [OBJECTS_FOLDER, bucket, ...namesOfKey(about.key)].join('/')
    const object = objects.get(objectName)
    if (object === undefined) continue
    const { numBytes } = object
    if (aboutNameOf(about.key, { numBytes, modifiedNs: BigInt(object.modifiedNs) }) !== hash) continue
    const { mtimeNs } = await stat(path.join(dataDir, ...objectName.split('/')), { bigint: true })
    await rename(file, path.join(path.dirname(file), aboutNameOf(about.key, { numBytes, modifiedNs: mtimeNs })))
  }
}
