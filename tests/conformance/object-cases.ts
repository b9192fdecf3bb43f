/** What every bucket does, whatever it is made of. */
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Bucket, ObjectEntry } from '#contract/objects'
import { compareKeys } from '#platform/objects/object-key'

export interface OpenedBucket {
  readonly bucket: Bucket
  /** Names of uploads that were begun and neither completed nor given back. */
  readonly leftovers: () => Promise<readonly string[]>
}

const SIGNAL = new AbortController().signal
const MIB = 2 ** 20
const PUT = { contentType: 'application/x-test', maxBytes: 64 * MIB, ifAbsent: false }

const STRANGE_KEYS = [
  ' leading',
  '.hidden',
  '.inferd/about',
  '/at the top',
  'a b/c+d/e&f',
  "a%2Fb%/c'd",
  'back\\slash\\..',
  'dots.../and.more.',
  'empty//part',
  'folder/',
  'n' + '\u0303' + 'fd',
  'p'.repeat(240),
  'p'.repeat(241),
  `${'r'.repeat(240)}/below`,
  `${'%'.repeat(300)}/${'é'.repeat(300)}`,
  'q?x=1#y;z,<">|*:',
  'trailing ',
  'x/'.repeat(400) + 'deep',
  'é',
  '日本/語',
  '\u{fffd}',
  '\u{1f600}/smile',
]

