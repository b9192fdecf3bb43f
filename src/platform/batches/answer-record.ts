/** One record as a call that is made again while it is refused for now: batches have time, others come first. */
import type { Clock } from '#base/clock'
import type { Random } from '#base/random'
import { InferdError } from '#contract/errors'
import type { RunWireCall, WireAnswer, WireCall } from '#contract/job'

export interface CallerPorts {
  readonly runCall: RunWireCall
  readonly clock: Clock
  readonly random: Random
  /** Of one record, its retries and waits with it. */
  readonly maxRecordMs: number
  /** Calls that may fail before the failure stands, the last one with them; 3 when not given. */
  readonly maxFailures?: number
}

/** The server is busy, the model loads, the caller is over its rate (529: Anthropic's word for busy). */
const REFUSED_FOR_NOW: readonly number[] = [429, 503, 529]
/** The world broke under the call (424: Bedrock's word for a model that failed). */
const FAILED: readonly number[] = [408, 424, 500, 502, 504]
/** With the longest wait between them: an hour. */
const MAX_REFUSALS = 64
const MAX_FAILURES = 3
const FIRST_WAIT_MS = 1000
const MAX_WAIT_MS = 60_000

/** The last answer, good or bad; null = it was not done in its time. Throws for its signal. */
export async function answerRecord(call: WireCall, ports: CallerPorts, signal: AbortSignal): Promise<WireAnswer | null> {
  const timeIsUp = new AbortController()
  const isDone = new AbortController()
  const limit = ports.clock.sleep(ports.maxRecordMs, isDone.signal).then(
    () => timeIsUp.abort(new InferdError('deadline_exceeded', 'the record was not done in its time')),
    () => {},
  )
  try {
    return await callUntilDone(call, ports, AbortSignal.any([signal, timeIsUp.signal]))
  } catch (error) {
    signal.throwIfAborted()
    if (timeIsUp.signal.aborted) return null
    throw error
  } finally {
    isDone.abort()
    await limit
  }
}

async function callUntilDone(call: WireCall, ports: CallerPorts, signal: AbortSignal): Promise<WireAnswer> {
  const { runCall, clock, random, maxFailures = MAX_FAILURES } = ports
  for (let numTries = 1; ; numTries++) {
    const answer = await runCall(call, signal).catch(asRefusal)
    // A call that ends with its server or its batch was not answered, whatever it says.
    if (answer.status >= 400) signal.throwIfAborted()
    const waitMs = waitBeforeRetry(answer, { numTries, maxFailures })
    if (waitMs === null) return answer
    await clock.sleep(waitMs * (1 + random.nextFloat() / 4), signal)
  }
}

/** A server that does not route any more ends the batch's lease too: until then it is one that refuses. */
function asRefusal(error: unknown): WireAnswer {
  if (!(error instanceof InferdError) || error.code !== 'shutting_down') throw error
  return { status: 503, headers: {}, body: Buffer.from(JSON.stringify({ error: { message: error.message } })) }
}

/** Milliseconds; null = the answer stands. `numTries` counts this one. */
function waitBeforeRetry(
  { status, headers }: Pick<WireAnswer, 'status' | 'headers'>,
  { numTries, maxFailures }: { readonly numTries: number; readonly maxFailures: number },
): number | null {
  const maxTries = REFUSED_FOR_NOW.includes(status) ? MAX_REFUSALS : FAILED.includes(status) ? maxFailures : 1
  if (numTries >= maxTries || headers['x-should-retry'] === 'false') return null
  const backOffMs = Math.min(MAX_WAIT_MS, FIRST_WAIT_MS * 2 ** (numTries - 1))
  const toldMs = /^\d{1,6}$/.test(headers['retry-after'] ?? '') ? Number(headers['retry-after']) * 1000 : 0
  return Math.max(backOffMs, toldMs)
}
