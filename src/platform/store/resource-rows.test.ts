import { expect, test } from 'vitest'
import { onEachStore } from '../../../tests/stores/each-store.ts'
import { ResourceTable } from './resource-rows.ts'

onEachStore(({ open }) => {
  test('a document is changed only by who saw its last revision', async () => {
    const table = new ResourceTable((await open()).db)
    const made = await table.insert({ kind: 'endpoint', name: 'a', document: '{"n":1}' }, 10)
    expect(made).toEqual({ kind: 'endpoint', name: 'a', document: '{"n":1}', revision: 1, created_ms: 10, modified_ms: 10 })
    expect(await table.change(made, '{"n":2}', 20)).toMatchObject({ document: '{"n":2}', revision: 2, created_ms: 10, modified_ms: 20 })
    expect(await table.change(made, '{"n":3}', 30)).toBeNull()
    expect(await table.find('endpoint', 'a')).toMatchObject({ document: '{"n":2}', revision: 2 })
  })

  test('a name is unique within its kind; what is gone can be made again', async () => {
    const table = new ResourceTable((await open()).db)
    await table.insert({ kind: 'model', name: 'a', document: '{}' }, 1)
    await table.insert({ kind: 'endpoint', name: 'a', document: '{}' }, 1)
    await expect(table.insert({ kind: 'model', name: 'a', document: '{}' }, 2)).rejects.toMatchObject({ code: 'conflict' })
    expect(await table.remove('model', 'a')).toBe(true)
    expect(await table.remove('model', 'a')).toBe(false)
    await table.insert({ kind: 'model', name: 'a', document: '{}' }, 3)
    expect((await table.list('endpoint')).length).toBe(1)
  })

  test('a list is in the order of creation', async () => {
    const table = new ResourceTable((await open()).db)
    for (const [name, atMs] of [
      ['late', 3],
      ['b', 1],
      ['a', 1],
    ] as const)
      await table.insert({ kind: 'model', name, document: '{}' }, atMs)
    expect((await table.list('model')).map(({ name }) => name)).toEqual(['a', 'b', 'late'])
  })

  test('of many who count under one lock none is lost, and who fails changes nothing', async () => {
    const table = new ResourceTable((await open()).db)
    await table.insert({ kind: 'model', name: 'n', document: '0' }, 1)
    const count = (fails: boolean): Promise<void> =>
      table.alone('count', async (step) => {
        const row = (await step.find('model', 'n'))!
        await step.change(row, String(Number(row.document) + 1), 2)
        if (fails) throw new RangeError('no')
      })
    const ends = await Promise.allSettled(Array.from({ length: 20 }, (_, index) => count(index % 4 === 0)))
    expect(ends.filter(({ status }) => status === 'rejected').length).toBe(5)
    expect((await table.find('model', 'n'))?.document).toBe('15')
  })
})
