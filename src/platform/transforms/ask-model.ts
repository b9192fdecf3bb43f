/** One payload as a call that is made again while it is refused for now, or has failed and may be healed. */
import type { RunWireCall, WireAnswer } from '#contract/job'
import type { Principal } from '#contract/principal'
import { recordFormOf, type TransformSpec } from '#contract/transform'
import { answerRecord, type CallerPorts } from '#platform/batches/answer-record'
import { judgeAnswer } from '#platform/invocations/judge-answer'

export type AskPorts = Pick<CallerPorts, 'runCall' | 'clock' | 'random'>

export type Asked = { readonly kind: 'answer'; readonly bytes: Uint8Array } | { readonly kind: 'failure'; readonly reason: string }

export interface Question {
  readonly principal: Principal
  readonly spec: TransformSpec
  readonly body: Uint8Array
}

/** Waits for room do not count as retries; that is how long they may take in all. */
const MAX_WAIT_MS = 7_200_000
const JSON_TYPE = 'application/json'
const LINES_OF_JSON = /^application\/(?:x-)?jsonl(?:ines)?$/i

/** Throws for its signal, and shutting_down. */
export async function askModel({ principal, spec, body }: Question, ports: AskPorts, signal: AbortSignal): Promise<Asked> {
  const { model, input, output, pace } = spec
  const call = {
    principal,
    method: 'POST',
    path: `/endpoints/${encodeURIComponent(model)}/invocations`,
    headers: { 'content-type': ofOneBody(input.contentType), accept: ofOneBody(output.accept) },
    body,
    isBatch: true,
  } as const
  const maxFailures = pace.maxRetries + 1
  const caller = { ...ports, runCall: judged(ports, pace.timeoutMs), maxFailures, maxRecordMs: maxFailures * pace.timeoutMs + MAX_WAIT_MS }
  const answer = await answerRecord(call, caller, signal)
  if (answer === null) return { kind: 'failure', reason: 'AlgorithmError: the server had no room for it in time' }
  const verdict = judgeAnswer(answer)
  switch (verdict.kind) {
    case 'answer':
      return { kind: 'answer', bytes: answer.body }
    case 'wait':
      return { kind: 'failure', reason: 'AlgorithmError: the server had no room for it in time' }
    case 'retry':
      return { kind: 'failure', reason: `AlgorithmError: ${verdict.error.message}` }
    case 'failure':
      return { kind: 'failure', reason: `ClientError: ${verdict.error.message}` }
  }
}

/** A line of JSON alone is JSON. */
function ofOneBody(contentType: string): string {
  return recordFormOf(contentType) === 'json' && LINES_OF_JSON.test(contentType.split(';')[0]?.trim() ?? '') ? JSON_TYPE : contentType
}

/** Says of each failure whether another call may heal it; a call that is not answered in time is one that may. */
function judged({ runCall, clock }: AskPorts, timeoutMs: number): RunWireCall {
  return async (call, signal) => {
    const isDone = new AbortController()
    const timeIsUp = new AbortController()
    const limit = clock.sleep(timeoutMs, isDone.signal).then(
      () => timeIsUp.abort(TIMED_OUT),
      () => {},
    )
    try {
      const answer = await runCall(call, AbortSignal.any([signal, timeIsUp.signal]))
      return judgeAnswer(answer).kind === 'failure' ? { ...answer, headers: { ...answer.headers, 'x-should-retry': 'false' } } : answer
    } catch (error) {
      signal.throwIfAborted()
      if (timeIsUp.signal.aborted) return TIMED_OUT
      throw error
    } finally {
      isDone.abort()
      await limit
    }
  }
}

const TIMED_OUT: WireAnswer = {
  status: 504,
  headers: {},
  body: Buffer.from(JSON.stringify({ Message: 'the model has not answered within InvocationsTimeoutInSeconds' })),
}
