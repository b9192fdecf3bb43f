import { afterEach, beforeEach, expect, test } from 'vitest'
import { FakeClock } from '#base/fake-clock'
import { openStore, type Store } from '#platform/store/open-store'
import { ResourceTable } from '#platform/store/resource-rows'
import { StoredTags } from './tag-desk.ts'

let store: Store
let tags: StoredTags
const clock = new FakeClock()

beforeEach(async () => {
  store = await openStore({ file: null })
  tags = new StoredTags({ table: new ResourceTable(store.db), clock, maxJobs: 2 })
})
afterEach(() => store.close())

function numbered(from: number, count: number): readonly { readonly key: string; readonly value: string }[] {
  return Array.from({ length: count }, (_, index) => ({ key: `k${from + index}`, value: '' }))
}

test('a key keeps its place and takes the new value, and keys that are not there can be taken away', async () => {
  await tags.put('model/m', numbered(0, 2))
  expect(await tags.put('model/m', [{ key: 'k0', value: 'new' }])).toEqual([
    { key: 'k0', value: 'new' },
    { key: 'k1', value: '' },
  ])
  await tags.remove('model/m', ['k0', 'nobody'])
  expect(await tags.list('model/m')).toEqual([{ key: 'k1', value: '' }])
  expect(await tags.list('endpoint/m')).toEqual([])
})

test('the 51st tag is refused and changes nothing', async () => {
  await tags.put('endpoint/e', numbered(0, 49))
  await expect(tags.put('endpoint/e', numbered(48, 3))).rejects.toMatchObject({ code: 'invalid_parameter' })
  expect(await tags.list('endpoint/e')).toHaveLength(49)
  expect(await tags.put('endpoint/e', numbered(48, 2))).toHaveLength(50)
})

test('of jobs the oldest lose their tags when there are too many, and nothing else does', async () => {
  await tags.put('model/m', numbered(0, 1))
  for (const job of ['a', 'b', 'c']) {
    await tags.put(`transform-job/team/${job}`, numbered(0, 1))
    await clock.advance(10)
  }
  const left = await Promise.all(['a', 'b', 'c'].map((job) => tags.list(`transform-job/team/${job}`)))
  expect(left.map(({ length }) => length)).toEqual([0, 1, 1])
  expect(await tags.list('model/m')).toHaveLength(1)
})
