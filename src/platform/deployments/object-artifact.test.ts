import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { SeededRandom } from '#base/random'
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
  /** It changes while it is read. */
  endsAfter = Infinity

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
      if (index >= this.endsAfter) return
      yield Buffer.from(letter)
    }
  }
}

function opened(bucket: PlayedBucket, freeBytes = Infinity): ObjectArtifacts {
  return new ObjectArtifacts({ objects: bucket.stores, folder, freeBytes: async () => freeBytes })
}

function at(uri: string): { readonly team: string; readonly uri: string } {
  return { team: 't', uri }
}

test('a file is copied once for all who want it, and again only when it has changed', async () => {
  const bucket = new PlayedBucket()
  bucket.objects.set('m.gguf', 'one')
  const artifacts = opened(bucket)
  const [first, second] = await Promise.all([artifacts.fetch('u', at('s3://b/m.gguf'), NEVER), artifacts.fetch('u', at('s3://b/m.gguf'), NEVER)])
  expect(first).toBe(second)
  expect([path.basename(first), readFileSync(first, 'utf8')]).toEqual(['m.gguf', 'one'])
  expect(await opened(bucket).fetch('u', at('s3://b/m.gguf'), NEVER)).toBe(first)
  expect(bucket.read).toEqual(['m.gguf'])
  bucket.objects.set('m.gguf', 'another')
  const changed = await artifacts.fetch('u', at('s3://b/m.gguf'), NEVER)
  expect(changed).not.toBe(first)
  expect([readFileSync(changed, 'utf8'), readFileSync(first, 'utf8')]).toEqual(['another', 'one'])
})

test('a prefix is a folder of what lies directly below it', async () => {
  const bucket = new PlayedBucket()
  for (const [key, text] of Object.entries({ 'm/config.json': '{}', 'm/model.safetensors': 'w', 'm/inner/x': 'no', 'other/y': 'no' }))
    bucket.objects.set(key, text)
  const model = await opened(bucket).fetch('u', at('s3://b/m/'), NEVER)
  expect(readdirSync(model).toSorted()).toEqual(['config.json', 'model.safetensors'])
})

test('a copy that breaks off leaves nothing that is taken for a model, and neither does a crash', async () => {
  const bucket = new PlayedBucket()
  bucket.objects.set('m.gguf', 'a longer one')
  bucket.breaksAfter = 3
  const artifacts = opened(bucket)
  await expect(artifacts.fetch('u', at('s3://b/m.gguf'), NEVER)).rejects.toMatchObject({ code: 'store_failed' })
  expect(readdirSync(folder)).toEqual([])
  mkdirSync(path.join(folder, 'abc.part'))
  writeFileSync(path.join(folder, 'abc.part', 'm.gguf'), 'half')
  bucket.breaksAfter = Infinity
  expect(readFileSync(await opened(bucket).fetch('u', at('s3://b/m.gguf'), NEVER), 'utf8')).toBe('a longer one')
  expect(existsSync(path.join(folder, 'abc.part'))).toBe(false)
})

test('what is not there, and names that no file can have, are told', async () => {
  const bucket = new PlayedBucket()
  bucket.objects.set('m/..', 'x').set('n/a\\b', 'x')
  const artifacts = opened(bucket)
  await expect(artifacts.fetch('u', at('s3://b/none.gguf'), NEVER)).rejects.toMatchObject({ code: 'model_not_found' })
  await expect(artifacts.fetch('u', at('s3://b/none/'), NEVER)).rejects.toMatchObject({ code: 'model_not_found' })
  await expect(artifacts.fetch('u', at('s3://b/m/'), NEVER)).rejects.toMatchObject({ code: 'invalid_parameter' })
  await expect(artifacts.fetch('u', at('s3://b/n/'), NEVER)).rejects.toMatchObject({ code: 'invalid_parameter' })
  const gone = new AbortController()
  gone.abort(new RangeError('gone'))
  bucket.objects.set('late.gguf', 'x')
  await expect(artifacts.fetch('u', at('s3://b/late.gguf'), gone.signal)).rejects.toThrow()
})

test('an object that is shorter than its bucket said is no model', async () => {
  const bucket = new PlayedBucket()
  bucket.objects.set('m.gguf', 'a longer one')
  bucket.endsAfter = 4
  await expect(opened(bucket).fetch('u', at('s3://b/m.gguf'), NEVER)).rejects.toMatchObject({ code: 'store_failed' })
  expect(readdirSync(folder)).toEqual([])
})

