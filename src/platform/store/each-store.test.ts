/** What the embedded store and PostgreSQL promise alike: the tables' own suites stand beside their users. */
import { sql } from 'kysely'
import { expect, test } from 'vitest'
import { onEachStore } from '../../../tests/stores/each-store.ts'
import { deleteFile, type FileRow, insertFile, selectFiles } from './file-rows.ts'
import { makeOnce } from './guardrail-requests.ts'
import { type GuardrailRow, insertDraft, selectDrafts } from './guardrails-table.ts'
import { insertKey, selectKeys, selectTeams, updateLastUsed, upsertTeam } from './keys-table.ts'
import { migrate, MIGRATIONS } from './migrations.ts'
import { deleteExpiredResponses, insertResponse, type ResponseRow, selectChain } from './response-rows.ts'

const FILE: FileRow = {
  id: 'file-1',
  team: 'red',
  filename: 'a.jsonl',
  purpose: 'batch',
  num_bytes: 2 ** 40,
  sha256: 'aa',
  created_ms: 5,
  expires_ms: null,
}

onEachStore(({ open, openTwice }) => {
  test('a transaction has what it reads for itself and leaves nothing behind when it fails', async () => {
    const { db } = await open()
    await sql`create table counter (value integer not null)`.execute(db)
    await sql`insert into counter values (0)`.execute(db)
    const add = (fails: boolean): Promise<void> =>
      db.transaction().execute(async (step) => {
        const { rows } = await sql<{ value: number }>`update counter set value = value + 1 returning value`.execute(step)
        await sql`update counter set value = ${rows[0]!.value}`.execute(step)
        if (fails) throw new RangeError('no')
      })
    const results = await Promise.allSettled(Array.from({ length: 20 }, (_, index) => add(index % 4 === 0)))
    expect(results.filter(({ status }) => status === 'rejected')).toHaveLength(5)
    expect((await sql`select value from counter`.execute(db)).rows).toEqual([{ value: 15 }])
  })

  test('a key that stands against a row is a conflict, a bad statement a failure without its words, a closed store no more than that', async () => {
    const store = await open()
    await sql`create table name (word text primary key, other text not null)`.execute(store.db)
    await sql`insert into name values ('a', 'b')`.execute(store.db)
    await expect(sql`insert into name values ('a', 'c')`.execute(store.db)).rejects.toMatchObject({ code: 'conflict' })
    await expect(sql`insert into name values ('b', null)`.execute(store.db)).rejects.toMatchObject({ code: 'conflict' })
    await expect(sql`select * from nowhere`.execute(store.db)).rejects.toMatchObject({ code: 'store_failed', message: 'the store failed' })
    await store.close()
    await expect(sql`select 1`.execute(store.db)).rejects.toBeDefined()
  })

  test('steps are applied once, also by two programs at the same time; a store of a newer or another program is refused', async () => {
    const [first, second] = await openTwice()
    const one = { name: 'one', apply: async (db: Parameters<typeof migrate>[0]) => void (await sql`create table one (id integer)`.execute(db)) }
    const two = { name: 'two', apply: async (db: Parameters<typeof migrate>[0]) => void (await sql`create table two (id integer)`.execute(db)) }
    const all = [...MIGRATIONS, one, two]
    await Promise.all([migrate(first.db, 1, all), migrate(second.db, 1, all)])
    const { rows } = await sql<{ name: string }>`select name from migration order by number`.execute(first.db)
    expect(rows.map(({ name }) => name)).toEqual(all.map(({ name }) => name))
    await expect(migrate(second.db, 1)).rejects.toThrow('the store was made by a newer inferd')
    await expect(migrate(first.db, 1, [...MIGRATIONS, { ...one, name: 'other' }, two])).rejects.toThrow('was not made by this inferd')
  })

  test('a step that fails leaves nothing of itself, and is tried again by the next start', async () => {
    const { db } = await open()
    const broken = async (step: typeof db): Promise<void> => {
      await sql`create table half (id integer)`.execute(step)
      throw new RangeError('no')
    }
    await expect(migrate(db, 1, [...MIGRATIONS, { name: 'half', apply: broken }])).rejects.toThrow(RangeError)
    await migrate(db, 1, [...MIGRATIONS, { name: 'half', apply: async (step) => void (await sql`create table half (id integer)`.execute(step)) }])
    expect((await sql`select * from half`.execute(db)).rows).toEqual([])
  })

  test('numbers come back as numbers, sums and counts too, and texts stand in the order of their bytes', async () => {
    const { db } = await open()
    for (const [index, id] of ['b', 'B', 'é', 'a', 'Z', '_'].entries()) await insertFile(db, { ...FILE, id, sha256: id, created_ms: 2 ** 45 + index })
    const { rows } = await sql`select sum(num_bytes) as bytes, count(*) as files, max(created_ms) as last from file`.execute(db)
    expect(rows).toEqual([{ bytes: 6 * 2 ** 40, files: 6, last: 2 ** 45 + 5 }])
    const sorted = await db.selectFrom('file').select(['id', 'expires_ms']).orderBy('id').execute()
    expect(sorted.map(({ id }) => id)).toEqual(['B', 'Z', '_', 'a', 'b', 'é'])
    expect(sorted[0]!.expires_ms).toBeNull()
  })

  test('of two files with the same bytes, deleted at one moment by two processes, exactly one delete says that nobody names them any more', async () => {
    const [first, second] = await openTwice()
    for (let round = 0; round < 10; round++) {
      await insertFile(first.db, FILE)
      await insertFile(first.db, { ...FILE, id: 'file-2' })
      const deleted = await Promise.all([deleteFile(first.db, 'red', 'file-1'), deleteFile(second.db, 'red', 'file-2')])
      expect(deleted.map(({ wasThere }) => wasThere)).toEqual([true, true])
      expect(deleted.filter(({ orphan }) => orphan === 'aa')).toHaveLength(1)
    }
  })

  test('pages of files follow each other without a gap, in both directions', async () => {
    const { db } = await open()
    const ids = Array.from({ length: 7 }, (_, index) => `file-${index}`)
    for (const [index, id] of ids.entries()) await insertFile(db, { ...FILE, id, created_ms: Math.floor(index / 2) })
    for (const order of ['asc', 'desc'] as const) {
      const seen: string[] = []
      let after: FileRow | null = null
      for (;;) {
        const page = await selectFiles(db, { team: 'red', purpose: null, after, limit: 3, order, nowMs: 0 })
        seen.push(...page.map(({ id }) => id))
        after = page.at(-1) ?? null
        if (page.length < 3) break
      }
      expect(seen).toEqual(order === 'asc' ? ids : ids.toReversed())
    }
  })

  test('two requests with one token, at one moment in two processes, make one guardrail; two with one name make one, and one is a conflict', async () => {
    const [first, second] = await openTwice()
    const draft = (id: string): GuardrailRow => ({ team: 'red', id, version: 0, name: 'house', definition: '{}', created_ms: 1, updated_ms: 1 })
    const bounds = { perTeam: 10, versionsEach: 10 }
    const made = await Promise.all(
      [first, second].map(({ db }, index) =>
        makeOnce(db, { team: 'red', token: 't', digest: 'd', nowMs: 1 }, (step) => insertDraft(step, draft(`g${index}`), bounds)),
      ),
    )
    expect(made[0]!.id).toBe(made[1]!.id)
    const named = await Promise.allSettled(
      [first, second].map(({ db }, index) =>
        makeOnce(db, { team: 'blue', token: null, digest: 'd', nowMs: 1 }, (step) =>
          insertDraft(step, { ...draft(`b${index}`), team: 'blue' }, bounds),
        ),
      ),
    )
    expect(named.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected'])
    expect(await selectDrafts(first.db, 'blue')).toHaveLength(1)
  })

  test('a conversation is read from its newest link back and lives as long as that', async () => {
    const { db } = await open()
    const row = (id: string, previous: string | null, expiresMs: number): ResponseRow => ({
      id,
      team: 'red',
      model: 'm',
      previous_id: previous,
      status: 'completed',
      is_background: 0,
      created_ms: 1,
      expires_ms: expiresMs,
      error: null,
      body: '{}',
      input_items: '[]',
      messages: `["${id}"]`,
    })
    await insertResponse(db, row('a', null, 10))
    await insertResponse(db, row('b', 'a', 20))
    await insertResponse(db, row('c', 'b', 30))
    expect(await selectChain(db, { team: 'red', id: 'c' }, 2)).toEqual([
      { id: 'c', previous_id: 'b', messages: '["c"]' },
      { id: 'b', previous_id: 'a', messages: '["b"]' },
    ])
    expect(await selectChain(db, { team: 'blue', id: 'c' }, 2)).toEqual([])
    expect(await deleteExpiredResponses(db, 25)).toBe(0)
    expect(await deleteExpiredResponses(db, 30)).toBe(3)
  })

  test('keys are listed newest first with the limits of their team, and times of last use move forward only', async () => {
    const { db } = await open()
    const key = { kind: 'bearer', name: 'n', team: 'red', secret_hash: 'h', sealed_secret: null, scopes: '[]', models: null, limits: '{}' }
    const times = { expires_ms: null, revoked_ms: null, last_used_ms: null }
    await insertKey(db, { id: 'k1', ...key, created_ms: 1, ...times })
    await insertKey(db, { id: 'k2', ...key, created_ms: 2, ...times })
    await upsertTeam(db, { name: 'red', limits: '{"a":1}' })
    await upsertTeam(db, { name: 'red', limits: '{"a":2}' })
    await updateLastUsed(db, new Map([['k2', 7]]))
    await updateLastUsed(db, new Map([['k2', 5]]))
    const keys = await selectKeys(db, 10)
    expect(keys.map(({ id, team_limits, last_used_ms }) => [id, team_limits, last_used_ms])).toEqual([
      ['k2', '{"a":2}', 7],
      ['k1', '{"a":2}', null],
    ])
    expect(await selectTeams(db, 10)).toEqual([{ name: 'red', limits: '{"a":2}' }])
  })
})
