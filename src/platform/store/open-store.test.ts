/** The store as its users see it: statements in order, transactions for themselves, durable, and honest about what it cannot do. */
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { sql } from 'kysely'
import { afterAll, expect, test } from 'vitest'
import { migrate, MIGRATIONS } from './migrations.ts'
import { openStore } from './open-store.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'inferd-store-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test('what one connection wrote another one reads, and a reopened file still has it', async () => {
  const file = path.join(folder, 'two.sqlite')
  const first = await openStore({ file })
  const second = await openStore({ file })
  await sql`create table thing (id integer primary key, word text not null)`.execute(first.db)
  await sql`insert into thing (word) values ('one')`.execute(first.db)
  expect((await sql`select word from thing`.execute(second.db)).rows).toEqual([{ word: 'one' }])
  await first.close()
  await second.close()
  const again = await openStore({ file })
  expect((await sql`select word from thing`.execute(again.db)).rows).toEqual([{ word: 'one' }])
  await again.close()
})

test('nobody but its owner reads the file, nor those beside it, whatever the mode in which it was found', async () => {
  for (const [name, make] of [
    ['new', () => {}],
    ['found', (file: string) => writeFileSync(file, '', { mode: 0o666 })],
  ] as const) {
    const file = path.join(folder, `${name}.sqlite`)
    make(file)
    const store = await openStore({ file })
    expect(['', '-wal', '-shm'].map((end) => statSync(`${file}${end}`).mode & 0o777)).toEqual([0o600, 0o600, 0o600])
    await store.close()
  }
})

test('a transaction has the connection for itself and leaves nothing behind when it fails', async () => {
  const store = await openStore({ file: null })
  await sql`create table counter (value integer not null)`.execute(store.db)
  await sql`insert into counter values (0)`.execute(store.db)
  const add = (fails: boolean): Promise<void> =>
    store.db.transaction().execute(async (step) => {
      const { rows } = await sql<{ value: number }>`select value from counter`.execute(step)
      await sql`update counter set value = ${rows[0]!.value + 1}`.execute(step)
      if (fails) throw new RangeError('no')
    })
  const results = await Promise.allSettled(Array.from({ length: 20 }, (_, index) => add(index % 4 === 0)))
  expect(results.filter(({ status }) => status === 'rejected')).toHaveLength(5)
  expect((await sql`select value from counter`.execute(store.db)).rows).toEqual([{ value: 15 }])
  await store.close()
})

test('a unique key that stands against a row is a conflict, a bad statement a failure without its words', async () => {
  const store = await openStore({ file: null })
  await sql`create table name (word text primary key)`.execute(store.db)
  await sql`insert into name values ('a')`.execute(store.db)
  await expect(sql`insert into name values ('a')`.execute(store.db)).rejects.toMatchObject({ code: 'conflict' })
  await expect(sql`select * from nowhere`.execute(store.db)).rejects.toMatchObject({ code: 'store_failed', message: 'the store failed' })
  await store.close()
  await expect(sql`select 1`.execute(store.db)).rejects.toBeDefined()
})

test('steps are applied once, also by two programs at the same time; a store of a newer program is refused', async () => {
  const file = path.join(folder, 'steps.sqlite')
  const steps = [
    { name: 'one', apply: async (db: Parameters<typeof migrate>[0]) => void (await sql`create table one (id integer)`.execute(db)) },
    { name: 'two', apply: async (db: Parameters<typeof migrate>[0]) => void (await sql`create table two (id integer)`.execute(db)) },
  ]
  const all = [...MIGRATIONS, ...steps]
  const [first, second] = await Promise.all([openStore({ file }), openStore({ file })])
  await Promise.all([migrate(first.db, 1, all), migrate(second.db, 1, all)])
  const { rows } = await sql<{ name: string }>`select name from migration order by number`.execute(first.db)
  expect(rows.map(({ name }) => name)).toEqual(all.map(({ name }) => name))
  await expect(openStore({ file })).rejects.toThrow('the store was made by a newer inferd')
  await expect(migrate(first.db, 1, [...MIGRATIONS, { ...steps[0]!, name: 'other' }, steps[1]!])).rejects.toThrow('was not made by this inferd')
  await first.close()
  await second.close()
})
