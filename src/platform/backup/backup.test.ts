/** A backup and its restore: everything comes back, nothing is overwritten, and no damage passes. */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeEach, expect, test } from 'vitest'
import { FakeClock } from '#base/fake-clock'
import { systemDisk } from '#platform/objects/disk'
import { FolderBucket } from '#platform/objects/folder-bucket'
import { insertFile } from '#platform/store/file-rows'
import { openStore, type Store } from '#platform/store/open-store'
import { isEntryName } from './backup-layout.ts'
import { type BackupEntry, manifestLines, readManifest } from './manifest.ts'
import { restoreBackup } from './restore-backup.ts'
import { writeBackup } from './write-backup.ts'

const top = mkdtempSync(path.join(tmpdir(), 'inferd-backup-'))
afterAll(() => rmSync(top, { recursive: true, force: true }))

const { signal } = new AbortController()
const clock = new FakeClock()
let dataDir: string
let target: string
let restored: string
let numTests = 0

beforeEach(() => {
  const folder = path.join(top, String(++numTests))
  ;[dataDir, target, restored] = ['data', 'backup', 'restored'].map((name) => path.join(folder, name)) as [string, string, string]
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
})

const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex')

function put(name: string, text: string): void {
  const file = path.join(dataDir, name)
  mkdirSync(path.dirname(file), { recursive: true })
  writeFileSync(file, text, { mode: 0o600 })
}

async function keepFile(store: Store, text: string): Promise<void> {
  const sha256 = hashOf(text)
  put(`files/${sha256}`, text)
  await insertFile(store.db, {
    id: sha256,
    team: 't',
    filename: 'f',
    purpose: 'batch',
    num_bytes: text.length,
    sha256,
    created_ms: 1,
    expires_ms: null,
  })
}

async function makeData(): Promise<void> {
  const store = await openStore({ file: path.join(dataDir, 'inferd.sqlite') })
  await keepFile(store, 'hello')
  await store.close()
  put('master.key', 'k'.repeat(32))
  put('audit.jsonl', '{}\n')
  put('objects/inferd-red/in/a b.jsonl', '{"a":1}\n')
  put('objects/inferd-red/empty', '')
  put('objects/inferd-red/u2028-\u2028-name', 'x')
  put('files/incoming/half', 'half of a file')
  put('objects/inferd-red/.inferd/incoming/half', 'half of an object')
}

const back = (store: 'embedded' | 'postgres' = 'embedded') => writeBackup({ dataDir, target, store, clock }, signal)
const restoreIt = () => restoreBackup({ source: target, dataDir: restored }, signal)

function namesIn(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)))
    .toSorted()
}

test('what a data directory keeps comes back, for its owner only; what was on its way in does not', async () => {
  await makeData()
  const written = await back()
  const read = await restoreIt()
  expect(read).toMatchObject({ ...written, store: 'embedded', madeMs: clock.wallMs() })
  const kept = [
    'audit.jsonl',
    `files/${hashOf('hello')}`,
    'inferd.sqlite',
    'master.key',
    'objects/inferd-red/empty',
    'objects/inferd-red/in/a b.jsonl',
  ]
  expect(namesIn(restored)).toEqual([...kept, 'objects/inferd-red/u2028-\u2028-name'].toSorted())
  for (const name of kept.filter((one) => one !== 'inferd.sqlite')) {
    expect(readFileSync(path.join(restored, name))).toEqual(readFileSync(path.join(dataDir, name)))
  }
  for (const folder of [target, restored]) {
    expect(statSync(folder).mode & 0o777).toBe(0o700)
    for (const name of namesIn(folder)) expect(statSync(path.join(folder, name)).mode & 0o777, name).toBe(0o600)
  }
  const store = await openStore({ file: path.join(restored, 'inferd.sqlite') })
  expect(await store.db.selectFrom('file').select('sha256').execute()).toEqual([{ sha256: hashOf('hello') }])
  await store.close()
  expect(readdirSync(path.dirname(target)).toSorted()).toEqual(['backup', 'data', 'restored'])
})