test('a copy that lost some of its bytes since is made again', async () => {
  const bucket = new PlayedBucket()
  bucket.objects.set('m.gguf', 'whole')
  writeFileSync(await opened(bucket).fetch('u', at('s3://b/m.gguf'), NEVER), 'who')
  expect(readFileSync(await opened(bucket).fetch('u', at('s3://b/m.gguf'), NEVER), 'utf8')).toBe('whole')
})

test('a copy is deleted when the last unit that uses it is gone, and made again for the next', async () => {
  const bucket = new PlayedBucket()
  bucket.objects.set('m.gguf', 'one')
  const artifacts = opened(bucket)
  await Promise.all(['a', 'b'].map((unit) => artifacts.fetch(unit, at('s3://b/m.gguf'), NEVER)))
  artifacts.release('a')
  await artifacts.settled()
  expect(readdirSync(folder)).toHaveLength(1)
  artifacts.release('b')
  // Asked for while it is deleted.
  const again = await artifacts.fetch('c', at('s3://b/m.gguf'), NEVER)
  expect(readFileSync(again, 'utf8')).toBe('one')
  expect(bucket.read).toEqual(['m.gguf', 'm.gguf'])
  artifacts.release('c')
  artifacts.release('never')
  await artifacts.settled()
  expect(readdirSync(folder)).toEqual([])
  artifacts.checkInvariants()
})

test('what earlier runs left is deleted once all wanted units have asked, and not when one could not', async () => {
  const bucket = new PlayedBucket()
  bucket.objects.set('m.gguf', 'one').set('old.gguf', 'two')
  const before = opened(bucket)
  for (const uri of ['s3://b/m.gguf', 's3://b/old.gguf']) await before.fetch('u', at(uri), NEVER)
  const unsure = opened(bucket)
  await expect(unsure.fetch('u', at('s3://b/none.gguf'), NEVER)).rejects.toThrow()
  await unsure.sweep()
  expect(readdirSync(folder)).toHaveLength(2)
  const after = opened(bucket)
  const looking = after.fetch('u', at('s3://b/m.gguf'), NEVER)
  await after.sweep()
  expect(readdirSync(folder)).toHaveLength(2)
  const used = await looking
  await after.sweep()
  expect(readdirSync(folder)).toEqual([path.basename(path.dirname(used))])
})

test('a model for which the disk has no room is refused with need and have, and one that is copied already needs none', async () => {
  const bucket = new PlayedBucket()
  bucket.objects.set('m.gguf', 'five5').set('n.gguf', 'six666')
  const reserve = 512 * 2 ** 20
  const artifacts = opened(bucket, reserve + 5)
  await artifacts.fetch('u', at('s3://b/m.gguf'), NEVER)
  await expect(artifacts.fetch('v', at('s3://b/n.gguf'), NEVER)).rejects.toThrow('needs 6 bytes of disk; there are 5 for it')
  await expect(opened(bucket, 0).fetch('w', at('s3://b/m.gguf'), NEVER)).resolves.toContain('m.gguf')
  artifacts.checkInvariants()
})

test('whatever is fetched and released at once, who uses a copy finds it whole, and nothing is left in the end', async () => {
  const random = new SeededRandom(5)
  const bucket = new PlayedBucket()
  for (const name of ['x', 'y', 'z']) bucket.objects.set(`${name}.gguf`, name.repeat(20))
  const artifacts = opened(bucket)
  const live = async (unit: string): Promise<void> => {
    for (let turn = 0; turn < 20; turn++) {
      const name = 'xyz'[random.nextInt(3)]!
      bucket.breaksAfter = random.nextInt(10) === 0 ? 5 : Infinity
      const found = await artifacts.fetch(unit, at(`s3://b/${name}.gguf`), NEVER).catch(() => null)
      if (found !== null) expect(readFileSync(found, 'utf8')).toBe(name.repeat(20))
      artifacts.release(unit)
      artifacts.checkInvariants()
    }
  }
  await Promise.all(['a', 'b', 'c', 'd'].map(live))
  await artifacts.settled()
  expect(readdirSync(folder)).toEqual([])
})
