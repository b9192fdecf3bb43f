/** For tests: a dialect of one-word lines, a desk's lease and a shelf, all in memory. */
import type { BatchFormat, BatchPlan } from '#contract/batch'
import { InferdError } from '#contract/errors'
import type { Job, JobCounts } from '#contract/job'
import { LOCAL_PRINCIPAL } from '#contract/principal'
import type { FileShelf, StoredFile } from '#contract/stored-file'
import type { JobLease, RecordOutcome } from '#platform/jobs/job-handler'

/** A line is its custom id; `bad` spoils the input, `no` is refused. Usage: one token in for each record. */
export const WORD_FORMAT: BatchFormat = {
  dialect: 'openai',
  maxRecords: 1000,
  hasUniqueIds: true,
  hasErrorFile: true,
  headers: { 'x-format': 'word' },
  readRecord: (line) => {
    const word = line.kind === 'text' ? line.text : 'bad'
    if (word === 'bad') return { kind: 'fault', fault: { code: 'bad_word', message: 'a bad word', param: null, line: line.number } }
    return word === 'no' ? { kind: 'refused', customId: word, line: 'no: refused' } : { kind: 'call', customId: word, body: word }
  },
  encodeAnswer: ({ customId }, { status }) => ({ isOk: status === 200, line: `${customId}: ${status}` }),
  encodeTimeout: ({ customId }) => `${customId}: timeout`,
  encodeUnfinished: ({ customId }, reason) => `${customId}: ${reason}`,
  readUsage: () => ({ inputTokens: 1, cachedTokens: 0, outputTokens: 2, reasoningTokens: 0 }),
}

const TEAM = 'red'

export function batchJob(fileId: string, change: Partial<Job> = {}): Job {
  const plan: BatchPlan = {
    dialect: 'openai',
    endpoint: '/v1/words',
    input: { kind: 'file', fileId },
    output: { kind: 'files', expiresAfterS: null },
    numRecords: null,
    terms: {},
  }
  return {
    id: 'batch_1',
    kind: 'batch',
    team: TEAM,
    principal: { ...LOCAL_PRINCIPAL, team: TEAM },
    state: 'running',
    spec: plan as unknown as Job['spec'],
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

/** Outcomes outlive the lease: give them to the next one. */
export class FakeLease implements JobLease {
  readonly kept: Map<number, RecordOutcome>
  readonly notes: JobCounts[] = []
  readonly puts: number[] = []
  private readonly aborting = new AbortController()
  readonly signal = this.aborting.signal
  /** Called before an outcome is kept. */
  onPut: (outcome: RecordOutcome) => Promise<void> | void = () => {}

  constructor(kept = new Map<number, RecordOutcome>()) {
    this.kept = kept
  }

  readonly records: JobLease['records'] = {
    put: async (outcome) => {
      await this.onPut(outcome)
      this.puts.push(outcome.index)
      if (!this.kept.has(outcome.index)) this.kept.set(outcome.index, outcome)
    },
    finished: () => this.ascending(),
    read: () => this.ascending(),
  }

  note(counts: JobCounts): void {
    this.notes.push(counts)
  }

  abort(code: 'cancelled' | 'shutting_down'): void {
    this.aborting.abort(new InferdError(code, `aborted: ${code}`))
  }

  private async *ascending(): AsyncGenerator<RecordOutcome> {
    yield* [...this.kept.values()].toSorted((left, right) => left.index - right.index)
  }
}

/** Holds what `receiveResult` was given, and one input. */
export class FakeShelf implements FileShelf {
  readonly maxFileBytes = 1_000_000
  readonly results = new Map<string, { readonly file: StoredFile; readonly text: string }>()
  numCommits = 0
  input: string | null

  constructor(input: string | null) {
    this.input = input
  }

  receive(): never {
    throw new RangeError('batches publish results')
  }

  async receiveResult(team: string, id: string): ReturnType<FileShelf['receiveResult']> {
    const pieces: Uint8Array[] = []
    return {
      write: async (chunk) => void pieces.push(chunk),
      commit: async ({ filename, purpose }) => {
        this.numCommits++
        const text = Buffer.concat(pieces).toString()
        const file = { id, team, filename, purpose, numBytes: text.length, sha256: '00', createdMs: 0, expiresMs: null }
        if (!this.results.has(id)) this.results.set(id, { file, text })
        return this.results.get(id)?.file ?? file
      },
      abandon: async () => {},
    }
  }

  async get(team: string, id: string): Promise<StoredFile | null> {
    if (this.input === null || id !== 'file-in') return null
    return { id, team, filename: 'in', purpose: 'batch', numBytes: this.input.length, sha256: '00', createdMs: 0, expiresMs: null }
  }

  list(): never {
    throw new RangeError('batches list nothing')
  }

  async *read(): AsyncGenerator<Uint8Array> {
    yield Buffer.from(this.input ?? '')
  }

  async delete(): Promise<boolean> {
    return false
  }

  textOf(id: string | null | undefined): string | null {
    return this.results.get(id ?? '')?.text ?? null
  }
}
