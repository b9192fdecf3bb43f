/**
 * A process with desk and runner on the store of a folder, for the test that kills it: `job-process.ts FOLDER fill|look|finish`. It says what
 * was acknowledged, one line each, after it was; what has ended, when it starts and looks; and, when it only finishes, everything at the end.
 */
import { closeSync, existsSync, fsyncSync, linkSync, mkdirSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { flushCompileCache } from 'node:module'
import path from 'node:path'
import { systemClock } from '#base/clock'
import { randomId, randomSeed, SeededRandom } from '#base/random'
import { jobsSection } from '#config/platform-file/jobs'
import type { Job, JobOrder } from '#contract/job'
import { LOCAL_PRINCIPAL } from '#contract/principal'
import type { JobHandler } from '#platform/jobs/job-handler'
import { openStore } from '#platform/store/open-store'
import { createLog } from '#telemetry/log'
import { openJobs } from '../../src/cli/open-jobs.ts'

const [folder = '', mode = 'finish'] = process.argv.slice(2)
const results = path.join(folder, 'results')
const CALLERS = 12
const KEYS = 400
const RECORDS = 3
const random = new SeededRandom(randomSeed())

const handler: JobHandler = {
  kind: 'async',
  maxRunning: 16,
  run: async (job, { records, signal }) => {
    const finished = new Set<number>()
    for await (const { index } of records.finished()) finished.add(index)
    for (let index = 0; index < RECORDS; index++) {
      if (finished.has(index)) continue
      await systemClock.sleep(random.nextInt(8), signal)
      await records.put({ index, isOk: true, line: `${job.id} ${index} by ${job.attempt}` })
    }
    const lines: string[] = []
    for await (const { line } of records.read()) lines.push(line)
    const shown = publish(job.id, lines.join('\n'))
    return { state: 'succeeded', counts: { total: RECORDS, succeeded: RECORDS, failed: 0 }, result: { shown }, error: null }
  },
  abandon: async (job, error) => ({ shown: publish(job.id, error.code) }),
}

mkdirSync(results, { recursive: true })
const store = await openStore({ file: path.join(folder, 'jobs.sqlite') })
const jobs = openJobs({
  store,
  config: jobsSection.parse({ maxAttempts: 100 }),
  makers: [() => handler],
  clock: systemClock,
  random,
  log: createLog('silent'),
})
const runCall = (): never => {
  throw new Error('nothing is called here')
}
if (mode !== 'fill') for (const job of await all()) if (job.endedMs !== null) say(`end ${job.id} ${job.state} ${JSON.stringify(job.result)}`)
say('open')
// Who is killed writes it never.
if (mode === 'look') flushCompileCache()
jobs.start(runCall)
if (mode !== 'finish') await Promise.all(Array.from({ length: CALLERS }, submitForEver))
while ((await all()).some(({ endedMs }) => endedMs === null)) await systemClock.sleep(250)
await jobs.drain({ graceMs: 1000 })
for (const job of await all()) say(`end ${job.id} ${job.state} ${JSON.stringify(job.result)}`)
await store.close()
say('done')

async function submitForEver(): Promise<void> {
  for (;;) {
    const key = random.nextInt(4) === 0 ? `key-${random.nextInt(KEYS)}` : null
    const order: JobOrder = {
      kind: 'async',
      principal: LOCAL_PRINCIPAL,
      spec: {},
      labels: { kind: 'killed' },
      ttlMs: 3_600_000,
      idempotency: key === null ? null : { key, digest: 'same' },
    }
    const { id } = await jobs.desk.submit(order)
    say(`ack ${id} ${key ?? '-'}`)
    const isWanted = random.nextInt(20) > 0
    if (!isWanted) await jobs.desk.cancel(LOCAL_PRINCIPAL.team, id)
    await systemClock.sleep(random.nextInt(40))
  }
}

async function all(): Promise<readonly Job[]> {
  const found: Job[] = []
  for (let afterId: string | null = null; ;) {
    const page: readonly Job[] = await jobs.desk.list({ team: LOCAL_PRINCIPAL.team, kind: 'async', labels: {}, afterId, limit: 500 })
    found.push(...page)
    afterId = page.at(-1)?.id ?? null
    if (page.length < 500) return found
  }
}

/** Whole and once, as a bucket does: the first text of a name stays. */
function publish(id: string, text: string): string {
  const name = path.join(results, id)
  const temporary = `${name}.${randomId('part')}`
  const file = openSync(temporary, 'wx')
  writeSync(file, text)
  fsyncSync(file)
  closeSync(file)
  if (!existsSync(name)) linkSync(temporary, name)
  rmSync(temporary)
  const directory = openSync(results, 'r')
  fsyncSync(directory)
  closeSync(directory)
  return readFileSync(name, 'utf8')
}

/** Synchronous: what was said is out of this process. The pipe may be full. */
function say(line: string): void {
  for (let rest = Buffer.from(`${line}\n`); rest.length > 0;) {
    try {
      rest = rest.subarray(writeSync(1, rest))
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN')) throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1)
    }
  }
}
