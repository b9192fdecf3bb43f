/** The file of the embedded store. */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { sql } from 'kysely'
import { afterAll, expect, test } from 'vitest'
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

test('a file that is no store ends the start with its name and the reason, and stays as it is', async () => {
  const text = 'these are the notes of somebody, and no store at all\n'.repeat(100)
  const file = path.join(folder, 'notes.sqlite')
  writeFileSync(file, text)
  await expect(openStore({ file })).rejects.toMatchObject({
    code: 'store_failed',
    message: `the store at ${file} cannot be opened: file is not a database`,
  })
  expect(readFileSync(file, 'utf8')).toBe(text)
  await expect(openStore({ file: folder })).rejects.toThrow(`the store at ${folder} cannot be opened: EISDIR`)
  const gone = path.join(folder, 'none', 'x.sqlite')
  await expect(openStore({ file: gone })).rejects.toThrow(`the store at ${gone} cannot be opened: ENOENT`)
})

test('a full disk refuses writes, not reads, and when there is room again nothing has to be restarted', async () => {
  const { db, close } = await openStore({ file: path.join(folder, 'full.sqlite') })
  await sql`create table word (word text not null)`.execute(db)
  const { rows } = await sql<{ page_count: number }>`pragma page_count`.execute(db)
  const limit = (pages: number): Promise<unknown> => sql`pragma max_page_count = ${sql.raw(String(pages))}`.execute(db)
  const add = (): Promise<unknown> => sql`insert into word values (${'x'.repeat(10_000)})`.execute(db)
  await limit(rows[0]!.page_count + 8)
  const results = await Promise.allSettled(Array.from({ length: 8 }, add))
  const numKept = results.filter(({ status }) => status === 'fulfilled').length
  expect(numKept).toBeGreaterThan(0)
  expect(numKept).toBeLessThan(8)
  await expect(add()).rejects.toMatchObject({ code: 'store_failed', cause: 'database or disk is full' })
  await expect(
    db.transaction().execute(async (step) => void (await sql`insert into word values (${'x'.repeat(10_000)})`.execute(step))),
  ).rejects.toBeDefined()
  const count = async (): Promise<unknown> => (await sql`select count(*) as n from word`.execute(db)).rows
  expect(await count()).toEqual([{ n: numKept }])
  await limit(1_000_000)
  await add()
  expect(await count()).toEqual([{ n: numKept + 1 }])
  await close()
})

test('a damaged page is told when it is read, and then nothing is taken any more', async () => {
  const file = path.join(folder, 'damaged.sqlite')
  const before = await openStore({ file })
  await sql`create table word (word text not null)`.execute(before.db)
  for (let index = 0; index < 50; index++) await sql`insert into word values (${`${index}`.repeat(500)})`.execute(before.db)
  await before.close()
  const bytes = readFileSync(file)
  writeFileSync(file, bytes.fill(0xa5, bytes.length - 8 * 4096))
  const reasons: unknown[] = []
  const { db, close } = await openStore({ file }, (reason) => reasons.push(reason))
  await expect(sql`select count(*), max(word) from word`.execute(db)).rejects.toMatchObject({ code: 'store_failed' })
  await expect(sql`insert into word values ('after')`.execute(db)).rejects.toMatchObject({ code: 'store_failed', message: 'the store is closed' })
  await close()
  expect(reasons).toEqual(['database disk image is malformed'])
})

test('a store that is closed in order was not broken, and neither was one that was full or refused a row', async () => {
  const reasons: unknown[] = []
  const { db, close } = await openStore({ file: path.join(folder, 'in-order.sqlite') }, (reason) => reasons.push(reason))
  await sql`create table word (word text not null unique)`.execute(db)
  await sql`insert into word values ('one')`.execute(db)
  await expect(sql`insert into word values ('one')`.execute(db)).rejects.toMatchObject({ code: 'conflict' })
  await sql`pragma max_page_count = 1`.execute(db)
  await expect(sql`insert into word values (${'x'.repeat(1_000_000)})`.execute(db)).rejects.toMatchObject({ code: 'store_failed' })
  await close()
  expect(reasons).toEqual([])
})
