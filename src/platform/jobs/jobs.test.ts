/** Desk and runner over both stores: what callers see of a job, and what a handler may rely on. */
import { afterEach, expect, test } from 'vitest'
import { systemClock } from '#base/clock'
import { randomId, SeededRandom } from '#base/random'
import { InferdError } from '#contract/errors'
import type { Job, JobOrder } from '#contract/job'
import { LOCAL_PRINCIPAL, type Principal } from '#contract/principal'
import { JobRecordStore } from '#platform/store/job-record-store'
import { JobStore } from '#platform/store/job-store'
import type { Store } from '#platform/store/open-store'
import { onEachStore } from '../../../tests/stores/each-store.ts'
import { StoredJobs } from './job-desk.ts'
import type { JobEnding, JobHandler } from './job-handler.ts'
import { JobNews } from './job-news.ts'
import { JobRunner } from './job-runner.ts'
import { DEFAULT_JOB_RUNNER_OPTIONS } from './runner-parts.ts'

const DONE: JobEnding = { state: 'succeeded', counts: { total: 1, succeeded: 1, failed: 0 }, result: { at: 's3://x/y' }, error: null }
const NEVER = new AbortController().signal
const BOUNDS = { maxWaiting: 1000, maxWaitingPerTeam: 1000 }
const OPTIONS = { ...DEFAULT_JOB_RUNNER_OPTIONS, minBackoffMs: 5, maxBackoffMs: 20, lookMs: 20, beatMs: 40, leaseMs: 60_000 }

function team(name: string): Principal {
  return { ...LOCAL_PRINCIPAL, team: name }
}

function order(more: Partial<JobOrder> = {}): JobOrder {
  return { kind: 'async', principal: LOCAL_PRINCIPAL, spec: { say: 'hello' }, labels: {}, ttlMs: 3_600_000, idempotency: null, ...more }
}

interface Work {
  readonly run?: JobHandler['run']
  readonly abandon?: JobHandler['abandon']
  readonly maxRunning?: number
  readonly maxRunningIn?: (lane: string) => number
}

interface PlaceTerms {
  readonly bounds?: typeof BOUNDS
  readonly holder?: string
  readonly leaseMs?: number
  /** What was told to the operator. */
  readonly complaints?: unknown[]
}

interface Place {
  readonly desk: StoredJobs
  readonly runner: JobRunner
}

const running: JobRunner[] = []
afterEach(async () => {
  await Promise.all(running.splice(0).map((runner) => runner.drain(1000)))
})

/** As one process has them. */
function placeOn(
  store: Store,
  work: Work | null,
  { bounds = BOUNDS, holder = 'holder', leaseMs = OPTIONS.leaseMs, complaints = [] }: PlaceTerms = {},
): Place {
  const jobs = new JobStore(store.db)
  const news = new JobNews()
  const desk = new StoredJobs({ store: jobs, news, bounds, clock: systemClock, newId: randomId })
  const { run = async () => DONE, abandon = async () => null, maxRunning = 4, maxRunningIn } = work ?? {}
  const handler: JobHandler = { kind: 'async', maxRunning, run, abandon, ...(maxRunningIn === undefined ? {} : { maxRunningIn }) }
  const runner = new JobRunner({
    store: jobs,
    news,
    handlers: [handler],
    newHolderId: () => randomId(holder),
    isGone: () => false,
    clock: systemClock,
    random: new SeededRandom(1),
    log: { info: () => {}, warn: (fields) => void complaints.push(fields), error: (fields) => void complaints.push(fields) },
    options: { ...OPTIONS, leaseMs },
  })
  if (work !== null) {
    runner.start()
    running.push(runner)
  }
  return { desk, runner }
}

