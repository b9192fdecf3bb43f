/** For tests: batch transforms in memory, with a model that is a function of the body. */
import { FakeClock, settle } from '#base/fake-clock'
import { SeededRandom } from '#base/random'
import type { Job, WireAnswer, WireCall } from '#contract/job'
import { LOCAL_PRINCIPAL } from '#contract/principal'
import type { TransformSpec } from '#contract/transform'
import { TransformHandler } from '#platform/transforms/transform-handler'
import { MemoryObjects } from '../invocations/memory-objects.ts'

export const TEAM = 'red'

export type Change = { readonly [Part in 'input' | 'output' | 'pace' | 'filters']?: Partial<TransformSpec[Part]> }

export function transformSpec(change: Change = {}): TransformSpec {
  return {
    name: 'job',
    model: 'm',
    input: { uri: 's3://shared/in/', isManifest: false, contentType: 'text/csv', isGzip: false, isSplit: true, ...change.input },
    output: { uri: 's3://shared/out', accept: 'text/csv', endsLines: true, ...change.output },
    pace: { maxPayloadBytes: 2 ** 20, isMultiRecord: true, maxConcurrent: 3, timeoutMs: 1000, maxRetries: 1, ...change.pace },
    filters: { input: '$', joinsInput: false, output: '$', ...change.filters },
    request: {},
  }
}

export function transformJob(spec: TransformSpec, change: Partial<Job> = {}): Job {
  return {
    id: 'job_1',
    kind: 'transform',
    team: TEAM,
    principal: { ...LOCAL_PRINCIPAL, team: TEAM },
    state: 'running',
    spec: spec as unknown as Job['spec'],
    labels: {},
    lane: TEAM,
    startByMs: null,
    counts: { total: null, succeeded: 0, failed: 0 },
    createdMs: 0,
    startedMs: 0,
    endedMs: null,
    expiresMs: 1000,
    cancelRequestedMs: null,
    attempt: 1,
    error: null,
    result: null,
    ...change,
  }
}

export function answered(body: string | Uint8Array, status = 200): WireAnswer {
  return { status, headers: {}, body: Buffer.from(body as string) }
}

/** Rows in upper case, one for each row of the body. */
export function upperCase({ body }: WireCall): WireAnswer {
  return answered(Buffer.from(body).toString('utf8').toUpperCase())
}

export function transformScene(model: (call: WireCall, signal: AbortSignal) => WireAnswer | Promise<WireAnswer> = upperCase) {
  const clock = new FakeClock()
  const objects = new MemoryObjects()
  const bucket = objects.bucket('shared')
  const calls: WireCall[] = []
  const flying = { now: 0, most: 0 }
  const runCall = async (call: WireCall, signal: AbortSignal): Promise<WireAnswer> => {
    calls.push(call)
    flying.most = Math.max(flying.most, ++flying.now)
    await settle()
    try {
      return await model(call, signal)
    } finally {
      flying.now--
    }
  }
  const handler = new TransformHandler({ objects, ports: { runCall, clock, random: new SeededRandom(1) }, maxRunning: 1, maxRunningOfTeam: 1 })
  const put = (key: string, content: string | Uint8Array) =>
    bucket.put(key, chunksOf(Buffer.from(content as string)), { contentType: 'x/y', maxBytes: Number.MAX_SAFE_INTEGER, ifAbsent: false })
  return { clock, objects, bucket, calls, flying, handler, put, bodies: () => calls.map(({ body }) => Buffer.from(body).toString('utf8')) }
}

async function* chunksOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}