/** `open` gives a new, empty bucket. */
export function objectCases(open: () => Promise<OpenedBucket>): void {
  test('what was put is read: bytes, length and type', async () => {
    const { bucket } = await open()
    const meta = await bucket.put('in/one.json', chunksOf('{"a":1}'), { ...PUT, contentType: 'application/json; x="1"' }, SIGNAL)
    expect(meta).toMatchObject({ key: 'in/one.json', numBytes: 7, contentType: 'application/json; x="1"' })
    expect(Math.abs(meta!.modifiedMs - Date.now())).toBeLessThan(60_000)
    expect(await bucket.head('in/one.json', SIGNAL)).toEqual(meta)
    expect(await textOf(bucket, 'in/one.json')).toBe('{"a":1}')
    expect(await bucket.list('', null, 10, SIGNAL)).toEqual([entryOf(meta!)])
  })

  test('an object is read from a byte on, and nothing past its end', async () => {
    const { bucket } = await open()
    await bucket.put('k', chunksOf('0123456789'), PUT, SIGNAL)
    expect(await textOf(bucket, 'k', 4)).toBe('456789')
    expect(await textOf(bucket, 'k', 9)).toBe('9')
    expect(await textOf(bucket, 'k', 10)).toBe('')
    expect(await textOf(bucket, 'k', 1000)).toBe('')
  })

  test('an empty object is an object', async () => {
    const { bucket } = await open()
    expect(await bucket.put('empty', chunksOf(), PUT, SIGNAL)).toMatchObject({ numBytes: 0 })
    expect(await textOf(bucket, 'empty')).toBe('')
  })

  test('what is not there is told as such', async () => {
    const { bucket } = await open()
    expect(await bucket.head('none/here', SIGNAL)).toBeNull()
    expect(await bucket.delete('none/here', SIGNAL)).toBe(false)
    expect(await bucket.list('none', null, 10, SIGNAL)).toEqual([])
    await expect(textOf(bucket, 'none/here')).rejects.toMatchObject({ code: 'resource_not_found' })
  })

  test('113: an object that must be absent stays as it is, and of many at once one wins', async () => {
    const { bucket } = await open()
    const ifAbsent = { ...PUT, ifAbsent: true }
    const outcomes = await Promise.all(Array.from({ length: 8 }, (_, index) => bucket.put('r/out', chunksOf(`by ${index}`), ifAbsent, SIGNAL)))
    const winner = outcomes.findIndex((meta) => meta !== null)
    expect(outcomes.filter((meta) => meta !== null)).toHaveLength(1)
    expect(await bucket.put('r/out', chunksOf('late'), ifAbsent, SIGNAL)).toBeNull()
    expect(await textOf(bucket, 'r/out')).toBe(`by ${winner}`)
    expect(await bucket.put('r/out', bytesOf(9 * MIB), ifAbsent, SIGNAL)).toBeNull()
    expect(await bucket.head('r/out', SIGNAL)).toEqual(outcomes[winner])
  })

  test('an object is replaced as a whole, with its type', async () => {
    const { bucket } = await open()
    const first = await bucket.put('k', chunksOf('a longer text'), PUT, SIGNAL)
    const second = await bucket.put('k', chunksOf('short'), { ...PUT, contentType: 'text/plain' }, SIGNAL)
    expect(second!.etag).not.toBe(first!.etag)
    expect(await bucket.head('k', SIGNAL)).toEqual(second)
    expect(await textOf(bucket, 'k')).toBe('short')
  })

  test('a large object comes from a stream and goes as one, bit for bit', async () => {
    const { bucket, leftovers } = await open()
    const numBytes = 20 * MIB + 7
    expect(await bucket.put('large', bytesOf(numBytes), PUT, SIGNAL)).toMatchObject({ numBytes, contentType: PUT.contentType })
    const [sent, got] = [createHash('sha256'), createHash('sha256')]
    for await (const chunk of bytesOf(numBytes)) sent.update(chunk)
    for await (const chunk of bucket.read('large', 0, SIGNAL)) got.update(chunk)
    expect(got.digest('hex')).toBe(sent.digest('hex'))
    expect(await leftovers()).toEqual([])
  })

  for (const [what, numBytes] of [
    ['small', 11],
    ['large', 10 * MIB],
  ] as const) {
    test(`a ${what} object over the limit is refused, and nothing of it stays`, async () => {
      const { bucket, leftovers } = await open()
      const put = bucket.put('k', bytesOf(numBytes), { ...PUT, maxBytes: numBytes - 1 }, SIGNAL)
      await expect(put).rejects.toMatchObject({ code: 'payload_too_large' })
      await expectNothing(bucket, leftovers)
      expect(await bucket.put('k', bytesOf(numBytes), { ...PUT, maxBytes: numBytes }, SIGNAL)).toMatchObject({ numBytes })
    })

    test(`a ${what} source that breaks is told in its own words, and nothing of it stays`, async () => {
      const { bucket, leftovers } = await open()
      // With a code as that of our own disk.
      const broken = Object.assign(new Error('the source broke'), { code: 'ENOENT' })
      await expect(bucket.put('k', bytesOf(numBytes, broken), PUT, SIGNAL)).rejects.toBe(broken)
      await expectNothing(bucket, leftovers)
    })

    test(`a ${what} put ends when its caller has gone, although the source never goes on`, async () => {
      const { bucket, leftovers } = await open()
      const leaving = new AbortController()
      const reason = new Error('gone')
      const put = bucket.put(
        'k',
        stalling(numBytes, () => leaving.abort(reason)),
        PUT,
        leaving.signal,
      )
      await expect(put).rejects.toBe(reason)
      await expectNothing(bucket, leftovers)
    })
  }

  test('a caller that has gone is told nothing else', async () => {
    const { bucket } = await open()
    await bucket.put('k', bytesOf(3 * MIB), PUT, SIGNAL)
    const reason = new Error('gone')
    const gone = AbortSignal.abort(reason)
    for (const call of [
      () => bucket.head('k', gone),
      () => bucket.put('k', chunksOf('x'), PUT, gone),
      () => bucket.list('', null, 10, gone),
      () => bucket.delete('k', gone),
      () => textOf(bucket, 'k', 0, gone),
    ])
      await expect(call()).rejects.toBe(reason)
    const leaving = new AbortController()
    const reading = bucket.read('k', 0, leaving.signal)[Symbol.asyncIterator]()
    await reading.next()
    leaving.abort(reason)
    await expect(readOn(reading)).rejects.toBe(reason)
    expect(await bucket.head('k', SIGNAL)).toMatchObject({ numBytes: 3 * MIB })
  })

  test('a reader that stops early keeps nothing open', async () => {
    const { bucket } = await open()
    await bucket.put('k', bytesOf(3 * MIB), PUT, SIGNAL)
    for (let round = 0; round < 200; round++) for await (const _ of bucket.read('k', 0, SIGNAL)) break
    expect(await bucket.delete('k', SIGNAL)).toBe(true)
  })

  test('strange keys are kept, each as itself, and listed in the order of their bytes', async () => {
    const { bucket } = await open()
    for (const key of STRANGE_KEYS) expect(await bucket.put(key, chunksOf(key), { ...PUT, ifAbsent: true }, SIGNAL), key).not.toBeNull()
    const inOrder = STRANGE_KEYS.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    expect(await keysOf(bucket, '')).toEqual(inOrder)
    for (const key of STRANGE_KEYS) expect(await textOf(bucket, key)).toBe(key)
    for (const key of STRANGE_KEYS) expect(await bucket.delete(key, SIGNAL), key).toBe(true)
    expect(await keysOf(bucket, '')).toEqual([])
  })

  test('what no bucket holds is no key', async () => {
    const { bucket } = await open()
    for (const key of ['', '.', '..', 'a/../b', '../a', 'a/.', './a', 'a\u0000b', 'a\nb', '\u007f', '\ud800', '\uffff', 'é'.repeat(513)]) {
      const refused = { code: 'invalid_parameter' }
      await expect(bucket.put(key, chunksOf('x'), PUT, SIGNAL), JSON.stringify(key)).rejects.toMatchObject(refused)
      await expect(bucket.head(key, SIGNAL)).rejects.toMatchObject(refused)
      await expect(textOf(bucket, key)).rejects.toMatchObject(refused)
      await expect(bucket.delete(key, SIGNAL)).rejects.toMatchObject(refused)
    }
  })

  test('a list goes on behind any key, whole folders at a time or not', async () => {
    const { bucket } = await open()
    const keys = ['a!', 'a/1', 'a/2/x', 'a/2/y', 'a0', 'b', 'b-/z', 'c/1'].toSorted(compareKeys)
    for (const key of keys) await bucket.put(key, chunksOf(key), PUT, SIGNAL)
    for (const prefix of ['', 'a', 'a/', 'a/2', 'a/2/', 'b', 'x', 'a/2/x']) {
      const expected = keys.filter((key) => key.startsWith(prefix))
      for (const afterKey of [null, ...keys, 'a/', 'a/2', 'a/3', 'zz', '!']) {
        const behind = expected.filter((key) => afterKey === null || compareKeys(key, afterKey) > 0)
        const got = await bucket.list(prefix, afterKey, 3, SIGNAL)
        expect(
          got.map(({ key }) => key),
          `${prefix} behind ${afterKey}`,
        ).toEqual(behind.slice(0, 3))
      }
    }
  })

  test('a bucket is a map from keys to contents, whatever is done to it', async () => {
    const { bucket } = await open()
    // No key is inside of another's name: that a folder refuses.
    const keys = ['x/1', 'x/2', 'y/z/1', 'w', '%/%']
    const step = fc.record({ kind: fc.constantFrom('put', 'absent', 'delete'), key: fc.constantFrom(...keys), text: fc.string({ maxLength: 20 }) })
    const property = fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
      const model = new Map<string, string>()
      for (const key of keys) await bucket.delete(key, SIGNAL)
      for (const { kind, key, text } of steps) {
        if (kind === 'delete') expect(await bucket.delete(key, SIGNAL)).toBe(model.delete(key))
        else {
          const isNew = kind === 'put' || !model.has(key)
          const meta = await bucket.put(key, chunksOf(text), { ...PUT, ifAbsent: kind === 'absent' }, SIGNAL)
          expect(meta !== null).toBe(isNew)
          if (isNew) model.set(key, text)
        }
      }
      expect(await keysOf(bucket, '')).toEqual([...model.keys()].sort(compareKeys))
      for (const [key, text] of model) expect(await textOf(bucket, key)).toBe(text)
    })
    await fc.assert(property, { seed: 5, numRuns: 15 })
  })
}