async function endOf(desk: StoredJobs, { id, principal }: Pick<Job, 'id' | 'principal'>): Promise<Job> {
  let last: Job | null = null
  for await (const job of desk.follow(principal.team, id, AbortSignal.timeout(10_000))) last = job
  return last!
}

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

  test('a lane that is full, or has no room at all, holds up no other lane; teams of a lane take turns', async () => {
    const begun: string[] = []
    const gate = Promise.withResolvers<void>()
    const store = await open()
    const { desk: before } = placeOn(store, null)
    const all: Job[] = []
    for (const [lane, name] of [
      ['asleep', 'a'],
      ['busy', 'a'],
      ['busy', 'a'],
      ['busy', 'a'],
      ['busy', 'b'],
      ['free', 'a'],
    ] as const) {
      all.push(await before.submit(order({ lane, principal: team(name), spec: { say: `${lane} ${name}` } })))
    }
    const { desk } = placeOn(store, {
      maxRunning: 10,
      maxRunningIn: (lane) => ({ asleep: 0, busy: 2 })[lane] ?? 10,
      run: async (job) => {
        begun.push(job.spec['say'] as string)
        if (job.lane === 'busy') await gate.promise
        return DONE
      },
    })
    await endOf(desk, all[5]!)
    expect(begun.toSorted()).toEqual(['busy a', 'busy b', 'free a'])
    gate.resolve()
    for (const job of all.slice(1)) await endOf(desk, job)
    expect(await desk.get('a', all[0]!.id)).toMatchObject({ state: 'queued' })
  })

  test('a drain gives running jobs back at once without losing an attempt, also one whose work does not listen', async () => {
    const store = await open()
    const begun = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    let late: Promise<unknown> = Promise.resolve()
    const { desk, runner } = placeOn(store, {
      run: async (job, { signal, records }) => {
        if (job.spec['say'] === 'deaf') {
          begun[0]!.resolve()
          await systemClock.sleep(300)
          late = records.put({ index: 0, isOk: true, line: 'late' })
          late.catch(() => {})
          return DONE
        }
        begun[1]!.resolve()
        return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))
      },
    })
    const deaf = await desk.submit(order({ spec: { say: 'deaf' } }))
    const polite = await desk.submit(order())
    await Promise.all(begun.map(({ promise }) => promise))
    await runner.drain(50)
    for (const { id } of [deaf, polite])
      expect(await desk.get(LOCAL_PRINCIPAL.team, id)).toMatchObject({ attempt: 1, endedMs: null, state: 'running' })
    await systemClock.sleep(300)
    await expect(late).rejects.toMatchObject({ code: 'conflict' })
    const { desk: next } = placeOn(store, {})
    for (const job of [deaf, polite]) expect(await endOf(next, job)).toMatchObject({ state: 'succeeded', attempt: 2 })
  })

  test('what another process holds is taken over when that one is silent for a lease, and its late writes are refused', async () => {
    const [first, second] = await openTwice()
    const begun = Promise.withResolvers<void>()
    const resume = Promise.withResolvers<void>()
    const over = Promise.withResolvers<unknown>()
    const silent = placeOn(first, {
      run: async (_job, { records }) => {
        begun.resolve()
        await resume.promise
        await records.put({ index: 0, isOk: true, line: 'of the dead' }).then(over.resolve, over.resolve)
        return { ...DONE, result: { by: 'the dead' } }
      },
    })
    const job = await silent.desk.submit(order())
    await begun.promise
    // It stops giving signs of life.
    silent.runner['beat'] = async () => {}
    const { desk } = placeOn(second, { run: async () => ({ ...DONE, result: { by: 'the living' } }) }, { leaseMs: 400 })
    const ended = await endOf(desk, job)
    expect(ended).toMatchObject({ state: 'succeeded', attempt: 2, result: { by: 'the living' } })
    resume.resolve()
    expect(await over.promise).toMatchObject({ code: 'conflict' })
    await systemClock.sleep(50)
    expect(await desk.get(LOCAL_PRINCIPAL.team, job.id)).toEqual(ended)
  })

  test('two processes share the work: each job is run once, and no store complains', async () => {
    const ran: string[] = []
    const complaints: unknown[] = []
    const run: JobHandler['run'] = async (job) => {
      ran.push(job.id)
      await systemClock.sleep(2)
      return DONE
    }
    const stores = await openTwice()
    const places = stores.map((store, index) => placeOn(store, { run, maxRunning: 8 }, { holder: `holder-${index}-`, complaints }))
    const jobs = await Promise.all(
      Array.from({ length: 200 }, (_, index) =>
        places[index % 2]!.desk.submit(order({ lane: `lane-${index % 5}`, principal: team(`team-${index % 3}`) })),
      ),
    )
    for (const job of jobs) expect(await endOf(places[0]!.desk, job)).toMatchObject({ state: 'succeeded', attempt: 1 })
    expect(ran.toSorted()).toEqual(jobs.map(({ id }) => id).toSorted())
    expect(complaints).toEqual([])
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
