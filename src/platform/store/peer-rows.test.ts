/** Who lives and who leads, over both stores. */
import { expect, test } from 'vitest'
import { onEachStore } from '../../../tests/stores/each-store.ts'
import { leadsFor, PeerTable } from './peer-rows.ts'
import { ResourceTable } from './resource-rows.ts'

onEachStore(({ open, openTwice }) => {
  test('the first one leads as long as it lives, and the next one then', async () => {
    const peers = new PeerTable((await open()).db)
    expect(await peers.lead('a')).toBe(false)
    await peers.join('a', '{"n":1}')
    await peers.join('b', '{}')
    expect([await peers.lead('a'), await peers.lead('b'), await peers.lead('a')]).toEqual([true, false, true])
    expect(await peers.beat('a', '{"n":2}')).toBe(true)
    const rows = await peers.list()
    expect(rows.map(({ id, report }) => `${id} ${report}`)).toEqual(['a {"n":2}', 'b {}'])
    const seen = rows[0]!
    await peers.beat('a', '{}')
    expect(await peers.drop('a', seen.beat)).toBe(false)
    expect(await peers.drop('a', (await peers.list())[0]!.beat)).toBe(true)
    expect([await peers.beat('a', '{}'), await peers.lead('a'), await peers.lead('b')]).toEqual([false, false, true])
  })

  test('what was decided by one who was dropped meanwhile is refused, whatever the revision', async () => {
    const [first, second] = await openTwice()
    const [here, there] = [new PeerTable(first.db), new PeerTable(second.db)]
    await here.join('a', '{}')
    await there.join('b', '{}')
    await here.lead('a')
    const row = await new ResourceTable(first.db).insert({ kind: 'endpoint', name: 'e', document: '{"n":1}' }, 1)
    const ofA = new ResourceTable(first.db, (step) => leadsFor(step, 'a'))
    const ofB = new ResourceTable(second.db, (step) => leadsFor(step, 'b'))
    expect(await ofB.change(row, '{"n":2}', 2)).toBeNull()
    const decided = await ofA.change(row, '{"n":3}', 3)
    expect(decided).toMatchObject({ revision: 2 })
    await there.drop('a', null)
    await there.lead('b')
    expect(await ofA.change(decided!, '{"n":4}', 4)).toBeNull()
    await expect(ofA.remove('endpoint', 'e')).rejects.toMatchObject({ code: 'conflict' })
    await expect(ofA.alone('deployments', async (step) => step.change(decided!, '{"n":5}', 5))).rejects.toMatchObject({ code: 'conflict' })
    expect(await ofB.alone('deployments', async (step) => step.change(decided!, '{"n":6}', 6))).toMatchObject({ document: '{"n":6}', revision: 3 })
    expect(await ofB.remove('endpoint', 'e')).toBe(true)
  })

  test('of many who would lead at once, again and again, one does', async () => {
    const [first, second] = await openTwice()
    const tables = [new PeerTable(first.db), new PeerTable(second.db)]
    const ids = ['a', 'b', 'c', 'd']
    for (const id of ids) await tables[0]!.join(id, '{}')
    for (let numLeft = ids.length; numLeft > 0; numLeft--) {
      const leads = await Promise.all(ids.map((id, index) => tables[index % 2]!.lead(id)))
      const leading = ids.filter((_, index) => leads[index])
      expect(leading.length).toBe(1)
      expect(await tables[1]!.drop(leading[0]!, null)).toBe(true)
    }
  })
})