export async function* chunksOf(...texts: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text)
}

/** Each byte from its place; `failure` comes instead of the end. */
export async function* bytesOf(numBytes: number, failure: Error | null = null): AsyncGenerator<Uint8Array> {
  const block = Buffer.alloc(65_521)
  for (let start = 0; start < numBytes; start += block.length) {
    block.fill(`${start};`)
    yield Buffer.from(block.subarray(0, numBytes - start))
  }
  if (failure !== null) throw failure
}

export async function textOf(bucket: Bucket, key: string, start = 0, signal: AbortSignal = SIGNAL): Promise<string> {
  const pieces: Uint8Array[] = []
  for await (const piece of bucket.read(key, start, signal)) pieces.push(piece)
  return Buffer.concat(pieces).toString('utf8')
}

/** Never ends, once it has given what it has. */
async function* stalling(numBytes: number, onStall: () => void): AsyncGenerator<Uint8Array> {
  yield* bytesOf(numBytes)
  setImmediate(onStall)
  await new Promise(() => {})
}

async function readOn(reading: AsyncIterator<Uint8Array>): Promise<void> {
  while ((await reading.next()).done !== true);
}

async function keysOf(bucket: Bucket, prefix: string): Promise<readonly string[]> {
  return (await bucket.list(prefix, null, 1000, SIGNAL)).map(({ key }) => key)
}

async function expectNothing(bucket: Bucket, leftovers: OpenedBucket['leftovers']): Promise<void> {
  expect(await bucket.head('k', SIGNAL)).toBeNull()
  expect(await keysOf(bucket, '')).toEqual([])
  expect(await leftovers()).toEqual([])
}

function entryOf({ key, numBytes, etag, modifiedMs }: ObjectEntry): ObjectEntry {
  return { key, numBytes, etag, modifiedMs }
}
