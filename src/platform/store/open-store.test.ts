/** The file of the embedded store. */
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
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
