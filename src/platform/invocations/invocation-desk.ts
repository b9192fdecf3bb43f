/** Takes orders of invocations: their payload to the objects, then their job to the desk; accepted is what both have kept. */
import { createHash, type Hash } from 'node:crypto'
import type { Clock } from '#base/clock'
import { randomId } from '#base/random'
import { InferdError } from '#contract/errors'
import type { Invocation, InvocationOrder, Invocations } from '#contract/invocation'
import type { Job, JobDesk } from '#contract/job'
import type { ObjectStores } from '#contract/objects'
import type { EndpointTerms, TermsOf } from './async-terms.ts'
import { invocationOf, type InvocationSpec, placesOf, toRecord } from './invocation-spec.ts'
import { payloadUri, sweepPayloads } from './payloads.ts'

export interface InvocationDeskOptions {
  readonly desk: JobDesk
  readonly stores: ObjectStores
  readonly clock: Clock
  readonly termsOf: TermsOf
  readonly maxPayloadBytes: number
  /** Payloads of a crash could not be looked for. */
  readonly onError: (error: unknown) => void
}

/** A run may begin as often as this before its job expires, each time for as long as its time-out. */
const MAX_RUNS = 3
const QUIET_MS = 15_000
const CLOSED = new InferdError('shutting_down', 'the server is shutting down')
const PAYLOAD_TYPE = 'application/octet-stream'

type OutputFolders = Pick<InvocationSpec, 'outputFolder' | 'failureFolder'>

/** Where the input lies, and what tells it from another with the same name. */
interface KeptInput {
  readonly uri: string
  readonly digest: string
}

export class InvocationDesk implements Invocations {
  private readonly options: InvocationDeskOptions
  /** Whose payloads have been looked at since the start. */
  private readonly sweptTeams = new Set<string>()
  private readonly closing = new AbortController()

  constructor(options: InvocationDeskOptions) {
    this.options = options
  }

  async accept(order: InvocationOrder, signal: AbortSignal): Promise<Invocation> {
    const { desk } = this.options
    const { team } = order.principal
    const id = randomId('inv')
    const folders = this.foldersOf(id, order)
    const input = await this.keepInput(id, order, signal)
    const spec = specOfOrder(order, folders, input)
    const ownInput = spec.ownsInput ? input : null
    let job: Job
    try {
      signal.throwIfAborted()
      job = await desk.submit({
        id,
        kind: 'async',
        principal: order.principal,
        spec: toRecord(spec),
        labels: {},
        lane: order.endpoint,
        startWithinMs: order.startWithinMs,
        ttlMs: order.startWithinMs + MAX_RUNS * order.timeoutMs,
        idempotency: idempotencyOf(id, order, spec, input),
      })
    } catch (error) {
      if (ownInput !== null) await this.forget(team, ownInput)
      throw error
    }
    if (job.id !== id && ownInput !== null) await this.forget(team, ownInput)
    return invocationOf(job)
  }

  async get(team: string, id: string): Promise<Invocation | null> {
    const job = await this.options.desk.get(team, id)
    return job?.kind === 'async' ? invocationOf(job) : null
  }

  async cancel(team: string, id: string): Promise<Invocation | null> {
    if ((await this.get(team, id)) === null) return null
    const job = await this.options.desk.cancel(team, id)
    return job === null ? null : invocationOf(job)
  }

  /** Ends what runs besides orders. */
  close(): void {
    this.closing.abort(CLOSED)
  }

  async *follow(team: string, id: string, signal: AbortSignal): AsyncGenerator<Invocation | null> {
    const changes = this.options.desk.follow(team, id, signal)[Symbol.asyncIterator]()
    let next = changes.next()
    try {
      for (;;) {
        const change = await this.within(next)
        if (change === null) {
          yield null
          continue
        }
        if (change.done === true) return
        yield invocationOf(change.value)
        next = changes.next()
      }
    } finally {
      next.catch(() => {})
      await changes.return?.()
    }
  }

