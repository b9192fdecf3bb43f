/**
 * Runs invocations: the call that `POST /endpoints/{name}/invocations` would be, and one object with what came of it. The object is made
 * only if there is none, and it is looked for before another attempt runs: work may be done twice, a result is shown once.
 */
import type { Clock } from '#base/clock'
import { type ErrorRecord, InferdError, toErrorRecord } from '#contract/errors'
import type { JsonRecord } from '#contract/generate'
import type { Job, JobCounts, RunWireCall } from '#contract/job'
import type { ObjectMeta, ObjectStores } from '#contract/objects'
import type { JobEnding, JobHandler, JobLease, JobRecords } from '#platform/jobs/job-handler'
import type { TermsOf } from './async-terms.ts'
import { encodeFailure, readFailure } from './failure-object.ts'
import { type InvocationSpec, placesOf, specOf } from './invocation-spec.ts'
import { judgeAnswer, type Verdict } from './judge-answer.ts'
import { readWhole } from './payloads.ts'

export interface InvocationHandlerOptions {
  readonly runCall: RunWireCall
  readonly stores: ObjectStores
  readonly clock: Clock
  readonly termsOf: TermsOf
  readonly maxRunning: number
  /** Of the body of one call: what the server's own door takes. */
  readonly maxCallBytes: number
  /** Makes sure that those who want to know will be told. Idempotent; called when what came of it is visible. */
  readonly tell: (job: Job) => Promise<void>
  readonly metrics: InvocationMetrics
}

/** Told of each attempt and of each end; of an end again when its commit is. */
export interface InvocationMetrics {
  onStart(endpoint: string, waitedMs: number | null): void
  onStop(endpoint: string, ranMs: number): void
  onEnd(endpoint: string, outcome: 'succeeded' | 'failed' | 'cancelled' | 'expired'): void
}

const WAIT_MS = 1000
const MAX_WAIT_MS = 30_000
const MAX_FAILURE_BYTES = 65_536
/** Of what has no deadline from elsewhere. */
const PUBLISH_TIMEOUT_MS = 60_000
const CLAIMED_INDEX = 0

export class InvocationHandler implements JobHandler {
  readonly kind = 'async'
  readonly maxRunning: number
  private readonly options: InvocationHandlerOptions

  constructor(options: InvocationHandlerOptions) {
    this.options = options
    this.maxRunning = options.maxRunning
  }

  /** A lane is an endpoint. */
  readonly maxRunningIn = (endpoint: string): number => this.options.termsOf('', endpoint).maxConcurrentInvocations

  async run(job: Job, lease: JobLease): Promise<JobEnding> {
    const { metrics, clock } = this.options
    const spec = specOf(job)
    const startedMs = clock.nowMs()
    metrics.onStart(spec.endpoint, job.attempt === 1 ? clock.wallMs() - job.createdMs : null)
    try {
      const ending = (await this.earlierEnding(job, spec, lease)) ?? (await this.newEnding(job, spec, lease.signal))
      await this.settle(job, spec)
      metrics.onEnd(spec.endpoint, ending.state)
      return ending
    } finally {
      metrics.onStop(spec.endpoint, clock.nowMs() - startedMs)
    }
  }

  async abandon(job: Job, error: ErrorRecord, records: Pick<JobRecords, 'finished'>): Promise<JsonRecord | null> {
    const spec = specOf(job)
    const result = await this.within(PUBLISH_TIMEOUT_MS, new AbortController().signal, async (signal) => {
      const { outputUri } = placesOf(job.id, spec)
      const published = (await ownsOutput(spec, records)) ? await this.find(job, outputUri, signal) : null
      return published === null ? this.publishFailure(job, spec, error, signal) : outputResult(outputUri, published.contentType)
    }).catch((failure: unknown) => {
      // Its bucket is gone: there is nowhere to show it, and the job says it.
      if (failure instanceof InferdError && failure.code !== 'store_failed' && failure.code !== 'deadline_exceeded') return null
      throw failure
    })
    await this.settle(job, spec)
    this.options.metrics.onEnd(spec.endpoint, outcomeOf(error))
    return result
  }