test('whatever happens meanwhile, every content that a row of the backup names is in it', async () => {
  const store = await openStore({ file: path.join(dataDir, 'inferd.sqlite') })
  const stop = new AbortController()
  const writing = (async () => {
    for (let index = 0; !stop.signal.aborted; index++) {
      await keepFile(store, `content ${index}`)
      if (index < 3) continue
      const old = hashOf(`content ${index - 3}`)
      await store.db.deleteFrom('file').where('sha256', '=', old).execute()
      rmSync(path.join(dataDir, 'files', old))
    }
  })()
  for (let round = 0; round < 5; round++) {
    await back()
    await restoreIt()
    const copy = await openStore({ file: path.join(restored, 'inferd.sqlite') })
    const rows = await copy.db.selectFrom('file').select('sha256').execute()
    expect(rows.length).toBeGreaterThan(0)
    for (const { sha256 } of rows) expect(hashOf(readFileSync(path.join(restored, 'files', sha256), 'utf8'))).toBe(sha256)
    await copy.close()
    rmSync(target, { recursive: true })
    rmSync(restored, { recursive: true })
  }
  stop.abort()
  await writing
  await store.close()
})

test('a flipped byte, a missing, cut or longer file is named, wherever it is, and nothing is restored', async () => {
  await makeData()
  await back()
  const names = namesIn(target)
  const random = fc.sample(fc.record({ name: fc.constantFrom(...names), at: fc.nat(), bit: fc.nat({ max: 7 }) }), { numRuns: 120, seed: 3 })
  for (const { name, at, bit } of random) {
    const file = path.join(target, name)
    const bytes = readFileSync(file)
    if (bytes.length === 0) continue
    const spoilt = Buffer.from(bytes)
    spoilt[at % bytes.length]! ^= 1 << bit
    writeFileSync(file, spoilt)
    const isList = name === 'manifest.jsonl'
    await expect(restoreIt(), `${name} at ${at % bytes.length}, bit ${bit}`).rejects.toThrow(
      isList ? /^the backup / : `damaged: ${name} does not have the hash`,
    )
    writeFileSync(file, bytes)
    expect(existsSync(restored)).toBe(false)
  }
  const [first] = names.filter((name) => name.startsWith('data/audit'))
  const file = path.join(target, first!)
  for (const [problem, spoil] of [
    ['has 1 bytes, not 3', () => truncateSync(file, 1)],
    ['has 4 bytes, not 3', () => writeFileSync(file, '{}\n\n')],
    ['is missing', () => rmSync(file)],
    ['cannot be copied: ELOOP', () => symlinkSync('/etc/hostname', file)],
  ] as const) {
    spoil()
    await expect(restoreIt()).rejects.toThrow(`the backup is damaged: ${first} ${problem}`)
  }
  expect(readdirSync(path.dirname(target)).toSorted()).toEqual(['backup', 'data'])
})

test('neither a backup nor a restore overwrites anything', async () => {
  await makeData()
  await back()
  const before = readFileSync(path.join(target, 'manifest.jsonl'))
  await expect(back()).rejects.toMatchObject({ code: 'invalid_parameter', message: `${target} is there already: a backup overwrites nothing` })
  expect(readFileSync(path.join(target, 'manifest.jsonl'))).toEqual(before)
  mkdirSync(restored)
  await restoreIt()
  await expect(restoreIt()).rejects.toMatchObject({ code: 'invalid_parameter', message: `${restored} is not empty: a restore overwrites nothing` })
  await expect(restoreBackup({ source: target, dataDir: path.join(restored, 'master.key') }, signal)).rejects.toMatchObject({
    code: 'invalid_parameter',
  })
})

test('what cannot be backed up or restored is said, and leaves nothing', async () => {
  await expect(back()).rejects.toThrow(`${dataDir} has no store`)
  await makeData()
  await expect(writeBackup({ dataDir, target: path.join(dataDir, 'b'), store: 'embedded', clock }, signal)).rejects.toThrow(
    'lies in the data directory',
  )
  symlinkSync('/etc', path.join(dataDir, 'elsewhere'))
  await expect(back()).rejects.toThrow('elsewhere is a link')
  rmSync(path.join(dataDir, 'elsewhere'))
  rmSync(path.join(dataDir, 'files', hashOf('hello')))
  await expect(back()).rejects.toThrow(`lacks files/${hashOf('hello')}, which a row names`)
  await expect(writeBackup({ dataDir, target, store: 'embedded', clock }, AbortSignal.abort())).rejects.toBeDefined()
  await expect(restoreIt()).rejects.toThrow('that is no backup of inferd')
  writeFileSync(path.join(dataDir, 'inferd.sqlite'), 'SQLite format 3\0 and then something else '.repeat(200))
  for (const name of ['-wal', '-shm']) rmSync(path.join(dataDir, `inferd.sqlite${name}`), { force: true })
  await expect(back()).rejects.toMatchObject({ code: 'store_failed' })
  expect(readdirSync(path.dirname(target))).toEqual(['data'])
})

