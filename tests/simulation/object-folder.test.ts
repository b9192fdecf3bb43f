/** A bucket in a folder on a disk that forgets what was not synced, dies at every call, tears writes and fails any call. */
import { expect, test } from 'vitest'
import { SeededRandom } from '#base/random'
import { InferdError } from '#contract/errors'
import { FolderBucket } from '#platform/objects/folder-bucket'
import { FakeDisk, type Fault } from './fake-disk.ts'
import { contentOf, ObjectJournal, type Operation, chunksOf } from './object-journal.ts'

const KEYS = ['a', 'd/x', 'd/y', 'd/e/z', 'm//', 'd%/é']
const NUM_OPERATIONS = 10
const SEEDS = [1, 2, 3]
const SIGNAL = new AbortController().signal

function bucketOn(disk: FakeDisk, onDamage: (error: unknown) => void = () => {}): FolderBucket {
  return new FolderBucket({ disk, name: 'test', base: '/', inside: ['objects', 'bucket'], onDamage })
}

function operationsOf(seed: number): Operation[] {
  const random = new SeededRandom(seed)
  return Array.from({ length: NUM_OPERATIONS }, (_, index) => {
    const key = KEYS[random.nextInt(KEYS.length)]!
    const content = `content ${index}`
    return random.nextInt(4) === 0 ? { kind: 'delete', key } : { kind: 'put', key, content, ifAbsent: random.nextInt(2) === 0 }
  })
}

function operation(kind: Operation['kind'], content: string): Operation {
  return kind === 'delete' ? { kind, key: 'd/x' } : { kind, key: 'd/x', content, ifAbsent: true }
}

/** Until the machine dies. True = it did. */
async function runUntilDeath(disk: FakeDisk, journal: ObjectJournal, operations: readonly Operation[]): Promise<boolean> {
  const bucket = bucketOn(disk)
  try {
    for (const operation of operations) {
      disk.nowNs += 1000n
      await journal.run(bucket, operation)
    }
    return false
  } catch (error) {
    if (disk.hasDied) return true
    throw error
  }
}

const SURVIVALS: readonly [string, (random: SeededRandom) => () => boolean][] = [
  ['nothing that was not synced survives', () => () => false],
  ['everything survives', () => () => true],
  ['anything may survive', (random) => () => random.nextInt(2) === 0],
]

for (const [name, keepsOf] of SURVIVALS) {
  test(`power is lost at every call of puts and deletes: ${name}, and each object is whole, what was acknowledged is there`, async () => {
    let numCrashes = 0
    for (const seed of SEEDS) {
      const operations = operationsOf(seed)
      for (let number = 1; ; number++) {
        const random = new SeededRandom(seed * 1000 + number)
        const journal = new ObjectJournal()
        let disk = new FakeDisk()
        disk.fault = (call) => (call.number === number ? (random.nextInt(2) === 0 ? 'tear' : 'die') : null)
        const hasDied = await runUntilDeath(disk, journal, operations)
        disk = disk.afterCrash(keepsOf(random), random)
        await journal.check(bucketOn(disk))
        if (!hasDied) break
        numCrashes++
        // The next life: the same work again, and a second crash somewhere in it.
        const second = 1 + random.nextInt(150)
        disk.fault = (call) => (call.number === second ? 'die' : null)
        await runUntilDeath(disk, journal, operations)
        disk = disk.afterCrash(keepsOf(random), random)
        const bucket = bucketOn(disk)
        await journal.check(bucket)
        expect(await disk.list('/objects/bucket/.inferd/incoming')).toEqual([])
      }
    }
    expect(numCrashes).toBeGreaterThan(400)
  })
}

test('the server is killed at every call and the power is lost later: what the next server was told or found is there', async () => {
  const lives: readonly (readonly [Operation['kind'], Operation['kind']])[] = [
    ['put', 'put'],
    ['put', 'delete'],
    ['delete', 'delete'],
    ['delete', 'put'],
  ]
  for (const [first, second] of lives) {
    for (let number = 1; ; number++) {
      const journal = new ObjectJournal()
      const disk = new FakeDisk()
      if (first === 'delete') await journal.run(bucketOn(disk), operation('put', 'old'))
      const start = disk.numCalls
      disk.fault = (call) => (call.number === start + number ? 'die' : null)
      const hasDied = await runUntilDeath(disk, journal, [operation(first, 'first')])
      const later = disk.afterKill()
      await journal.run(bucketOn(later), operation(second, 'second'))
      await journal.check(bucketOn(later.afterCrash(() => false, new SeededRandom(1))))
      if (!hasDied) break
    }
  }
})