  /** The change, or null when none has come for a while. */
  private async within(next: Promise<IteratorResult<Job>>): Promise<IteratorResult<Job> | null> {
    const waiting = new AbortController()
    const quiet = this.options.clock.sleep(QUIET_MS, waiting.signal).then(
      () => null,
      () => null,
    )
    try {
      return await Promise.race([next, quiet])
    } finally {
      waiting.abort()
    }
  }

  /** Throws invalid_parameter and resource_not_found before anything is stored. */
  private foldersOf(id: string, { principal: { team }, endpoint, outputFolder, outputName }: InvocationOrder): OutputFolders {
    const { stores, termsOf } = this.options
    const terms: EndpointTerms = termsOf(team, endpoint)
    const base = terms.outputLocation ?? stores.uriOf(stores.defaultBucket(team), 'async/output')
    const output = outputFolder === null ? base : `${base}/${outputFolder}`
    const folders = { outputFolder: output, failureFolder: terms.failureLocation ?? output }
    const { outputUri, failureUri } = placesOf(id, { ...folders, outputName })
    stores.locate(team, outputUri)
    stores.locate(team, failureUri)
    return folders
  }

  private async keepInput(id: string, { principal: { team }, input }: InvocationOrder, signal: AbortSignal): Promise<KeptInput> {
    const { stores, maxPayloadBytes } = this.options
    if (input.kind === 'object') {
      if (stores.locate(team, input.uri).key === '') throw new InferdError('invalid_parameter', 'the input location names no object')
      return { uri: input.uri, digest: input.uri }
    }
    const uri = payloadUri(stores, team, id)
    const { bucket, key } = stores.locate(team, uri)
    this.sweepOnce(team)
    const hash = createHash('sha256')
    const maxBytes = Math.min(input.maxBytes ?? maxPayloadBytes, maxPayloadBytes)
    await bucket.put(key, hashed(input.chunks, hash), { contentType: PAYLOAD_TYPE, maxBytes, ifAbsent: false }, signal)
    return { uri, digest: hash.digest('hex') }
  }

  /** A crash leaves payloads without a job: they are looked for at the first payload of a team after the start. */
  private sweepOnce(team: string): void {
    if (this.sweptTeams.has(team)) return
    this.sweptTeams.add(team)
    const { stores, desk, clock, onError } = this.options
    sweepPayloads(team, { stores, desk, nowMs: clock.wallMs(), signal: this.closing.signal }).catch((error: unknown) => {
      if (!this.closing.signal.aborted) onError(error)
    })
  }

  /** What stays behind when this fails is found by the sweep of payloads. */
  private async forget(team: string, { uri }: KeptInput): Promise<void> {
    const { bucket, key } = this.options.stores.locate(team, uri)
    await bucket.delete(key, new AbortController().signal).catch(() => false)
  }
}

function specOfOrder(order: InvocationOrder, folders: OutputFolders, { uri }: KeptInput): InvocationSpec {
  const { endpoint, inferenceId, contentType, headers, outputName, timeoutMs, input } = order
  return { ...folders, endpoint, inferenceId, inputUri: uri, ownsInput: input.kind === 'payload', contentType, headers, outputName, timeoutMs }
}

/** An output of a name of its own has one invocation; so has an inference id. */
function idempotencyOf(
  id: string,
  { inferenceId, startWithinMs }: InvocationOrder,
  spec: InvocationSpec,
  { digest }: KeptInput,
): { readonly key: string; readonly digest: string } | null {
  if (inferenceId === null && spec.outputName === null) return null
  const key = spec.outputName === null ? `async:inference:${spec.endpoint}:${inferenceId}` : `async:output:${hashOf(placesOf(id, spec).outputUri)}`
  const words = [{ ...spec, inputUri: digest, headers: Object.entries(spec.headers).toSorted(([a], [b]) => (a < b ? -1 : 1)) }, startWithinMs]
  return { key, digest: hashOf(JSON.stringify(words)) }
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

async function* hashed(chunks: AsyncIterable<Uint8Array>, hash: Hash): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    hash.update(chunk)
    yield chunk
  }
}
