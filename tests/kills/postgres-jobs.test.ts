/**
 * Jobs on PostgreSQL under load: the database is killed and started again, and two servers share one line of jobs, of which one is killed.
 * What was accepted ends once and is shown once; the servers recover by themselves.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, expect, test } from 'vitest'
import { InferdProcess } from '../e2e/inferd-process.ts'
import { HAS_POSTGRES, query, startPostgres } from '../stores/postgres-server.ts'
import { EchoUpstream } from './echo-upstream.ts'
import { AsyncLoad, BatchLoad } from './job-loads.ts'
import { accepted, type LoadKind, post } from './load-kind.ts'

const NAME = HAS_POSTGRES ? '' : ' (this machine has no initdb)'
const NUM_CRASHES = 4
const NUM_SHARED = 300
/** At one endpoint, of each server. */
const CONCURRENT = 8
const folder = mkdtempSync(path.join(tmpdir(), 'inferd-postgres-jobs-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** The end and the attempts of every job. */
async function endsOf(url: string): Promise<readonly { readonly verdict: string | null; readonly phase: string; readonly attempt: number }[]> {
  return (await query(url, 'select verdict, phase, attempt from job')) as unknown as { verdict: string; phase: string; attempt: number }[]
}

test.runIf(HAS_POSTGRES)(
  `the database is killed ${NUM_CRASHES} times: accepted jobs survive, none ends twice, the server stays${NAME}`,
  async () => {
    await using postgres = await startPostgres()
    const url = await postgres.makeDatabase()
    using upstream = await EchoUpstream.start({ name: /record [\w-]+/, answerMs: 5 })
    const config = path.join(folder, 'one.yaml')
    writeFileSync(config, upstream.yaml)
    const dataDir = path.join(folder, 'one')
    await using server = await (await InferdProcess.start('--config', config, '--data-dir', dataDir, '--store', url, '--log-level', 'error')).ready()
    const loads: readonly LoadKind[] = [new AsyncLoad(path.join(dataDir, 'objects/inferd-local')), new BatchLoad(20)]
    const stop = new AbortController()
    let numRefused = 0
    const callers = loads.map(async (load) => {
      while (!stop.signal.aborted) {
        await load.once(server).catch(() => numRefused++)
        await sleep(20)
      }
    })
    const more = (count: () => number): Promise<void> => {
      const before = count()
      return expect.poll(count, { timeout: 60_000, interval: 10 }).toBeGreaterThan(before + 5)
    }
    const numAcknowledged = (): number => loads.reduce((sum, load) => sum + load.numAcknowledged, 0)
    for (let crash = 0; crash < NUM_CRASHES; crash++) {
      await more(numAcknowledged)
      await postgres.crash()
      await more(() => numRefused)
      expect((await fetch(`${server.baseUrl}/readyz`)).status).toBe(200)
      await postgres.start()
    }
    await more(numAcknowledged)
    stop.abort()
    await Promise.all(callers)
    for (const load of loads) await load.check(server)
    expect((await endsOf(url)).filter(({ phase, verdict }) => phase !== 'ended' || verdict !== 'succeeded')).toEqual([])
    server.child.kill('SIGTERM')
    expect(await server.exited()).toBe(0)
  },
  180_000,
)

test.runIf(HAS_POSTGRES)(
  `two servers share the jobs of one database: each runs once, also when one server is killed${NAME}`,
  async () => {
    await using postgres = await startPostgres()
    const url = await postgres.makeDatabase()
    using upstream = await EchoUpstream.start({ name: /record [\w-]+/, answerMs: 20 })
    const shared = path.join(folder, 'shared')
    const config = path.join(folder, 'two.yaml')
    mkdirSync(path.join(shared, 'in'), { recursive: true })
    const objects = `objects: { buckets: { shared: { folder: ${shared}, teams: [local] } } }\n`
    const asynchronous = `asyncInference: { outputLocation: 's3://shared/out', maxConcurrentInvocations: ${CONCURRENT} }\n`
    writeFileSync(config, `${upstream.yaml}${objects}${asynchronous}`)
    const start = async (name: string): Promise<InferdProcess> =>
      (await InferdProcess.start('--config', config, '--data-dir', path.join(folder, name), '--store', url, '--log-level', 'error')).ready()
    await using first = await start('first')
    await using second = await start('second')
    const servers = [first, second]
    const ids = new Map<string, string>()
    const submit = async (server: InferdProcess, name: string): Promise<void> => {
      writeFileSync(path.join(shared, 'in', name), JSON.stringify({ messages: [{ role: 'user', content: `record ${name}` }] }))
      const headers = { 'x-amzn-sagemaker-inputlocation': `s3://shared/in/${name}`, 'x-amzn-sagemaker-inference-id': name }
      await accepted(post(server, '/endpoints/far/async-invocations', '', headers))
      ids.set(name, `record ${name}`)
    }
    const allEnded = (): Promise<void> =>
      expect.poll(async () => (await endsOf(url)).filter(({ phase }) => phase !== 'ended').length, { timeout: 120_000, interval: 100 }).toBe(0)
    // Half of the work with both: nothing is asked for twice.
    await Promise.all(Array.from({ length: NUM_SHARED / 2 }, (_, index) => submit(servers[index % 2]!, `both-${index}`)))
    await allEnded()
    expect(upstream.asked.size).toBe(NUM_SHARED / 2)
    expect(upstream.numCalls).toBe(NUM_SHARED / 2)
    expect((await endsOf(url)).filter(({ attempt }) => attempt !== 1)).toEqual([])
    const holders = await query(url, 'select id from job_holder')
    expect(holders).toHaveLength(2)
    // The other half while one of them dies: only what it had in its hands is asked for again.
    await Promise.all(Array.from({ length: NUM_SHARED / 2 }, (_, index) => submit(servers[index % 2]!, `killed-${index}`)))
    await expect.poll(() => upstream.asked.size, { interval: 5 }).toBeGreaterThan(NUM_SHARED / 2 + 20)
    first.child.kill('SIGKILL')
    await allEnded()
    expect(upstream.asked.size).toBe(NUM_SHARED)
    expect(upstream.numCalls - NUM_SHARED).toBeLessThanOrEqual(2 * CONCURRENT)
    expect((await endsOf(url)).filter(({ verdict }) => verdict !== 'succeeded')).toEqual([])
    const shown = readdirSync(path.join(shared, 'out')).map((name) => readFileSync(path.join(shared, 'out', name), 'utf8'))
    const contents = shown.map((text) => (JSON.parse(text) as { choices: { message: { content: string } }[] }).choices[0]?.message.content)
    expect(contents.toSorted()).toEqual([...ids.values()].toSorted())
  },
  180_000,
)
