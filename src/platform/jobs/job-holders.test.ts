/** Lanes, drains, and several processes on one store, over both stores. */
import { expect, test } from 'vitest'
import { systemClock } from '#base/clock'
import type { Job } from '#contract/job'
import { LOCAL_PRINCIPAL } from '#contract/principal'
import { DONE, endOf, order, placeOn, team } from '../../../tests/jobs/job-place.ts'
import { onEachStore } from '../../../tests/stores/each-store.ts'
import type { JobHandler } from './job-handler.ts'

onEachStore(({ open, openTwice }) => {
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
})
