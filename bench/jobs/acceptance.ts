/**
 * `npm run bench -- jobs [SECONDS WAITING]`: jobs accepted a second, each on the disk before it is answered, by callers at a time; then what
 * a submission and a claim cost when the line is empty and when WAITING jobs are in it.
 */
import { closeSync, fsyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { systemClock } from '#base/clock'
import { randomId, SeededRandom } from '#base/random'
import type { JobOrder } from '#contract/job'
import { LOCAL_PRINCIPAL } from '#contract/principal'
import { chooseJobs } from '#platform/jobs/choose-jobs'
import { StoredJobs } from '#platform/jobs/job-desk'
import type { JobEnding, JobHandler } from '#platform/jobs/job-handler'
import { claim } from '#platform/jobs/job-machine'
import { JobNews } from '#platform/jobs/job-news'
import { JobRunner } from '#platform/jobs/job-runner'
import { newRow } from '#platform/jobs/job-view'
import { JobStore, MAX_JOBS_PER_INSERT } from '#platform/store/job-store'
import { openStore } from '#platform/store/open-store'
import { emit, recordOf } from '../record.ts'

const [seconds = 5, numWaiting = 1_000_000] = process.argv.slice(2).map(Number)
const CALLERS = [1, 16, 64, 256]
const ROUNDS = 200
const NUM_RUNS = 5000
const CLAIMED_AT_A_TIME = 16
const BOUNDS = { maxWaiting: 100_000_000, maxWaitingPerTeam: 100_000_000 }
const ORDER: JobOrder = {
  kind: 'async',
  principal: LOCAL_PRINCIPAL,
  lane: 'endpoint',
  spec: { inputUri: 's3://inferd-local/in/0123456789', outputUri: 's3://inferd-local/out/0123456789', contentType: 'application/json' },
  labels: { endpoint: 'endpoint' },
  ttlMs: 3_600_000,
  idempotency: null,
}

const folder = mkdtempSync(path.join(tmpdir(), 'inferd-jobs-'))
try {
  print('fsync', 'p50', 'ms', medianOf(syncTimes()))
  await measureAcceptance()
  await measureRuns()
  await measureQueue()
} finally {
  rmSync(folder, { recursive: true, force: true })
}

async function measureAcceptance(): Promise<void> {
  for (const callers of CALLERS) {
    const store = await openStore({ file: path.join(folder, `accept-${callers}.sqlite`) })
    const desk = deskOn(new JobStore(store.db))
    const untilMs = systemClock.nowMs() + seconds * 1000
    const waits: number[] = []
    const call = async (): Promise<void> => {
      while (systemClock.nowMs() < untilMs) {
        const startMs = systemClock.nowMs()
        // As each request has its own key.
        await desk.submit({ ...ORDER, idempotency: { key: randomId('key'), digest: 'digest' } })
        waits.push(systemClock.nowMs() - startMs)
      }
    }
    await Promise.all(Array.from({ length: callers }, call))
    const sorted = waits.toSorted((a, b) => a - b)
    const name = `${callers} callers`
    print(name, 'acceptances', '1/s', waits.length / seconds)
    print(name, 'p50', 'ms', sorted[Math.floor(sorted.length / 2)] ?? 0)
    print(name, 'p99', 'ms', sorted[Math.floor(sorted.length * 0.99)] ?? 0)
    await store.close()
  }
}

/** From the line to the end: work that does nothing, so that what is measured is ours. */
async function measureRuns(): Promise<void> {
  const store = await openStore({ file: path.join(folder, 'runs.sqlite') })
  const news = new JobNews()
  const jobs = new JobStore(store.db)
  const desk = new StoredJobs({ store: jobs, news, bounds: BOUNDS, clock: systemClock, newId: randomId })
  await Promise.all(Array.from({ length: NUM_RUNS }, () => desk.submit(ORDER)))
  const ended = Promise.withResolvers<void>()
  let numEnded = 0
  const run = async (): Promise<JobEnding> => {
    if (++numEnded === NUM_RUNS) ended.resolve()
    return { state: 'succeeded', counts: { total: 1, succeeded: 1, failed: 0 }, result: null, error: null }
  }
  const handler: JobHandler = { kind: 'async', maxRunning: 64, run, abandon: async () => null }
  const log = { info: () => {}, warn: () => {}, error: () => {} }
  const newHolderId = (): string => randomId('bench')
  const runner = new JobRunner({
    store: jobs,
    news,
    handlers: [handler],
    newHolderId,
    isGone: () => false,
    clock: systemClock,
    random: new SeededRandom(1),
    log,
  })
  const startMs = systemClock.nowMs()
  runner.start()
  await ended.promise
  await runner.drain(5000)
  print(`${handler.maxRunning} run at a time`, 'claimed, run and ended', '1/s', NUM_RUNS / ((systemClock.nowMs() - startMs) / 1000))
  await store.close()
}

async function measureQueue(): Promise<void> {
  const store = await openStore({ file: path.join(folder, 'queue.sqlite') })
  const jobs = new JobStore(store.db)
  await jobs.addHolder('bench')
  await measureSteps(jobs, 'empty line')
  const startMs = systemClock.nowMs()
  for (let count = 0; count < numWaiting; count += MAX_JOBS_PER_INSERT) {
    const group = Array.from({ length: MAX_JOBS_PER_INSERT }, () => ({
      row: newRow(randomId('job'), ORDER, systemClock.wallMs()),
      labels: ORDER.labels,
    }))
    await jobs.submit(group, BOUNDS)
  }
  print(`to ${numWaiting} waiting`, 'filled', '1/s', numWaiting / ((systemClock.nowMs() - startMs) / 1000))
  await measureSteps(jobs, `${numWaiting} waiting`)
  await store.close()
}

/** One submission, then a claim of several: chosen, written, given back to nobody. */
async function measureSteps(jobs: JobStore, name: string): Promise<void> {
  const desk = deskOn(jobs)
  const submits: number[] = []
  const claims: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    submits.push(await timeOf(() => Promise.all(Array.from({ length: CLAIMED_AT_A_TIME }, () => desk.submit(ORDER)))))
    claims.push(
      await timeOf(async () => {
        const nowMs = systemClock.wallMs()
        const room = { kind: 'async', numFree: CLAIMED_AT_A_TIME, numFreeIn: () => CLAIMED_AT_A_TIME } as const
        const rows = await chooseJobs(jobs, room, { nowMs, maxDelayMs: 60_000 })
        await jobs.apply(
          rows.map((row) => claim(row, 'bench', nowMs)),
          'bench',
        )
      }),
    )
  }
  print(name, `submission of ${CLAIMED_AT_A_TIME} p50`, 'ms', medianOf(submits))
  print(name, `claim of ${CLAIMED_AT_A_TIME} p50`, 'ms', medianOf(claims))
}

function deskOn(store: JobStore): StoredJobs {
  return new StoredJobs({ store, news: new JobNews(), bounds: BOUNDS, clock: systemClock, newId: randomId })
}

async function timeOf(work: () => Promise<unknown>): Promise<number> {
  const startMs = systemClock.nowMs()
  await work()
  return systemClock.nowMs() - startMs
}

/** What the disk itself takes for 4 KiB. */
function syncTimes(): readonly number[] {
  const descriptor = openSync(path.join(folder, 'sync'), 'w')
  const page = Buffer.alloc(4096)
  const times = Array.from({ length: ROUNDS }, () => {
    const startMs = systemClock.nowMs()
    writeSync(descriptor, page)
    fsyncSync(descriptor)
    return systemClock.nowMs() - startMs
  })
  closeSync(descriptor)
  return times
}

function medianOf(times: readonly number[]): number {
  return times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)] ?? 0
}

function print(name: string, metric: string, unit: string, value: number): void {
  emit(recordOf({ suite: 'jobs', case: name, metric, unit }, [value]))
}
