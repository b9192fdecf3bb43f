/** Desk and runner over both stores: what callers see of a job. */
import { expect, test } from 'vitest'
import { systemClock } from '#base/clock'
import { InferdError } from '#contract/errors'
import type { Job } from '#contract/job'
import { LOCAL_PRINCIPAL } from '#contract/principal'
import { DONE, endOf, order, placeOn, team } from '../../../tests/jobs/job-place.ts'
import { onEachStore } from '../../../tests/stores/each-store.ts'

const NEVER = new AbortController().signal

onEachStore(({ open, openTwice }) => {
  test('a job is queued, runs once, and shows what came of it', async () => {
    const seen: Job[] = []
    const { desk } = placeOn(await open(), {
      run: async (job) => {
        seen.push(job)
        return DONE
      },
    })
    const accepted = await desk.submit(order({ labels: { endpoint: 'a' }, lane: 'a' }))
    expect(accepted).toMatchObject({
      state: 'queued',
      attempt: 0,
      lane: 'a',
      labels: { endpoint: 'a' },
      counts: { total: null, succeeded: 0, failed: 0 },
    })
    const ended = await endOf(desk, accepted)
    expect(ended).toMatchObject({ state: 'succeeded', attempt: 1, counts: DONE.counts, result: DONE.result, error: null })
    expect(seen).toHaveLength(1)
    expect(seen[0]).toMatchObject({ id: accepted.id, spec: { say: 'hello' }, state: 'running', attempt: 1 })
  })

  test('one idempotency key is one job for its team, whenever it comes; with other words it is a conflict', async () => {
    const { desk } = placeOn(await open(), null)
    const keyed = order({ idempotency: { key: 'k', digest: 'd' } })
    const together = await Promise.all([desk.submit(keyed), desk.submit(keyed), desk.submit(keyed)])
    const later = await desk.submit(keyed)
    expect(new Set([...together, later].map(({ id }) => id)).size).toBe(1)
    await expect(desk.submit({ ...keyed, idempotency: { key: 'k', digest: 'other' } })).rejects.toMatchObject({ code: 'conflict' })
    const other = await desk.submit({ ...keyed, principal: team('other') })
    expect(other.id).not.toBe(later.id)
    expect(await desk.list({ team: LOCAL_PRINCIPAL.team, kind: 'async', labels: {}, afterId: null, limit: 10 })).toHaveLength(1)
  })

  test('one idempotency key is one job when two processes are asked at once', async () => {
    const [first, second] = await openTwice()
    const keyed = order({ idempotency: { key: 'k', digest: 'd' } })
    const desks = [placeOn(first, null).desk, placeOn(second, null).desk]
    const jobs = await Promise.all(Array.from({ length: 20 }, (_, index) => desks[index % 2]!.submit(keyed)))
    expect(new Set(jobs.map(({ id }) => id)).size).toBe(1)
  })

  test('what waits is bounded, for a team and in all; what is refused is not there', async () => {
    const { desk } = placeOn(await open(), null, { bounds: { maxWaiting: 5, maxWaitingPerTeam: 3 } })
    const ask = (name: string, count: number): Promise<readonly string[]> =>
      Promise.all(
        Array.from({ length: count }, () =>
          desk.submit(order({ principal: team(name) })).then(
            () => 'made',
            (error: InferdError) => `${error.code}: ${error.message}`,
          ),
        ),
      )
    const teamFull = 'overloaded: too many jobs of this team wait'
    const allFull = 'overloaded: too many jobs wait on this server'
    expect(await ask('a', 4)).toEqual(['made', 'made', 'made', teamFull])
    expect(await ask('b', 3)).toEqual(['made', 'made', allFull])
    expect(await ask('c', 1)).toEqual([allFull])
    expect(await desk.list({ team: 'a', kind: 'async', labels: {}, afterId: null, limit: 10 })).toHaveLength(3)
  })

  test('another team sees no job, cancels none and removes none', async () => {
    const { desk } = placeOn(await open(), null)
    const { id } = await desk.submit(order())
    expect(await desk.get('other', id)).toBeNull()
    expect(await desk.cancel('other', id)).toBeNull()
    expect(await desk.remove('other', id)).toBe(false)
    expect(await desk.list({ team: 'other', kind: 'async', labels: {}, afterId: null, limit: 10 })).toEqual([])
    expect(await desk.get(LOCAL_PRINCIPAL.team, id)).toMatchObject({ state: 'queued', cancelRequestedMs: null })
  })

  test('jobs are listed newest first, page by page, by label, and a removed one not at all', async () => {
    const { desk } = placeOn(await open(), {})
    const made: Job[] = []
    for (let index = 0; index < 6; index++) {
      made.push(await desk.submit(order({ labels: { parity: index % 2 === 0 ? 'even' : 'odd', third: String(index % 3) } })))
      await systemClock.sleep(2)
    }
    const ids = async (labels: Record<string, string>, afterId: string | null, limit: number): Promise<readonly string[]> =>
      (await desk.list({ team: LOCAL_PRINCIPAL.team, kind: 'async', labels, afterId, limit })).map(({ id }) => id)
    const newest = made.map(({ id }) => id).toReversed()
    expect(await ids({}, null, 4)).toEqual(newest.slice(0, 4))
    expect(await ids({}, newest[3]!, 4)).toEqual(newest.slice(4))
    expect(await ids({ parity: 'even' }, null, 10)).toEqual([newest[1], newest[3], newest[5]])
    expect(await ids({ parity: 'even' }, newest[1]!, 1)).toEqual([newest[3]])
    expect(await ids({ parity: 'odd', third: '0' }, null, 10)).toEqual([newest[2]])
    expect(await ids({ parity: 'neither' }, null, 10)).toEqual([])
    expect(await ids({}, 'nobody', 10)).toEqual([])
    await endOf(desk, made[2]!)
    expect(await desk.remove(LOCAL_PRINCIPAL.team, made[2]!.id)).toBe(true)
    expect(await desk.remove(LOCAL_PRINCIPAL.team, made[2]!.id)).toBe(false)
    expect(await ids({ parity: 'even' }, null, 10)).toEqual([newest[1], newest[5]])
  })

  test('a job that has not ended is not removed', async () => {
    const { desk } = placeOn(await open(), null)
    const { id } = await desk.submit(order())
    await expect(desk.remove(LOCAL_PRINCIPAL.team, id)).rejects.toMatchObject({ code: 'conflict' })
  })

  test('followers hear of every change until the end, and stop when they are told', async () => {
    const gate = Promise.withResolvers<void>()
    const { desk } = placeOn(await open(), {
      run: async (_job, { note }) => {
        note({ total: 3, succeeded: 1, failed: 0 })
        await gate.promise
        return DONE
      },
    })
    const job = await desk.submit(order())
    const states: string[] = []
    for await (const { state, counts } of desk.follow(LOCAL_PRINCIPAL.team, job.id, NEVER)) {
      states.push(`${state} ${counts.succeeded}/${counts.total ?? '?'}`)
      if (counts.total === 3) gate.resolve()
    }
    expect(states.slice(-2)).toEqual(['running 1/3', 'succeeded 1/1'])
    const controller = new AbortController()
    const waiting = await desk.submit(order({ kind: 'batch' }))
    const followed = desk.follow(LOCAL_PRINCIPAL.team, waiting.id, controller.signal)
    expect((await followed.next()).value).toMatchObject({ state: 'queued' })
    const next = followed.next()
    controller.abort(new InferdError('cancelled', 'gone'))
    await expect(next).rejects.toMatchObject({ code: 'cancelled' })
    expect((await desk.follow('nobody', waiting.id, NEVER).next()).done).toBe(true)
  })

  test('an order that is too large, or has texts that not every store keeps, is refused by itself', async () => {
    const { desk } = placeOn(await open(), null)
    const good = desk.submit(order())
    await expect(desk.submit(order({ spec: { text: 'x'.repeat(300_000) } }))).rejects.toMatchObject({ code: 'payload_too_large' })
    await expect(desk.submit(order({ labels: { zero: 'a\0b' } }))).rejects.toMatchObject({ code: 'invalid_parameter' })
    await expect(desk.submit(order({ idempotency: { key: '\ud800', digest: '' } }))).rejects.toMatchObject({ code: 'invalid_parameter' })
    await expect(desk.submit(order({ idempotency: { key: 'k'.repeat(600), digest: '' } }))).rejects.toMatchObject({ code: 'invalid_parameter' })
    await expect(desk.submit(order({ spec: { text: 'a\0b \ud800' } }))).resolves.toMatchObject({ state: 'queued' })
    await expect(desk.submit(order({ id: (await good).id }))).rejects.toMatchObject({ code: 'conflict' })
  })
})
