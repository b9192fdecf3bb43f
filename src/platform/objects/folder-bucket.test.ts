import { createHash } from 'node:crypto'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { execFileSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, expect, test } from 'vitest'
import type { Bucket } from '#contract/objects'
import { systemDisk } from './disk.ts'
import { FolderBucket } from './folder-bucket.ts'

const SIGNAL = new AbortController().signal
const top = mkdtempSync(path.join(tmpdir(), 'inferd-folder-'))
let numFolders = 0

afterAll(() => rmSync(top, { recursive: true, force: true }))

function newFolder(): string {
  const folder = path.join(top, String(++numFolders))
  mkdirSync(folder)
  return folder
}

function bucketIn(base: string, inside: readonly string[] = []): Bucket {
  return new FolderBucket({ disk: systemDisk, name: 'test', base, inside, onDamage: () => {} })
}

async function put(bucket: Bucket, key: string, text: string, ifAbsent = false): Promise<unknown> {
  async function* chunks(): AsyncGenerator<Uint8Array> {
    yield Buffer.from(text)
  }
  return bucket.put(key, chunks(), { contentType: 'application/x-test', maxBytes: 1000, ifAbsent }, SIGNAL)
}

async function read(bucket: Bucket, key: string): Promise<string> {
  const pieces: Uint8Array[] = []
  for await (const piece of bucket.read(key, 0, SIGNAL)) pieces.push(piece)
  return Buffer.concat(pieces).toString('utf8')
}

const keysOf = async (bucket: Bucket): Promise<string[]> => (await bucket.list('', null, 100, SIGNAL)).map(({ key }) => key)

test('an object is a file that anybody can look at, and a file that somebody lays there is an object', async () => {
  const folder = newFolder()
  const bucket = bucketIn(folder)
  await put(bucket, 'out/result.json', '{}')
  expect(readFileSync(path.join(folder, 'out/result.json'), 'utf8')).toBe('{}')
  mkdirSync(path.join(folder, 'in'))
  writeFileSync(path.join(folder, 'in/lines.jsonl'), '1\n2\n')
  expect(await bucket.head('in/lines.jsonl', SIGNAL)).toMatchObject({ numBytes: 4, contentType: 'application/jsonlines' })
  expect(await read(bucket, 'in/lines.jsonl')).toBe('1\n2\n')
  expect(await keysOf(bucket)).toEqual(['in/lines.jsonl', 'out/result.json'])
})

test('what somebody changed is served as it is now, and is not what was put', async () => {
  const folder = newFolder()
  const bucket = bucketIn(folder)
  await put(bucket, 'k.csv', 'a,b')
  const before = await bucket.head('k.csv', SIGNAL)
  writeFileSync(path.join(folder, 'k.csv'), 'c,d')
  const after = await bucket.head('k.csv', SIGNAL)
  expect(after).toMatchObject({ numBytes: 3, contentType: 'text/csv' })
  expect(after!.etag).not.toBe(before!.etag)
  expect(await read(bucket, 'k.csv')).toBe('c,d')
})

test('a file that is damaged behind our back is an error at the end of its bytes', async () => {
  const folder = newFolder()
  const bucket = bucketIn(folder)
  await put(bucket, 'k', 'whole')
  const file = path.join(folder, 'k')
  execFileSync('cp', ['-p', file, `${file}.times`])
  writeFileSync(file, 'whale')
  execFileSync('touch', ['-r', `${file}.times`, file])
  expect(await bucket.head('k', SIGNAL)).toMatchObject({ etag: createHash('sha256').update('whole').digest('hex') })
  await expect(read(bucket, 'k')).rejects.toMatchObject({
    code: 'store_failed',
    message: "the bucket 'test' failed: an object is not what was written",
  })
})

test('types and hashes go along when the folder is copied with its times', async () => {
  const folder = newFolder()
  await put(bucketIn(folder), 'deep/k', 'text')
  const copy = path.join(top, 'copy')
  execFileSync('cp', ['-a', folder, copy])
  expect(await bucketIn(copy).head('deep/k', SIGNAL)).toEqual(await bucketIn(folder).head('deep/k', SIGNAL))
})

test('no symbolic link is followed, to a file, to a folder, to put or to list', async () => {
  const [folder, outside] = [newFolder(), newFolder()]
  const bucket = bucketIn(folder)
  writeFileSync(path.join(outside, 'secret'), 'secret')
  mkdirSync(path.join(outside, 'empty'))
  symlinkSync(path.join(outside, 'secret'), path.join(folder, 'file'))
  symlinkSync(outside, path.join(folder, 'link'))
  execFileSync('mkfifo', [path.join(folder, 'pipe')])
  for (const key of ['file', 'link/secret', 'link/empty/x', 'pipe']) {
    expect(await bucket.head(key, SIGNAL)).toBeNull()
    await expect(read(bucket, key)).rejects.toMatchObject({ code: 'resource_not_found' })
    expect(await bucket.delete(key, SIGNAL)).toBe(false)
  }
  expect(await keysOf(bucket)).toEqual([])
  expect(await bucket.list('link/', null, 10, SIGNAL)).toEqual([])
  await expect(put(bucket, 'link/new', 'x')).rejects.toMatchObject({ code: 'conflict' })
  await expect(put(bucket, 'link/empty/new', 'x')).rejects.toMatchObject({ code: 'conflict' })
  await expect(put(bucket, 'file', 'x', true)).rejects.toMatchObject({ code: 'conflict' })
  await put(bucket, 'file', 'ours')
  expect(await read(bucket, 'file')).toBe('ours')
  expect(readFileSync(path.join(outside, 'secret'), 'utf8')).toBe('secret')
  expect(readdirSync(outside).toSorted()).toEqual(['empty', 'secret'])
})

