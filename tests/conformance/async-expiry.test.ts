/** Asynchronous invocations that wait longer than they may, on the real runner of jobs: they are never run, and it is said why. */
import { expect, test } from 'vitest'
import { systemClock } from '#base/clock'
import { SeededRandom } from '#base/random'
import { EMPTY_PLATFORM_FILE, parsePlatformFile } from '#config/platform-file'
import { LOCAL_PRINCIPAL } from '#contract/principal'
import type { Invocation, InvocationOrder } from '#contract/invocation'
import type { RunWireCall } from '#contract/job'
import { openStore } from '#platform/store/open-store'
import { createLog } from '#telemetry/log'
import { Metrics } from '#telemetry/metrics'
import { openInvocations } from '../../src/cli/open-invocations.ts'
import { openJobs } from '../../src/cli/open-jobs.ts'
import { DeployedTerms } from '#platform/invocations/deployed-terms'
import { MemoryObjects } from '../invocations/memory-objects.ts'

const SIGNAL = new AbortController().signal

test('115: what waits behind a full endpoint past its time to live is expired: never run, with a failure object, beside others that go on', async () => {
  const store = await openStore({ file: null })
  const stores = new MemoryObjects()
  const log = createLog('silent')
  const common = { store, clock: systemClock, random: new SeededRandom(1), log }
  const file = parsePlatformFile('asyncInference: { maxConcurrentInvocations: 1 }', 'platform.yaml')
  const metrics = new Metrics({ version: '0', maxLabelValues: 10, figures: () => ({ queues: [], ledger: { lagMs: 0, numWaiting: 0 } }) })
  const makers: Parameters<typeof openJobs>[0]['makers'][number][] = []
  const jobs = openJobs({ ...common, config: EMPTY_PLATFORM_FILE.jobs, makers })
  const opened = openInvocations({ ...common, desk: jobs.desk, stores, deployed: new DeployedTerms(), file, maxCallBytes: 1000, metrics })
  const { invocations } = opened
  makers.push(opened.makeHandler)
  const asked: string[] = []
  const release = Promise.withResolvers<void>()
  const runCall: RunWireCall = async ({ path, body }) => {
    asked.push(Buffer.from(body).toString())
    if (path.includes('full')) await release.promise
    return { status: 200, headers: { 'content-type': 'application/json' }, body: Buffer.from('{}') }
  }
  jobs.start(runCall)
  const accept = (endpoint: string, text: string, startWithinMs: number): Promise<Invocation> => {
    const chunks = (async function* () {
      yield Buffer.from(text)
    })()
    const input = { kind: 'payload', chunks, maxBytes: null } as const
    const rest = { contentType: 'application/json', headers: {}, inferenceId: null, outputFolder: null, outputName: null, timeoutMs: 60_000 }
    const order: InvocationOrder = { ...rest, principal: LOCAL_PRINCIPAL, endpoint, input, startWithinMs }
    return invocations.accept(order, SIGNAL)
  }
  const ended = async ({ id }: Invocation): Promise<Invocation> => {
    let last: Invocation | null = null
    for await (const change of invocations.follow('local', id, SIGNAL)) last = change ?? last
    return last!
  }
  const running = await accept('full', 'first', 60_000)
  await expect.poll(() => asked).toEqual(['first'])
  const late = await accept('full', 'late', 1)
  const other = await accept('free', 'other', 60_000)
  expect(await ended(other)).toMatchObject({ state: 'succeeded' })
  expect(await ended(late)).toMatchObject({ state: 'expired', startedMs: null, error: { code: 'deadline_exceeded' } })
  const bucket = stores.bucket('inferd-local')
  expect(JSON.parse(bucket.text(`async/output/${late.id}.error`)!)).toMatchObject({ InferenceId: late.id, ErrorCode: 'deadline_exceeded' })
  release.resolve()
  expect(await ended(running)).toMatchObject({ state: 'succeeded' })
  expect(asked).toEqual(['first', 'other'])
  // Payloads are gone with their invocations.
  expect([...bucket.objects.keys()].filter((key) => key.startsWith('async/input/'))).toEqual([])
  await jobs.drain({ graceMs: 0 })
  await opened.close()
  await store.close()
})
