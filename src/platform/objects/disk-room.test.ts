/** On a disk that fills and is emptied. */
import { expect, test } from 'vitest'
import { FakeClock } from '#base/fake-clock'
import { FakeDisk } from '../../../tests/simulation/fake-disk.ts'
import { DiskRoom } from './disk-room.ts'

const MIB = 2 ** 20

function roomOn(disk: Pick<FakeDisk, 'space'>, floorMib: number): { room: DiskRoom; clock: FakeClock; changes: boolean[] } {
  const clock = new FakeClock()
  const changes: boolean[] = []
  const room = new DiskRoom({ disk, folder: '/data', floorBytes: floorMib * MIB, clock, onChange: (isShort) => void changes.push(isShort) })
  return { room, clock, changes }
}

test('below the floor nothing is accepted, and above it again within a second, each told once', async () => {
  const disk = new FakeDisk()
  const { room, clock, changes } = roomOn(disk, 100)
  disk.capacity = { freeBytes: 100 * MIB, totalBytes: 2000 * MIB }
  await room.require()
  disk.capacity.freeBytes = 99 * MIB
  await room.require()
  await clock.advance(1000)
  const refusal = { code: 'overloaded', message: 'the disk has 99 MiB free, and nothing new is accepted below 100 MiB', retryAfterMs: 10_000 }
  await expect(room.require()).rejects.toMatchObject(refusal)
  await clock.advance(1000)
  await expect(room.require()).rejects.toMatchObject({ code: 'overloaded' })
  disk.capacity.freeBytes = 101 * MIB
  await clock.advance(1000)
  await room.require()
  expect(changes).toEqual([true, false])
})

test('many who ask at once look once', async () => {
  const disk = new FakeDisk()
  const { room } = roomOn(disk, 100)
  await Promise.all(Array.from({ length: 50 }, () => room.require()))
  expect(disk.numCalls).toBe(1)
})

test('a small disk is not asked for more than a tenth of it', async () => {
  const disk = new FakeDisk()
  const { room, clock } = roomOn(disk, 256)
  disk.capacity = { freeBytes: 2 * MIB, totalBytes: 16 * MIB }
  await room.require()
  disk.capacity.freeBytes = MIB
  await clock.advance(1000)
  await expect(room.require()).rejects.toMatchObject({ message: 'the disk has 1 MiB free, and nothing new is accepted below 2 MiB' })
})

test('a disk that does not say how full it is is written to', async () => {
  const disk = new FakeDisk()
  disk.fault = () => 'EIO'
  await roomOn(disk, 100).room.require()
})

test('what fills the disk while it comes in is cut off', async () => {
  const disk = new FakeDisk()
  const { room, clock } = roomOn(disk, 100)
  disk.capacity = { freeBytes: 120 * MIB, totalBytes: 2000 * MIB }
  async function* body(): AsyncGenerator<Uint8Array> {
    for (;;) {
      yield new Uint8Array(MIB)
      disk.capacity.freeBytes -= MIB
      await clock.advance(200)
    }
  }
  let numMib = 0
  const taken = (async () => {
    for await (const _ of room.while(body())) numMib++
  })()
  await expect(taken).rejects.toMatchObject({ code: 'overloaded' })
  expect(numMib).toBeGreaterThanOrEqual(20)
  expect(numMib).toBeLessThanOrEqual(32)
})
