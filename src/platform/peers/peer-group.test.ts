/** Servers on one store in memory; the SQL of it is in src/platform/store/peer-rows.test.ts, all of it together in tests/simulation/peers.test.ts. */
import { expect, test } from 'vitest'
import { FakeClock } from '#base/fake-clock'
import { PeerStore } from '../../../tests/simulation/peer-world.ts'
import { PeerGroup, type PeerGroupParts } from './peer-group.ts'

interface Member {
  readonly group: PeerGroup<{ readonly says: string }>
  /** What was told of leading, in order. */
  readonly told: boolean[]
  isAway: boolean
}

class Place {
  readonly clock = new FakeClock()
  readonly store = new PeerStore()
  readonly gone = new Set<string>()

  async join(name: string): Promise<Member> {
    const { store, clock, gone } = this
    let numLives = 0
    const told: boolean[] = []
    const call = async <T>(make: () => T): Promise<T> => {
      if (member.isAway) throw new RangeError('the store is away')
      return make()
    }
    const table: PeerGroupParts['table'] = {
      join: (id, report) => call(() => void store.peers.set(id, { id, beat: 0, report })),
      beat: (id, report) => call(() => store.beat(id, report)),
      list: () => call(() => [...store.peers.values()]),
      drop: (id, beat) => call(() => (beat === null || store.peers.get(id)?.beat === beat) && store.peers.delete(id)),
      lead: (id) => call(() => store.lead(id)),
    }
    const log = { info: () => {}, warn: () => {}, error: () => {} }
    const newId = (): string => `${name}.${++numLives}`
    const group = new PeerGroup<{ readonly says: string }>({
      table,
      newId,
      isGone: (id) => gone.has(id),
      onLead: (leads) => void told.push(leads),
      clock,
      log,
    })
    const member: Member = { group, told, isAway: false }
    await group.start(async () => ({ says: name }))
    return member
  }
}

test('the first one leads, and hears within a second what the other one says', async () => {
  const place = new Place()
  const [a, b] = [await place.join('a'), await place.join('b')]
  expect([a.group.isLeading, b.group.isLeading, b.group.reports]).toEqual([true, false, [{ says: 'a' }]])
  await place.clock.advance(1000)
  expect(a.group.reports).toEqual([{ says: 'b' }])
})

test('one that does not reach the store does not think that it leads for longer than its lease, and comes back as another one', async () => {
  const place = new Place()
  const [a, b] = [await place.join('a'), await place.join('b')]
  await place.clock.advance(2000)
  a.isAway = true
  await place.clock.advance(5500)
  expect([a.group.isLeading, b.group.isLeading]).toEqual([true, false])
  await place.clock.advance(2500)
  expect([a.group.isLeading, b.group.isLeading, b.told]).toEqual([false, true, [true]])
  a.isAway = false
  await place.clock.advance(1000)
  expect([a.group.isLeading, b.group.isLeading, a.told, [...place.store.peers.keys()]]).toEqual([false, true, [true, false], ['b.1', 'a.2']])
})

test('after an outage of the store nobody is taken for dead who had no way to show himself', async () => {
  const place = new Place()
  const [a, b] = [await place.join('a'), await place.join('b')]
  await place.clock.advance(2000)
  a.isAway = b.isAway = true
  await place.clock.advance(60_000)
  b.isAway = false
  await place.clock.advance(1000)
  a.isAway = false
  await place.clock.advance(3000)
  expect([a.group.isLeading, a.told, b.told, [...place.store.peers.keys()]]).toEqual([true, [true], [], ['a.1', 'b.1']])
})

test('one whose process is seen to be gone is followed at the next beat, and one that goes in order, too', async () => {
  const place = new Place()
  const [a, b, c] = [await place.join('a'), await place.join('b'), await place.join('c')]
  a.isAway = true
  place.gone.add('a.1')
  await place.clock.advance(1000)
  expect([b.group.isLeading, b.group.reports, c.group.isLeading]).toEqual([true, [{ says: 'c' }], false])
  await b.group.close()
  expect(b.told).toEqual([true, false])
  await place.clock.advance(1000)
  expect(c.group.isLeading).toBe(true)
})
