/** What a disk that is full, that was cut off in the middle of a write, or that has changed bytes makes of jobs. */
import { copyFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { sql } from 'kysely'
import { afterAll, expect, test } from 'vitest'
import { systemClock } from '#base/clock'
import { randomId, SeededRandom } from '#base/random'
import { InferdError } from '#contract/errors'
import type { JobOrder } from '#contract/job'
import { LOCAL_PRINCIPAL } from '#contract/principal'
import { StoredJobs } from '#platform/jobs/job-desk'
import { checkRow } from '#platform/jobs/job-machine'
import { JobNews } from '#platform/jobs/job-news'
import { JobStore } from './job-store.ts'
import { openStore, type Store } from './open-store.ts'

const NUM_CUTS = 24
const folder = mkdtempSync(path.join(tmpdir(), 'inferd-job-damage-'))

afterAll(() => rmSync(folder, { recursive: true, force: true }))

function deskOn(store: Store): StoredJobs {
  const bounds = { maxWaiting: 100_000, maxWaitingPerTeam: 100_000 }
  return new StoredJobs({ store: new JobStore(store.db), news: new JobNews(), bounds, clock: systemClock, newId: randomId })
}

function order(text = 'x'): JobOrder {
  return { kind: 'async', principal: LOCAL_PRINCIPAL, spec: { text }, labels: { a: 'b' }, ttlMs: 3_600_000, idempotency: null }
}

/** Throws when a row or a count is not as it must be. */
async function idsOf(store: Store): Promise<ReadonlySet<string>> {
  const rows = await store.db.selectFrom('job').selectAll().execute()
  rows.forEach(checkRow)
  const { total } = await store.db
    .selectFrom('job_line')
    .select(({ fn }) => fn.sum<number>('num_waiting').as('total'))
    .executeTakeFirstOrThrow()
  expect(total ?? 0).toBe(rows.length)
  expect((await sql<{ integrity_check: string }>`pragma integrity_check`.execute(store.db)).rows).toEqual([{ integrity_check: 'ok' }])
  return new Set(rows.map(({ id }) => id))
}

test('what is answered was synced: the store is in WAL mode with synchronous FULL', async () => {
  const store = await openStore({ file: path.join(folder, 'settings.sqlite') })
  expect((await sql`pragma synchronous`.execute(store.db)).rows).toEqual([{ synchronous: 2 }])
  expect((await sql`pragma journal_mode`.execute(store.db)).rows).toEqual([{ journal_mode: 'wal' }])
  await store.close()
})

test('on a full disk a job is refused and not there, reads go on, and room is used again without a restart', async () => {
  const store = await openStore({ file: path.join(folder, 'full.sqlite') })
  const desk = deskOn(store)
  const { rows } = await sql<{ page_count: number }>`pragma page_count`.execute(store.db)
  await sql.raw(`pragma max_page_count = ${rows[0]!.page_count + 60}`).execute(store.db)
  const accepted: string[] = []
  const refusals: string[] = []
  for (let count = 0; refusals.length < 20; count++) {
    await desk.submit(order('x'.repeat(20_000))).then(
      ({ id }) => accepted.push(id),
      (error: InferdError) => refusals.push(error.code),
    )
  }
  expect(new Set(refusals)).toEqual(new Set(['store_failed']))
  expect(accepted.length).toBeGreaterThan(2)
  expect(await desk.get(LOCAL_PRINCIPAL.team, accepted[0]!)).toMatchObject({ state: 'queued' })
  expect([...(await idsOf(store))].toSorted()).toEqual(accepted.toSorted())
  await sql`pragma max_page_count = 1000000`.execute(store.db)
  const { id } = await desk.submit(order())
  expect([...(await idsOf(store))].toSorted()).toEqual([...accepted, id].toSorted())
  await store.close()
})

test('whatever of the log was not synced yet is lost or torn: all that was acknowledged before is there, and nothing is half there', async () => {
  const file = path.join(folder, 'torn.sqlite')
  const store = await openStore({ file })
  const desk = deskOn(store)
  const random = new SeededRandom(3)
  /** How long the log was when each was acknowledged. */
  const acknowledged: { readonly id: string; readonly numBytes: number }[] = []
  for (let round = 0; round < 30; round++) {
    const jobs = await Promise.all(Array.from({ length: 1 + random.nextInt(4) }, () => desk.submit(order())))
    for (const { id } of jobs) acknowledged.push({ id, numBytes: statSync(`${file}-wal`).size })
  }
  const [main, log] = [readFileSync(file), readFileSync(`${file}-wal`)]
  await store.close()
  const first = acknowledged[0]!.numBytes
  for (let cut = 0; cut < NUM_CUTS; cut++) {
    const copy = path.join(folder, `torn-${cut}.sqlite`)
    const at = first - 3000 + random.nextInt(log.length - first + 3000)
    const isCut = cut % 2 === 0
    const bytes = isCut ? log.subarray(0, at) : Buffer.from(log)
    if (!isCut) bytes[at]! ^= 1 << random.nextInt(8)
    writeFileSync(copy, main)
    writeFileSync(`${copy}-wal`, bytes)
    const reopened = await openStore({ file: copy })
    const ids = await idsOf(reopened)
    const lost = acknowledged.filter(({ id, numBytes }) => numBytes <= at && !ids.has(id))
    expect(lost, `${isCut ? 'cut' : 'changed'} at ${at}`).toEqual([])
    await expect(deskOn(reopened).submit(order())).resolves.toMatchObject({ state: 'queued' })
    await reopened.close()
  }
})

test('a store that is damaged where it begins is refused at the start, and left as it is', async () => {
  const file = path.join(folder, 'head.sqlite')
  const store = await openStore({ file })
  await deskOn(store).submit(order())
  await store.close()
  const damaged = path.join(folder, 'damaged.sqlite')
  copyFileSync(file, damaged)
  const bytes = readFileSync(damaged)
  bytes.fill(0x2a, 0, 64)
  writeFileSync(damaged, bytes)
  await expect(openStore({ file: damaged })).rejects.toMatchObject({ code: 'store_failed' })
  expect(readFileSync(damaged).equals(bytes)).toBe(true)
})
