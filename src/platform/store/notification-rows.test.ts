/** Notifications that are still to be delivered, and the figures of a backlog, on both stores. */
import { expect, test } from 'vitest'
import { LOCAL_PRINCIPAL } from '#contract/principal'
import type { JobOrder } from '#contract/job'
import { newRow } from '#platform/jobs/job-view'
import { onEachStore } from '../../../tests/stores/each-store.ts'
import { selectBacklog } from './job-backlog.ts'
import { JobStore } from './job-store.ts'
import { deleteNotification, insertNotifications, moveNotification, type NotificationRow, selectNextNotifications } from './notification-rows.ts'

const BOUNDS = { maxWaiting: 100, maxWaitingPerTeam: 100 }

function rowOf(job_id: string, due_ms: number, topic = 'done'): NotificationRow {
  return { job_id, topic, team: 'red', created_ms: 1_700_000_000_000, due_ms, num_failures: 0 }
}

onEachStore(({ open, openTwice }) => {
  test('a notification is kept once for a job and a topic, and comes in the order of its time', async () => {
    const { db } = await open()
    await insertNotifications(db, [])
    await insertNotifications(db, [rowOf('b', 2_000_000_000_000), rowOf('a', 1_000), rowOf('a', 1_000, 'broken')])
    await insertNotifications(db, [rowOf('a', 5), rowOf('c', 3)])
    const rows = await selectNextNotifications(db, 10)
    expect(rows.map(({ job_id, topic, due_ms }) => [job_id, topic, due_ms])).toEqual([
      ['c', 'done', 3],
      ['a', 'broken', 1_000],
      ['a', 'done', 1_000],
      ['b', 'done', 2_000_000_000_000],
    ])
    expect(await selectNextNotifications(db, 1)).toHaveLength(1)
    await deleteNotification(db, { job_id: 'a', topic: 'done' })
    expect(await selectNextNotifications(db, 10)).toHaveLength(3)
  })

  test('of two processes that want to deliver one, one has it', async () => {
    const [first, second] = await openTwice()
    await insertNotifications(first.db, [rowOf('a', 1)])
    const changes = { due_ms: 60_001, num_failures: 0 }
    const taken = await Promise.all([first, second].map(({ db }) => moveNotification(db, rowOf('a', 1), changes)))
    expect(taken.toSorted()).toEqual([false, true])
    expect(await selectNextNotifications(second.db, 10)).toMatchObject([changes])
  })

  test('a backlog is counted by lane, with the age of its oldest; other kinds and empty lanes are not in it', async () => {
    const { db } = await open()
    const store = new JobStore(db)
    const orderOf = (kind: JobOrder['kind'], lane: string, team: string): JobOrder => ({
      kind,
      principal: { ...LOCAL_PRINCIPAL, team },
      spec: {},
      labels: {},
      lane,
      ttlMs: 1e6,
      idempotency: null,
    })
    const jobs = [
      newRow('1', orderOf('async', 'chat', 'red'), 2000),
      newRow('2', orderOf('async', 'chat', 'blue'), 1000),
      newRow('3', orderOf('async', 'chat', 'red'), 3000),
      newRow('4', orderOf('async', 'code', 'red'), 4000),
      newRow('5', orderOf('batch', 'chat', 'red'), 1),
    ]
    await store.submit(
      jobs.map((row) => ({ row, labels: {} })),
      BOUNDS,
    )
    expect(await selectBacklog(db, 'async')).toEqual([
      { lane: 'chat', numWaiting: 3, oldestMs: 1000 },
      { lane: 'code', numWaiting: 1, oldestMs: 4000 },
    ])
    expect(await selectBacklog(db, 'transform')).toEqual([])
  })
})