  /** What an attempt before this one has published. */
  private async earlierEnding(job: Job, spec: InvocationSpec, lease: JobLease): Promise<JobEnding | null> {
    const { outputUri, failureUri } = placesOf(job.id, spec)
    const isOwn = await ownsOutput(spec, lease.records)
    if (isOwn && job.attempt === 1) return null
    const found = await this.find(job, outputUri, lease.signal)
    if (found !== null && isOwn) return succeeded(outputResult(outputUri, found.contentType))
    if (found !== null) return this.failed(job, spec, taken(outputUri), lease.signal)
    if (!isOwn) await lease.records.put({ index: CLAIMED_INDEX, isOk: true, line: '{}' })
    if (job.attempt === 1 || (await this.find(job, failureUri, lease.signal)) === null) return null
    const bytes = await readWhole(this.locate(job, failureUri), MAX_FAILURE_BYTES, lease.signal)
    return failedWith(readFailure(bytes), failureUri)
  }

  private async newEnding(job: Job, spec: InvocationSpec, signal: AbortSignal): Promise<JobEnding> {
    const verdict = await this.call(job, spec, signal)
    signal.throwIfAborted()
    if (verdict.kind === 'failure') return this.failed(job, spec, verdict.error, signal)
    const { outputUri, failureUri } = placesOf(job.id, spec)
    // An attempt that was held up may be behind its own end: a failure that is there is the end.
    if ((await this.find(job, failureUri, signal)) !== null) throw new InferdError('conflict', 'another attempt has ended the invocation')
    const { bucket, key } = this.locate(job, outputUri)
    const { body, headers } = verdict.answer
    const contentType = headers['content-type'] ?? 'application/octet-stream'
    const meta = await bucket.put(key, once(body), { contentType, maxBytes: body.length, ifAbsent: true }, signal)
    if (meta === null && spec.outputName !== null && job.attempt === 1) return this.failed(job, spec, taken(outputUri), signal)
    return succeeded(outputResult(outputUri, contentType))
  }

  /** Until the endpoint has a place for it. Throws what another attempt may heal. */
  private async call(job: Job, spec: InvocationSpec, signal: AbortSignal): Promise<Exclude<Verdict, { readonly kind: 'wait' | 'retry' }>> {
    const { clock, runCall } = this.options
    const body = await this.input(job, spec, signal)
    if (body instanceof InferdError) return { kind: 'failure', error: body }
    const path = `/endpoints/${encodeURIComponent(spec.endpoint)}/invocations`
    const headers = { ...spec.headers, 'content-type': spec.contentType }
    const call = { principal: job.principal, method: 'POST', path, headers, body, isBatch: false } as const
    for (let numWaits = 0; ; numWaits++) {
      const verdict = await this.within(spec.timeoutMs, signal, (within) => runCall(call, within)).then(judgeAnswer, (error: unknown) =>
        asVerdict(error, signal),
      )
      if (verdict.kind === 'retry') throw verdict.error
      if (verdict.kind !== 'wait') return verdict
      const waitMs = Math.min(verdict.retryAfterMs ?? WAIT_MS * 2 ** Math.min(numWaits, 5), MAX_WAIT_MS)
      if (clock.wallMs() + waitMs >= (job.startByMs ?? job.expiresMs)) return { kind: 'failure', error: expired() }
      await clock.sleep(Math.max(waitMs, WAIT_MS), signal)
    }
  }

