import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Bucket, ObjectEntry, ObjectMeta, ObjectStores } from '#contract/objects'
import { ObjectArtifacts } from './object-artifact.ts'

const NEVER = new AbortController().signal
let folder = ''

beforeEach(() => {
  folder = path.join(mkdtempSync(path.join(tmpdir(), 'inferd-artifacts-')), 'models')
})
afterEach(() => rmSync(path.dirname(folder), { recursive: true, force: true }))

/** Objects by key; counts what is read. */
class PlayedBucket {
  readonly objects = new Map<string, string>()
  readonly read: string[] = []
  breaksAfter = Infinity

  get stores(): ObjectStores {
    const entryOf = (key: string): ObjectMeta => {
      const text = this.objects.get(key)!
      return { key, numBytes: text.length, etag: `${text.length}${text.slice(0, 9)}`, modifiedMs: 0, contentType: 'x' }
    }
    const bucket = {
      head: async (key: string) => (this.objects.has(key) ? entryOf(key) : null),
      list: async (prefix: string): Promise<ObjectEntry[]> => [...this.objects.keys()].filter((key) => key.startsWith(prefix)).map(entryOf),
      read: (key: string) => this.chunksOf(key),
    } as unknown as Bucket
    return { locate: (_team: string, uri: string) => ({ bucket, bucketName: 'b', key: uri.slice('s3://b/'.length) }) } as unknown as ObjectStores
  }

  private async *chunksOf(key: string): AsyncGenerator<Uint8Array> {
    this.read.push(key)
    for (const [index, letter] of [...this.objects.get(key)!].entries()) {
      if (index >= this.breaksAfter) throw new RangeError('the line is cut')
      yield Buffer.from(letter)
    }
  }
}

function opened(bucket: PlayedBucket): ObjectArtifacts {
  return new ObjectArtifacts({ objects: bucket.stores, folder })
}

test('a file is copied once for all who want it, and again only when it has changed', async () => {
  const bucket = new PlayedBucket()
  bucket.objects.set('m.gguf', 'one')
  const artifacts = opened(bucket)
  const [first, second] = await Promise.all([artifacts.fetch('t', 's3://b/m.gguf', NEVER), artifacts.fetch('t', 's3://b/m.gguf', NEVER)])
  expect(first).toBe(second)
  expect([path.basename(first), readFileSync(first, 'utf8')]).toEqual(['m.gguf', 'one'])
  expect(await opened(bucket).fetch('t', 's3://b/m.gguf', NEVER)).toBe(first)
  expect(bucket.read).toEqual(['m.gguf'])
  bucket.objects.set('m.gguf', 'another')
  const changed = await artifacts.fetch('t', 's3://b/m.gguf', NEVER)
  expect(changed).not.toBe(first)
  expect([readFileSync(changed, 'utf8'), readFileSync(first, 'utf8')]).toEqual(['another', 'one'])
})

test('a prefix is a folder of what lies directly below it', async () => {
  const bucket = new PlayedBucket()
  for (const [key, text] of Object.entries({ 'm/config.json': '{}', 'm/model.safetensors': 'w', 'm/inner/x': 'no', 'other/y': 'no' }))
    bucket.objects.set(key, text)
  const at = await opened(bucket).fetch('t', 's3://b/m/', NEVER)
  expect(readdirSync(at).toSorted()).toEqual(['config.json', 'model.safetensors'])
})

test('a copy that breaks off leaves nothing that is taken for a model, and neither does a crash', async () => {
  const bucket = new PlayedBucket()
  bucket.objects.set('m.gguf', 'a longer one')
  bucket.breaksAfter = 3
  const artifacts = opened(bucket)
  await expect(artifacts.fetch('t', 's3://b/m.gguf', NEVER)).rejects.toMatchObject({ code: 'store_failed' })
  expect(readdirSync(folder)).toEqual([])
  mkdirSync(path.join(folder, 'abc.part'))
  writeFileSync(path.join(folder, 'abc.part', 'm.gguf'), 'half')
  bucket.breaksAfter = Infinity
  expect(readFileSync(await opened(bucket).fetch('t', 's3://b/m.gguf', NEVER), 'utf8')).toBe('a longer one')
  expect(existsSync(path.join(folder, 'abc.part'))).toBe(false)
})

test('what is not there, and names that no file can have, are told', async () => {
  const bucket = new PlayedBucket()
  bucket.objects.set('m/..', 'x').set('n/a\\b', 'x')
  const artifacts = opened(bucket)
  await expect(artifacts.fetch('t', 's3://b/none.gguf', NEVER)).rejects.toMatchObject({ code: 'model_not_found' })
  await expect(artifacts.fetch('t', 's3://b/none/', NEVER)).rejects.toMatchObject({ code: 'model_not_found' })
  await expect(artifacts.fetch('t', 's3://b/m/', NEVER)).rejects.toMatchObject({ code: 'invalid_parameter' })
  await expect(artifacts.fetch('t', 's3://b/n/', NEVER)).rejects.toMatchObject({ code: 'invalid_parameter' })
  const gone = new AbortController()
  gone.abort(new RangeError('gone'))
  bucket.objects.set('late.gguf', 'x')
  await expect(artifacts.fetch('t', 's3://b/late.gguf', gone.signal)).rejects.toThrow()
})
