import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, afterEach, expect, test } from 'vitest'
import { systemClock } from '#base/clock'
import { parsePlatformFile } from '#config/platform-file'
import type { ObjectStores } from '#contract/objects'
import { openObjectStores } from './open-object-stores.ts'

const SIGNAL = new AbortController().signal
const folder = mkdtempSync(path.join(tmpdir(), 'inferd-stores-'))
const dataDir = path.join(folder, 'data')
const closers: (() => void)[] = []

mkdirSync(path.join(dataDir, 'objects'), { recursive: true })
for (const name of ['lake', 'lake/inner', 'other']) mkdirSync(path.join(folder, name))

afterEach(() => closers.splice(0).forEach((close) => close()))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

async function open(buckets: unknown, { hosts = [] as unknown[], dataDir: dir = dataDir as string | null } = {}): Promise<ObjectStores> {
  const file = parsePlatformFile(JSON.stringify({ objects: { buckets }, egress: { hosts } }), 'test')
  const opened = await openObjectStores({ config: file.objects, egress: file.egress, dataDir: dir, clock: systemClock, onDamage: () => {} })
  closers.push(() => opened.close())
  return opened.stores
}

async function* textOf(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text)
}

test('each team has a bucket that no other team can name, whatever the teams are called', async () => {
  const stores = await open({})
  const teams = ['local', 'Local', 'LOCAL', 'a b', 'a/b', '../local', 'é', 'e\u0301', 'x'.repeat(56), 'x'.repeat(57), 'x.y', '-x', '']
  const names = teams.map((team) => stores.defaultBucket(team))
  expect(new Set(names.map((name) => name.toLowerCase().normalize())).size).toBe(teams.length)
  expect(names[0]).toBe('inferd-local')
  for (const name of names) expect(name).toMatch(/^inferd[-.][a-z0-9-]{1,56}$/)
  for (const [index, team] of teams.entries()) {
    const own = stores.locate(team, stores.uriOf(names[index]!, 'k'))
    await own.bucket.put(own.key, textOf(team), { contentType: 'text/plain', maxBytes: 1000, ifAbsent: true }, SIGNAL)
    for (const other of teams.filter((name) => name !== team))
      expect(() => stores.locate(other, stores.uriOf(names[index]!, 'k'))).toThrow(expect.objectContaining({ code: 'resource_not_found' }))
  }
  for (const [index, team] of teams.entries()) {
    const { bucket } = stores.locate(team, `s3://${names[index]}/k`)
    expect(await bucket.list('', null, 10, SIGNAL)).toMatchObject([{ key: 'k', numBytes: Buffer.byteLength(team) }])
  }
})

test('a bucket is there for the teams that it is given to, and another is as one that does not exist', async () => {
  const stores = await open({
    lake: { folder: path.join(folder, 'lake'), teams: ['a'] },
    everybody: { folder: path.join(folder, 'other') },
  })
  expect(stores.locate('a', 's3://lake/x/y')).toMatchObject({ bucketName: 'lake', key: 'x/y' })
  expect(stores.locate('b', 's3://everybody')).toMatchObject({ bucketName: 'everybody', key: '' })
  const words = (uri: string): string => {
    try {
      stores.locate('b', uri)
      return ''
    } catch (error) {
      return (error as Error).message
    }
  }
  expect(words('s3://lake/x')).not.toBe('')
  expect(words('s3://lake/x')).toBe(words('s3://nothing/x'))
})

test('without a data directory no team has a bucket of its own', async () => {
  const stores = await open({}, { dataDir: null })
  expect(() => stores.locate('a', 's3://inferd-a/k')).toThrow(/no such bucket/)
})

test('folders that lie in one another, in our data, or nowhere are refused at the start', async () => {
  symlinkSync(path.join(folder, 'lake'), path.join(folder, 'link'))
  const at = (...names: string[]): unknown => ({ folder: path.join(folder, ...names) })
  for (const buckets of [
    { lake: at('lake'), inner: at('lake/inner') },
    { inner: at('lake/inner'), lake: at('lake') },
    { lake: at('lake'), same: at('link') },
    { data: at('data') },
    { objects: at('data/objects') },
    { everything: { folder: path.dirname(folder) } },
  ])
    await expect(open(buckets)).rejects.toMatchObject({ code: 'invalid_parameter', message: expect.stringContaining('lies in that of') as string })
  await expect(open({ lake: at('nowhere') })).rejects.toMatchObject({
    message: expect.stringContaining('objects.buckets.lake: the folder is not there') as string,
  })
})

test('a bucket of S3 needs a host that is listed, and keys by reference', async () => {
  process.env['INFERD_TEST_S3'] = 'x'
  const s3 = { accessKeyId: 'env:INFERD_TEST_S3', secretAccessKey: 'env:INFERD_TEST_S3' }
  const listed = (host: string): { hosts: unknown[] } => ({ hosts: [{ host }] })
  await expect(open({ lake: { s3 } })).rejects.toThrow("the host 'lake.s3.us-east-1.amazonaws.com' is not in egress.hosts")
  await open({ lake: { s3 } }, listed('lake.s3.us-east-1.amazonaws.com'))
  await open({ lake: { s3: { ...s3, forcePathStyle: true, region: 'eu-west-1' } } }, listed('s3.eu-west-1.amazonaws.com'))
  await open({ lake: { s3: { ...s3, endpoint: 'http://ceph.lan:7480' } } }, listed('lake.ceph.lan'))
  await open({ lake: { s3: { ...s3, endpoint: 'http://10.1.2.3:7480' } } }, listed('10.1.2.3'))
  await expect(open({ 'la.ke': { s3 } }, listed('x'))).rejects.toThrow('needs forcePathStyle')
  await expect(open({ lake: { s3: { ...s3, endpoint: 'ftp://x' } } }, listed('x'))).rejects.toMatchObject({ code: 'invalid_parameter' })
})

test('the section names what cannot be', async () => {
  for (const [buckets, words] of [
    [{ 'inferd-a': { folder: '/x' } }, 'not as those of teams'],
    [{ 'inferd.a': { folder: '/x' } }, 'not as those of teams'],
    [{ UPPER: { folder: '/x' } }, '3 to 63'],
    [{ 'a..b': { folder: '/x' } }, '3 to 63'],
    [{ lake: { folder: 'relative' } }, 'an absolute path'],
    [{ lake: {} }, 'either folder or s3'],
    [{ lake: { folder: '/x', s3: { accessKeyId: 'env:A', secretAccessKey: 'env:B' } } }, 'either folder or s3'],
    [{ lake: { s3: { accessKeyId: 'AKIA', secretAccessKey: 'env:B' } } }, 'never the secret itself'],
  ] as const)
    await expect(open(buckets)).rejects.toThrow(words)
})
