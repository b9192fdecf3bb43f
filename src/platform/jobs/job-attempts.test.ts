/** Attempts, outcomes and ends over both stores: what a handler may rely on, and how a job ends that does not end by itself. */
import { expect, test } from 'vitest'
import { systemClock } from '#base/clock'
import { InferdError } from '#contract/errors'
import { LOCAL_PRINCIPAL } from '#contract/principal'
import { JobRecordStore, type RecordVerdict } from '#platform/store/job-record-store'
import type { JobRow } from '#platform/store/job-rows'
import { JobStore } from '#platform/store/job-store'
import { DONE, OPTIONS, endOf, order, placeOn } from '../../../tests/jobs/job-place.ts'
import { onEachStore } from '../../../tests/stores/each-store.ts'
import { claim, orphan } from './job-machine.ts'

onEachStore(({ open }) => {
  test('outcomes of records are kept over attempts: the first of an index stays, and finished ones are not repeated', async () => {
    const attempts: (readonly number[])[] = []
    const { desk } = placeOn(await open(), {
      run: async (job, { records }) => {
        const finished: number[] = []
        for await (const { index } of records.finished()) finished.push(index)
        attempts.push(finished)
        for (const index of [2, 0, 1]) await records.put({ index, isOk: index !== 1, line: `${index} by ${job.attempt}` })
        if (job.attempt < 3) throw new InferdError('upstream_failed', 'not yet')
        const lines: string[] = []
        for await (const { line, isOk } of records.read()) lines.push(`${line} ${isOk}`)
        return { ...DONE, result: { lines } }
      },
    })
    const ended = await endOf(desk, await desk.submit(order()))
    expect(attempts).toEqual([[], [0, 1, 2], [0, 1, 2]])
    expect(ended).toMatchObject({ state: 'succeeded', attempt: 3, result: { lines: ['0 by 1 true', '1 by 1 false', '2 by 1 true'] } })
  })

  test('outcomes of many megabytes are read a few at a time, and all of them', async () => {
    const lengths = [10, 3, 5, 1, 0, 9].map((megabytes) => megabytes * 2 ** 20)
    const jobs = await open()
    const pages: number[] = []
    const { desk } = placeOn(jobs, {
      run: async ({ id }, { records }) => {
        for (const [index, length] of lengths.entries()) await records.put({ index, isOk: true, line: 'é'.repeat(length) })
        const read: number[] = []
        for await (const { line } of records.read()) read.push(line.length)
        const store = new JobRecordStore(jobs.db)
        for (let page = await store.read({ jobId: id, afterIndex: -1, limit: 64 }); page.length > 0;) {
          pages.push(page.length)
          page = await store.read({ jobId: id, afterIndex: page.at(-1)!.record_index, limit: 64 })
        }
        return { ...DONE, result: { read } }
      },
    })
    const ended = await endOf(desk, await desk.submit(order()))
    expect(ended.result).toEqual({ read: lengths })
    expect(pages).toEqual([1, 2, 2, 1])
  })

  test('a job that goes wrong at every attempt fails with the last reason, told of once, and its neighbours finish', async () => {
    const told: string[] = []
    const { desk } = placeOn(await open(), {
      run: async (job) => {
        if (job.spec['say'] === 'poison') throw new InferdError('replica_lost', `attempt ${job.attempt}`)
        return DONE
      },
      abandon: async (job, error) => {
        told.push(`${job.spec['say'] as string}: ${error.code}`)
        return { failure: 's3://x/z' }
      },
    })
    const poison = await desk.submit(order({ spec: { say: 'poison' } }))
    const neighbours = await Promise.all(Array.from({ length: 5 }, () => desk.submit(order())))
    expect(await endOf(desk, poison)).toMatchObject({
      state: 'failed',
      error: { code: 'replica_lost', message: `attempt ${OPTIONS.maxFaults}` },
      result: { failure: 's3://x/z' },
    })
    for (const job of neighbours) expect(await endOf(desk, job)).toMatchObject({ state: 'succeeded', attempt: 1 })
    expect(told).toEqual(['poison: replica_lost'])
  })

  test('attempts that went wrong count no more once another outcome was kept: a batch that gets on is never given up', async () => {
    const store = await open()
    const NUM_RECORDS = 3 * OPTIONS.maxFaults
    const { desk } = placeOn(store, {
      run: async (job, { records }) => {
        const finished = await Array.fromAsync(records.finished())
        // Every second attempt gets on by one; what is kept already is no progress.
        await records.put({ index: 0, isOk: true, line: '0' })
        if (job.attempt % 2 === 1 && finished.length < NUM_RECORDS) await records.put({ index: finished.length, isOk: true, line: 'x' })
        if (finished.length < NUM_RECORDS) throw new InferdError('replica_lost', `attempt ${job.attempt}`)
        return DONE
      },
    })
    const ended = await endOf(desk, await desk.submit(order()))
    expect(ended.state).toBe('succeeded')
    expect(ended.attempt).toBeGreaterThan(NUM_RECORDS)
  })

  test('the same holds for holders that die: what they kept is counted for the next one', async () => {
    const store = await open()
    const jobs = new JobStore(store.db)
    const desk = placeOn(store, null).desk
    const { id } = await desk.submit(order())
    const faultTerms = { maxFaults: 2, backoffMs: 0, nowMs: 0 }
    const row = async (): Promise<JobRow> => (await jobs.find(id))!
    const liveAndDie = async (attempt: number, index: number): Promise<RecordVerdict | undefined> => {
      const holder = `holder-${attempt}`
      await jobs.addHolder(holder)
      expect(await jobs.apply([claim(await row(), holder, 0)], holder)).toEqual([true])
      const line = { job_id: id, record_index: index, is_ok: 1, line: 'x' }
      const [verdict] = await jobs.records.put([{ holder: { id, attempt }, row: line }])
      await jobs.dropHolder(holder, null)
      await jobs.apply([orphan(await row(), faultTerms)])
      return verdict
    }
    for (let attempt = 1; attempt <= 6; attempt++) {
      expect(await liveAndDie(attempt, attempt)).toBe('new')
      expect(await row()).toMatchObject({ phase: 'waiting', num_faults: 1 })
    }
    expect(await liveAndDie(7, 6)).toBe('known')
    expect(await row()).toMatchObject({ phase: 'doomed', verdict: 'failed' })
    expect(await jobs.records.put([{ holder: { id, attempt: 7 }, row: { job_id: id, record_index: 9, is_ok: 1, line: 'x' } }])).toEqual(['lost'])
  })

  test('what has expired in line never runs, and is told of', async () => {
    const ran: string[] = []
    const told: string[] = []
    const store = await open()
    const { desk } = placeOn(store, null)
    const late = await desk.submit(order({ ttlMs: 1 }))
    const unbegun = await desk.submit(order({ startWithinMs: 1 }))
    const good = await desk.submit(order())
    await systemClock.sleep(5)
    const { desk: other } = placeOn(store, {
      run: async (job) => {
        ran.push(job.id)
        return DONE
      },
      abandon: async (job) => {
        told.push(job.id)
        return null
      },
    })
    const message = 'the job expired before it was begun'
    expect(await endOf(other, late)).toMatchObject({ state: 'expired', startedMs: null, error: { code: 'deadline_exceeded', message } })
    expect(await endOf(other, unbegun)).toMatchObject({ state: 'expired', startedMs: null })
    expect(await endOf(other, good)).toMatchObject({ state: 'succeeded' })
    expect(ran).toEqual([good.id])
    expect(told.toSorted()).toEqual([late.id, unbegun.id].toSorted())
  })

  test('a job that is running when it expires is told to stop', async () => {
    const { desk } = placeOn(await open(), {
      run: (_job, { signal }) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error))),
    })
    const ended = await endOf(desk, await desk.submit(order({ ttlMs: 100 })))
    expect(ended).toMatchObject({ state: 'expired', error: { code: 'deadline_exceeded', message: 'the job expired before it ended' } })
    expect(ended.startedMs).not.toBeNull()
  })

  test('cancel is the same in every state, as often as it comes', async () => {
    const begun = Promise.withResolvers<void>()
    const told: string[] = []
    const { desk } = placeOn(await open(), {
      maxRunning: 1,
      run: (job, { signal }) => {
        if (job.spec['say'] === 'quick') return Promise.resolve(DONE)
        begun.resolve()
        return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))
      },
      abandon: async (job, error) => {
        told.push(`${job.id} ${error.code}`)
        return { partial: true }
      },
    })
    const done = await desk.submit(order({ spec: { say: 'quick' } }))
    const finished = await endOf(desk, done)
    const held = await desk.submit(order())
    await begun.promise
    const queued = await desk.submit(order())
    const mine = LOCAL_PRINCIPAL.team
    expect(await desk.cancel(mine, done.id)).toEqual(finished)
    const asked = await Promise.all([
      desk.cancel(mine, queued.id),
      desk.cancel(mine, queued.id),
      desk.cancel(mine, held.id),
      desk.cancel(mine, held.id),
    ])
    for (const job of asked) expect(job?.cancelRequestedMs).not.toBeNull()
    for (const job of [queued, held]) {
      const ended = await endOf(desk, job)
      expect(ended).toMatchObject({ state: 'cancelled', result: { partial: true }, error: { code: 'cancelled' } })
      expect(await desk.cancel(mine, job.id)).toEqual(ended)
    }
    expect((await desk.get(mine, queued.id))?.startedMs).toBeNull()
    expect(told.toSorted()).toEqual([`${held.id} cancelled`, `${queued.id} cancelled`].toSorted())
    expect(await desk.cancel(mine, 'nobody')).toBeNull()
  })
})
