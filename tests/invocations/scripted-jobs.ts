/** A job and a lease for it, as a runner would give them. */
import { LOCAL_PRINCIPAL } from '#contract/principal'
import type { Job } from '#contract/job'
import type { JobLease, RecordOutcome } from '#platform/jobs/job-handler'
import { type InvocationSpec, toRecord } from '#platform/invocations/invocation-spec'

export const SPEC: InvocationSpec = {
  endpoint: 'chat',
  inferenceId: 'order-7',
  inputUri: 's3://inferd-local/in/7.json',
  ownsInput: false,
  contentType: 'application/json',
  headers: { 'x-amzn-sagemaker-custom-attributes': 'a=1' },
  outputFolder: 's3://inferd-local/async/output',
  failureFolder: 's3://inferd-local/async/failed',
  outputName: null,
  timeoutMs: 900_000,
}

export function jobOf(changes: Partial<Job> = {}, spec: Partial<InvocationSpec> = {}): Job {
  return {
    id: 'inv-1',
    kind: 'async',
    team: 'local',
    principal: LOCAL_PRINCIPAL,
    state: 'running',
    spec: toRecord({ ...SPEC, ...spec }),
    labels: {},
    lane: 'chat',
    startByMs: 1_700_000_060_000,
    counts: { total: null, succeeded: 0, failed: 0 },
    createdMs: 1_700_000_000_000,
    startedMs: 1_700_000_001_000,
    endedMs: null,
    expiresMs: 1_700_009_000_000,
    cancelRequestedMs: null,
    attempt: 1,
    error: null,
    result: null,
    ...changes,
  }
}

export class ScriptedLease implements JobLease {
  readonly controller = new AbortController()
  readonly signal = this.controller.signal
  readonly kept = new Map<number, RecordOutcome>()
  readonly records = {
    put: async (outcome: RecordOutcome): Promise<void> => void (this.kept.has(outcome.index) || this.kept.set(outcome.index, outcome)),
    finished: (): AsyncGenerator<RecordOutcome> => this.outcomes(),
    read: (): AsyncGenerator<RecordOutcome> => this.outcomes(),
  }

  note(): void {}

  private async *outcomes(): AsyncGenerator<RecordOutcome> {
    yield* this.kept.values()
  }
}