test('with its rows on PostgreSQL a data directory is backed up without a store, and that is in the manifest', async () => {
  put('master.key', 'k'.repeat(32))
  await back('postgres')
  expect(await restoreIt()).toMatchObject({ store: 'postgres', numFiles: 1 })
  expect(namesIn(restored)).toEqual(['master.key'])
})

test('a manifest comes back as it was; one that is cut, doubled, reordered or of another form is refused', async () => {
  const anyEntry: fc.Arbitrary<BackupEntry> = fc.record({
    name: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }).filter(isEntryName),
    numBytes: fc.nat(),
    sha256: fc.string().map(hashOf),
    modifiedNs: fc.bigInt({ min: 0n, max: 2n ** 62n }).map(String),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(anyEntry, { minLength: 1, maxLength: 6 }), fc.nat(), async (entries, at) => {
      const lines = [...manifestLines({ store: 'embedded', madeMs: 7 }, entries)].map((line) => line.slice(0, -1))
      expect(await Array.fromAsync(readManifest(lines, () => {}))).toEqual(entries)
      const index = at % lines.length
      for (const other of [lines.toSpliced(index, 1), lines.toSpliced(index, 0, lines[index]!), [...lines, lines[index]!]]) {
        await expect(Array.fromAsync(readManifest(other, () => {}))).rejects.toMatchObject({ code: 'store_failed' })
      }
      if (lines.length > 3) await expect(Array.fromAsync(readManifest(lines.with(1, lines[2]!).with(2, lines[1]!), () => {}))).rejects.toBeDefined()
    }),
    { numRuns: 60, seed: 5 },
  )
  const newer = ['{"inferd":"backup 2","store":"embedded","madeMs":1}']
  await expect(Array.fromAsync(readManifest(newer, () => {}))).rejects.toMatchObject({ code: 'unsupported_parameter' })
})

test.each(['../etc/passwd', '/etc/passwd', 'a/../../b', 'a//b', '.', '', 'a\0b', 'a\\..\\b', 'inferd.sqlite-wal', 'files/incoming/x'])(
  'a manifest that names %j is refused',
  async (name) => {
    await makeData()
    await back()
    const entry = { name, numBytes: 0, sha256: hashOf(''), modifiedNs: '1' }
    writeFileSync(path.join(target, 'manifest.jsonl'), [...manifestLines({ store: 'embedded', madeMs: 1 }, [entry])].join(''))
    await expect(restoreIt()).rejects.toThrow('the backup is damaged: manifest.jsonl, line 2')
  },
)

test('a restored object has the type and the hash that it had', async () => {
  const bucketOf = (base: string): FolderBucket =>
    new FolderBucket({ disk: systemDisk, name: 'b', base, inside: ['objects', 'b'], onDamage: () => {} })
  const options = { contentType: 'text/csv; charset=utf-8', maxBytes: 1000, ifAbsent: false }
  const before = bucketOf(dataDir)
  for (const key of ['a/b.csv', 'a//c', '.inferd/x', `long/${'x'.repeat(600)}`, 'é%']) {
    for (const text of ['old', 'new']) await before.put(key, toChunks(`${key} ${text}`), options, signal)
  }
  await back('postgres')
  await restoreIt()
  const after = bucketOf(restored)
  const kept = await before.list('', null, 100, signal)
  expect(kept).toHaveLength(5)
  for (const { key } of kept) {
    const [meta, restoredMeta] = [await before.head(key, signal), await after.head(key, signal)]
    expect(restoredMeta).toMatchObject({ contentType: options.contentType, numBytes: meta!.numBytes, etag: meta!.etag })
  }
})

async function* toChunks(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text)
}