test('an object and a folder cannot have one name, until the folder is empty', async () => {
  const folder = newFolder()
  const bucket = bucketIn(folder)
  await put(bucket, 'a/b/c', 'x')
  for (const ifAbsent of [true, false]) {
    await expect(put(bucket, 'a', 'x', ifAbsent)).rejects.toMatchObject({ code: 'conflict' })
    await expect(put(bucket, 'a/b/c/d', 'x', ifAbsent)).rejects.toMatchObject({ code: 'conflict' })
  }
  expect(await bucket.head('a', SIGNAL)).toBeNull()
  expect(await bucket.head('a/b/c/d', SIGNAL)).toBeNull()
  expect(await bucket.delete('a', SIGNAL)).toBe(false)
  expect(await bucket.delete('a/b/c', SIGNAL)).toBe(true)
  await put(bucket, 'a', 'x')
  expect(await keysOf(bucket)).toEqual(['a'])
})

test('many that put and delete in one folder at once are never in the way of each other', async () => {
  const bucket = bucketIn(newFolder())
  await Promise.all(
    Array.from({ length: 8 }, async (_, index) => {
      for (let round = 0; round < 15; round++) {
        await put(bucket, `d/e/${index}`, String(round))
        await bucket.delete(`d/e/${index}`, SIGNAL)
      }
      await put(bucket, `d/e/${index}`, 'last')
    }),
  )
  expect(await keysOf(bucket)).toEqual(Array.from({ length: 8 }, (_, index) => `d/e/${index}`))
})

test('what is replaced while it is looked at is always one version with its own type', async () => {
  const folder = newFolder()
  const bucket = bucketIn(folder)
  await put(bucket, 'k', 'version 0')
  const stop = new AbortController()
  const looking = (async () => {
    let numLooks = 0
    for (; !stop.signal.aborted; numLooks++) {
      const meta = await bucket.head('k', SIGNAL)
      expect(meta).toMatchObject({ contentType: 'application/x-test' })
      expect(await read(bucket, 'k')).toMatch(/^version \d+$/)
    }
    return numLooks
  })()
  for (let round = 1; round < 100; round++) await put(bucket, 'k', `version ${round}`)
  stop.abort()
  expect(await looking).toBeGreaterThan(0)
  expect(readdirSync(path.join(folder, '.inferd/about'))).toHaveLength(1)
})

test('109: a folder that goes away is told by name, and used again when it is back', async () => {
  const folder = newFolder()
  const bucket = bucketIn(folder)
  await put(bucket, 'k', 'text')
  renameSync(folder, `${folder}-away`)
  const gone = { code: 'store_failed', message: "the bucket 'test' failed: its folder is not there" }
  await expect(put(bucket, 'n', 'text')).rejects.toMatchObject(gone)
  await expect(bucket.head('k', SIGNAL)).rejects.toMatchObject(gone)
  await expect(read(bucket, 'k')).rejects.toMatchObject(gone)
  await expect(bucket.list('', null, 10, SIGNAL)).rejects.toMatchObject(gone)
  renameSync(`${folder}-away`, folder)
  expect(await read(bucket, 'k')).toBe('text')
  await put(bucket, 'n', 'text')
})

test("a team's folder is for the server alone, and made again when it was taken away", async () => {
  const folder = newFolder()
  const bucket = bucketIn(folder, ['objects', 'inferd-a'])
  await put(bucket, 'k', 'text')
  expect(statSync(path.join(folder, 'objects/inferd-a')).mode & 0o777).toBe(0o700)
  rmSync(path.join(folder, 'objects'), { recursive: true })
  await put(bucket, 'k', 'text').catch(() => {})
  await put(bucket, 'k', 'text')
  expect(await read(bucket, 'k')).toBe('text')
})

test.skipIf(process.geteuid?.() === 0)('109: a folder that may not be written to is told by name', async () => {
  const folder = newFolder()
  const bucket = bucketIn(folder)
  await put(bucket, 'k', 'text')
  chmodSync(path.join(folder, '.inferd/incoming'), 0o500)
  await expect(put(bucket, 'n', 'text')).rejects.toThrow('inferd may not use its folder')
  chmodSync(path.join(folder, '.inferd/incoming'), 0o700)
  await put(bucket, 'n', 'text')
})

test('the leftovers of a crash are cleaned at the start, objects stay', async () => {
  const folder = newFolder()
  await put(bucketIn(folder), 'k', 'text')
  const incoming = path.join(folder, '.inferd/incoming')
  writeFileSync(path.join(incoming, 'put-x.object'), 'half')
  writeFileSync(path.join(incoming, 'put-x.about'), '{"key":"../../etc/passwd","contentType":"x","sha256":"y"}')
  writeFileSync(path.join(incoming, 'put-y.about'), 'no json')
  utimesSync(path.join(incoming, 'put-x.object'), 1, 1)
  const bucket = bucketIn(folder)
  expect(await keysOf(bucket)).toEqual(['k'])
  expect(readdirSync(incoming)).toEqual([])
  expect(await bucket.head('k', SIGNAL)).toMatchObject({ contentType: 'application/x-test' })
})