test('of many that put an object if it is absent one wins, whenever the power is lost', async () => {
  const contents = ['first', 'second', 'third']
  const options = { maxBytes: 100, ifAbsent: true }
  for (let number = 1; ; number++) {
    const random = new SeededRandom(number)
    const disk = new FakeDisk()
    disk.fault = (call) => (call.number === number ? 'die' : null)
    const bucket = bucketOn(disk)
    const typeOf = (content: string): string => `text/${content}`
    const outcomes = await Promise.allSettled(
      contents.map((content) => bucket.put('in/one', chunksOf(content), { ...options, contentType: typeOf(content) }, SIGNAL)),
    )
    const hasDied = disk.hasDied
    const again = bucketOn(disk.afterCrash(() => random.nextInt(2) === 0, random))
    const meta = await again.head('in/one', SIGNAL)
    for (const [index, outcome] of outcomes.entries()) {
      if (outcome.status === 'rejected') continue
      expect(meta).not.toBeNull()
      if (outcome.value !== null) expect(meta).toEqual(outcome.value)
      if (outcome.value !== null) expect(meta!.contentType).toBe(typeOf(contents[index]!))
    }
    const late = await again.put('in/one', chunksOf('late'), { ...options, contentType: 'text/late' }, SIGNAL)
    expect(late === null).toBe(meta !== null)
    if (meta !== null) expect(await again.head('in/one', SIGNAL)).toEqual(meta)
    if (!hasDied) break
  }
})

test('many puts into one folder share its syncs, and each that was acknowledged is there when the power is lost', async () => {
  const keys = Array.from({ length: 8 }, (_, index) => `d/${index}`)
  for (let number = 1; ; number++) {
    const random = new SeededRandom(number)
    const disk = new FakeDisk()
    disk.fault = (call) => (call.number === number ? 'die' : null)
    const bucket = bucketOn(disk)
    const outcomes = await Promise.allSettled(
      keys.map(async (key) => {
        for (let tick = random.nextInt(200); tick > 0; tick--) await Promise.resolve()
        return bucket.put(key, chunksOf(key), { contentType: 'text/plain', maxBytes: 100, ifAbsent: true }, SIGNAL)
      }),
    )
    const again = bucketOn(disk.afterCrash(() => false, random))
    for (const [index, outcome] of outcomes.entries()) {
      if (outcome.status === 'fulfilled') expect(await again.head(keys[index]!, SIGNAL)).toEqual(outcome.value)
    }
    if (disk.numCalls < number) break
  }
})

test('107: whichever call finds the disk full, the put fails in words, and the bucket goes on without a restart', async () => {
  const operations = operationsOf(7)
  for (let number = 1; ; number++) {
    const disk = new FakeDisk()
    let hasFailed = false
    disk.fault = failOnce(number, 'ENOSPC', ['create', 'write', 'sync', 'link', 'rename', 'mkdir', 'syncFolder'], () => (hasFailed = true))
    const journal = new ObjectJournal()
    const bucket = bucketOn(disk)
    for (const operation of operations) {
      const error: unknown = await journal.run(bucket, operation).then(
        () => null,
        (reason: unknown) => reason,
      )
      if (error === null) continue
      expect(error).toBeInstanceOf(InferdError)
      expect(error).toMatchObject({ code: 'store_failed', message: "the bucket 'test' failed: the disk is full" })
    }
    await journal.check(bucket)
    expect(disk.numOpen).toBe(0)
    expect(await disk.list('/objects/bucket/.inferd/incoming')).toEqual([])
    if (!hasFailed) break
  }
})

test('108: after a sync that failed nothing is acknowledged any more, reads go on, and a restart finds what was acknowledged', async () => {
  const operations = operationsOf(9)
  for (let number = 1; ; number++) {
    const disk = new FakeDisk()
    let hasFailed = false
    disk.fault = failOnce(number, 'EIO', ['sync', 'syncFolder'], () => (hasFailed = true))
    const journal = new ObjectJournal()
    const damages: unknown[] = []
    const bucket = bucketOn(disk, (error) => damages.push(error))
    const isKept = await journal.run(bucket, { kind: 'put', key: 'kept', content: 'kept', ifAbsent: false }).then(
      () => true,
      () => false,
    )
    for (const operation of operations) {
      const error: unknown = await journal.run(bucket, operation).then(
        () => null,
        (reason: unknown) => reason,
      )
      expect(error === null).toBe(!hasFailed)
      if (hasFailed)
        expect(error).toMatchObject({ code: 'store_failed', message: expect.stringContaining('until inferd is started again') as string })
    }
    expect(damages).toHaveLength(hasFailed ? 1 : 0)
    if (isKept) expect(await contentOf(bucket, 'kept')).toBe('kept')
    const random = new SeededRandom(number)
    await journal.check(bucketOn(disk.afterCrash(() => random.nextInt(2) === 0, random)))
    if (!hasFailed) break
  }
})

test('109: a read-only disk, a folder that is not there and one that is closed are told by name, and heal without a restart', async () => {
  for (const [code, words] of [
    ['EROFS', 'its folder is read-only'],
    ['EACCES', 'inferd may not use its folder'],
    ['ENOENT', 'its folder is not there'],
    ['ESTALE', 'its network file system has lost the folder'],
  ] as const) {
    const disk = new FakeDisk()
    const bucket = bucketOn(disk)
    const put = (): Promise<unknown> => bucket.put('k', chunksOf('text'), { contentType: 'text/plain', maxBytes: 10, ifAbsent: false }, SIGNAL)
    await put()
    disk.fault = ({ name }) => (name === 'create' ? code : null)
    await expect(put()).rejects.toMatchObject({ code: 'store_failed', message: `the bucket 'test' failed: ${words}` })
    disk.fault = () => null
    await put()
  }
})

function failOnce(number: number, code: `E${string}`, names: readonly string[], onFailure: () => void): Fault {
  let numSeen = 0
  return ({ name }) => {
    if (!names.includes(name) || ++numSeen !== number) return null
    onFailure()
    return code
  }
}