  /** The body of the call, or why there is none. */
  private async input(job: Job, spec: InvocationSpec, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer> | InferdError> {
    try {
      return await readWhole(this.locate(job, spec.inputUri), this.options.maxCallBytes, signal)
    } catch (error) {
      if (error instanceof InferdError && error.code !== 'store_failed' && !signal.aborted) return error
      throw error
    }
  }

  private async failed(job: Job, spec: InvocationSpec, error: InferdError, signal: AbortSignal): Promise<JobEnding> {
    const record = toErrorRecord(error)
    await this.publishFailure(job, spec, record, signal)
    return failedWith(record, placesOf(job.id, spec).failureUri)
  }

  private async publishFailure(job: Job, spec: InvocationSpec, error: ErrorRecord, signal: AbortSignal): Promise<JsonRecord> {
    const { failureUri } = placesOf(job.id, spec)
    const { bucket, key } = this.locate(job, failureUri)
    const bytes = encodeFailure(error, spec.inferenceId ?? job.id)
    await bucket.put(key, once(bytes), { contentType: 'application/json', maxBytes: bytes.length, ifAbsent: true }, signal)
    return { failure: failureUri }
  }

  /** After it the end may be committed. */
  private async settle(job: Job, spec: InvocationSpec): Promise<void> {
    await this.options.tell(job)
    if (!spec.ownsInput) return
    const { bucket, key } = this.locate(job, spec.inputUri)
    // What stays is found by the sweep of payloads.
    await this.within(PUBLISH_TIMEOUT_MS, new AbortController().signal, (signal) => bucket.delete(key, signal)).catch(() => false)
  }

  private find(job: Job, uri: string, signal: AbortSignal): Promise<ObjectMeta | null> {
    const { bucket, key } = this.locate(job, uri)
    return bucket.head(key, signal)
  }

  private locate({ principal: { team } }: Job, uri: string): ReturnType<ObjectStores['locate']> {
    return this.options.stores.locate(team, uri)
  }

  /** Throws deadline_exceeded. */
  private async within<T>(timeoutMs: number, signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const late = new AbortController()
    const done = new AbortController()
    const words = `the invocation took longer than ${timeoutMs / 1000} s`
    this.options.clock.sleep(timeoutMs, done.signal).then(
      () => late.abort(new InferdError('deadline_exceeded', words)),
      () => {},
    )
    try {
      return await work(AbortSignal.any([signal, late.signal]))
    } finally {
      done.abort()
    }
  }
}

/** By the error with which it is abandoned. */
function outcomeOf({ code }: ErrorRecord): 'failed' | 'cancelled' | 'expired' {
  if (code === 'cancelled') return 'cancelled'
  return code === 'deadline_exceeded' ? 'expired' : 'failed'
}

/** An output named by the job's id is nobody else's; of another name only what an attempt has found free. */
async function ownsOutput({ outputName }: InvocationSpec, records: Pick<JobRecords, 'finished'>): Promise<boolean> {
  if (outputName === null) return true
  for await (const { index } of records.finished()) if (index === CLAIMED_INDEX) return true
  return false
}

/** The time-out of the invocation is its end, and a server that goes down has no place; every other end of waiting is thrown on. */
function asVerdict(error: unknown, signal: AbortSignal): Verdict {
  if (signal.aborted || !(error instanceof InferdError)) throw error
  if (error.code === 'deadline_exceeded') return { kind: 'failure', error }
  if (error.code === 'shutting_down') return { kind: 'wait', retryAfterMs: null }
  throw error
}

function outputResult(output: string, contentType: string): JsonRecord {
  return { output, contentType }
}

const ONE_DONE: JobCounts = { total: 1, succeeded: 1, failed: 0 }
const ONE_FAILED: JobCounts = { total: 1, succeeded: 0, failed: 1 }

function succeeded(result: JsonRecord): JobEnding {
  return { state: 'succeeded', counts: ONE_DONE, result, error: null }
}

function failedWith(error: ErrorRecord, failure: string): JobEnding {
  return { state: 'failed', counts: ONE_FAILED, result: { failure }, error }
}

function taken(uri: string): InferdError {
  return new InferdError('conflict', `there is already an object at ${uri}`)
}

function expired(): InferdError {
  return new InferdError('deadline_exceeded', 'the invocation waited longer than its time to live for a place')
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}
