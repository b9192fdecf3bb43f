/**
 * Runs jobs in this process: claims what waits, watches what it holds, and takes over from holders that have died. Nothing here is
 * trusted to be alone: every write says which attempt it is of, and the store refuses those of an older one.
 */
import { InferdError } from '#contract/errors'
import type { JobKind } from '#contract/job'
import type { JobChange, JobRow } from '#platform/store/job-rows'
import type { NewRecord, RecordVerdict } from '#platform/store/job-record-store'
import { chooseJobs } from './choose-jobs.ts'
import { GroupCommit } from './group-commit.ts'
import { HeldJob } from './held-job.ts'
import { HolderWatch } from './holder-watch.ts'
import type { JobHandler } from './job-handler.ts'
import { changed, claim, doomOf, type FaultTerms, giveBack, orphan } from './job-machine.ts'
import { KeptRecords } from './kept-records.ts'
import { DEFAULT_JOB_RUNNER_OPTIONS, type JobRunnerOptions, type JobRunnerParts } from './runner-parts.ts'

const MAX_CHANGES = 500
const MAX_WAITING_WRITES = 65_536
const TAKEN_PER_LOOK = 500
const OVER = new InferdError('shutting_down', 'the runner of jobs has stopped')

export class JobRunner {
  private readonly parts: JobRunnerParts
  private readonly options: JobRunnerOptions
  private readonly handlers: ReadonlyMap<JobKind, JobHandler>
  private readonly watch: HolderWatch
  private readonly changes: GroupCommit<JobChange, boolean>
  private readonly recordWriter: GroupCommit<NewRecord, RecordVerdict>
  private readonly held = new Set<HeldJob>()
  /** null = not known in the store, or not any more. */
  private holder: string | null = null
  private beatAtMs = Number.NEGATIVE_INFINITY
  private isDraining = false
  private readonly over = new AbortController()
  /** The round of claims that runs, and whether another is wanted behind it. */
  private claiming: Promise<void> | null = null
  private wantsClaims = false
  private looking: Promise<void> | null = null
  private isFailing = false

  constructor(parts: JobRunnerParts) {
    const { store, handlers, clock, isGone } = parts
    this.parts = parts
    this.options = parts.options ?? DEFAULT_JOB_RUNNER_OPTIONS
    this.handlers = new Map(handlers.map((handler) => [handler.kind, handler]))
    this.watch = new HolderWatch({ leaseMs: this.options.leaseMs, clock, isGone })
    this.changes = new GroupCommit({
      write: async (changes) => (await store.apply(changes)) ?? [],
      maxGroup: MAX_CHANGES,
      maxWaiting: MAX_WAITING_WRITES,
    })
    this.recordWriter = new GroupCommit({ write: (records) => store.records.put(records), maxGroup: MAX_CHANGES, maxWaiting: MAX_WAITING_WRITES })
  }

  get numHeld(): number {
    return this.held.size
  }

  /** Once. Looks at the store at once, and then whenever there is news and now and then. */
  start(): void {
    this.parts.news.listen({ onWork: () => this.claimSoon(), onCancel: (id) => this.stopAll(id) })
    this.looking = this.look()
  }

  /**
   * Takes no more jobs; those that run are told and given back, or ended when they end within the grace. What does not let go in time is
   * given back without it: its writes are refused from then on. Never rejects.
   */
  async drain(graceMs: number): Promise<void> {
    const { clock, store, log } = this.parts
    this.isDraining = true
    // At once, and again for what a claim under way brings.
    this.stopHeld()
    await this.claiming
    this.stopHeld()
    const grace = new AbortController()
    const tooLate = clock.sleep(graceMs, grace.signal).catch(() => {})
    while (this.held.size > 0) if ((await Promise.race([this.nextEnd(), tooLate.then(() => 'late' as const)])) === 'late') break
    grace.abort(OVER)
    const left = [...this.held]
    for (const job of left) job.stop('lost')
    this.over.abort(OVER)
    await this.looking
    try {
      if (left.length > 0) await store.apply(left.map(({ row }) => giveBack(row)))
      if (this.holder !== null) await store.dropHolder(this.holder, null)
    } catch (err) {
      log.warn({ err, jobs: left.length }, 'the store does not take back what the runner of jobs held: another one will find it')
    }
  }

  private stopHeld(): void {
    for (const job of this.held) job.stop('stopped')
  }

  private async look(): Promise<void> {
    const { clock } = this.parts
    while (!this.over.signal.aborted) {
      await this.trying(() => this.lookOnce())
      this.claimSoon()
      await clock.sleep(this.options.lookMs, this.over.signal).catch(() => {})
    }
  }

  private async lookOnce(): Promise<void> {
    const { clock, store } = this.parts
    if (clock.nowMs() - this.beatAtMs >= this.options.beatMs) await this.beat()
    await this.watchHeld()
    const overdue = await store.overdue(clock.wallMs(), TAKEN_PER_LOOK)
    const dooms = overdue.flatMap((row) => doomOf(row, clock.wallMs()) ?? [])
    if (dooms.length > 0) await store.apply(dooms)
  }

  private async beat(): Promise<void> {
    const { store, clock, newHolderId } = this.parts
    if (this.holder !== null && !(await store.beat(this.holder))) this.loseAll()
    if (this.holder === null && !this.isDraining) {
      const id = newHolderId()
      await store.addHolder(id)
      this.holder = id
    }
    this.beatAtMs = clock.nowMs()
    const others = (await store.holders()).filter(({ id }) => id !== this.holder)
    for (const { id, beat } of this.watch.look(others)) await store.dropHolder(id, beat)
    await this.takeOver()
  }

  /** Jobs of holders that nobody knows any more go back in line. */
  private async takeOver(): Promise<void> {
    const { store, log } = this.parts
    const orphans = await store.orphans(TAKEN_PER_LOOK)
    if (orphans.length === 0) return
    await store.apply(orphans.map((row) => orphan(row, this.faultTerms(row))))
    log.warn({ jobs: orphans.length }, 'jobs of a runner that has died are in line again')
  }

  private loseAll(): void {
    this.parts.log.warn({ jobs: this.held.size }, 'this runner of jobs was declared dead: what it held is lost to others')
    this.holder = null
    for (const job of this.held) job.stop('lost')
  }

  private async watchHeld(): Promise<void> {
    const { store, clock } = this.parts
    if (this.holder === null || this.held.size === 0) return
    for (const id of await store.cancelRequested(this.holder)) this.stopAll(id)
    for (const job of this.held) if (job.row.expires_ms <= clock.wallMs()) job.stop('expired')
    const notes = [...this.held].flatMap((job) => (job.end === null ? (job.takeNote() ?? []) : []))
    if (notes.length === 0) return
    await store.apply(notes)
    for (const { id } of notes) this.parts.news.tell(id)
  }

  private stopAll(id: string): void {
    for (const job of this.held) if (job.row.id === id) job.stop('cancelled')
  }

  private claimSoon(): void {
    this.wantsClaims = true
    this.claiming ??= this.claimAll().finally(() => {
      this.claiming = null
      // Wanted in the moment in which the last round ended.
      if (this.wantsClaims && !this.isDraining) this.claimSoon()
    })
  }

  private async claimAll(): Promise<void> {
    while (this.wantsClaims && !this.isDraining && this.holder !== null) {
      this.wantsClaims = false
      if (await this.trying(() => this.claimOnce())) this.wantsClaims = true
    }
    this.wantsClaims = false
  }

  /** True: something was moved, so that there may be more. */
  private async claimOnce(): Promise<boolean> {
    const { store, clock } = this.parts
    const { holder } = this
    if (holder === null) return false
    const nowMs = clock.wallMs()
    const numClosing = [...this.held].filter(({ row }) => row.phase === 'closing').length
    const { maxClosing, maxBackoffMs } = this.options
    const moment = { nowMs, maxDelayMs: maxBackoffMs }
    const limit = maxClosing - numClosing
    // What this process does not know how to close is another's.
    const rows = limit > 0 && this.handlers.size > 0 ? [...(await store.doomed([...this.handlers.keys()], { ...moment, limit }))] : []
    for (const handler of this.handlers.values()) rows.push(...(await chooseJobs(store, this.roomOf(handler), moment)))
    const moves = rows.map((row) => ({ row, change: (row.phase === 'waiting' ? doomOf(row, nowMs) : null) ?? claim(row, holder, nowMs) }))
    if (moves.length === 0) return false
    const made = await store.apply(
      moves.map(({ change }) => change),
      holder,
    )
    if (made === null) this.loseAll()
    for (const [index, { row, change }] of moves.entries()) if (made?.[index] === true) this.take(changed(row, change))
    return made?.includes(true) ?? false
  }

  private roomOf({ kind, maxRunning, maxRunningIn }: JobHandler): Parameters<typeof chooseJobs>[1] {
    const running = [...this.held].flatMap(({ row }) => (row.kind === kind && row.phase === 'running' ? [row.lane] : []))
    const numIn = (lane: string): number => running.filter((each) => each === lane).length
    return { kind, numFree: maxRunning - running.length, numFreeIn: (lane) => (maxRunningIn?.(lane) ?? maxRunning) - numIn(lane) }
  }

  private take(row: JobRow): void {
    const { store, clock, news } = this.parts
    news.tell(row.id)
    const handler = this.handlers.get(row.kind)
    if (row.holder === null || handler === undefined) return
    const records = new KeptRecords(store.records, this.recordWriter, row)
    const job = new HeldJob({ row, handler, records, wallMs: () => clock.wallMs(), faultTerms: (each) => this.faultTerms(each) })
    this.held.add(job)
    if (this.isDraining) job.stop('stopped')
    void this.see(job)
  }

  /** Until the job is let go of. */
  private async see(job: HeldJob): Promise<void> {
    for (let change = await job.work(); change !== null && (await this.write(job, change)); change = await job.work()) {
      job.row = changed(job.row, change)
      this.parts.news.tell(job.row.id)
      if (job.row.holder === null) break
    }
    this.held.delete(job)
    this.onEnd?.()
    if (job.row.phase === 'ended') void this.trying(() => this.parts.store.records.clear(job.row.id))
    this.claimSoon()
  }

  /** As long as the store fails the job stays held. False: it is somebody else's. */
  private async write(job: HeldJob, change: JobChange): Promise<boolean> {
    const { clock, log } = this.parts
    for (let numFailures = 0; ; numFailures++) {
      try {
        return await this.changes.add(change)
      } catch (err) {
        if (numFailures === 0) log.error({ err, job: change.id }, 'the store does not take what became of a job: it is kept until it does')
        await clock.sleep(this.backoffMs(numFailures), this.over.signal).catch(() => {})
        if (this.over.signal.aborted || job.end === 'lost') return false
      }
    }
  }

  private onEnd: (() => void) | null = null

  private nextEnd(): Promise<void> {
    return new Promise((resolve) => {
      this.onEnd = resolve
    })
  }

  private faultTerms(row: JobRow): FaultTerms {
    return { maxFaults: this.options.maxFaults, backoffMs: this.backoffMs(row.num_faults), nowMs: this.parts.clock.wallMs() }
  }

  private backoffMs(numFaults: number): number {
    const { minBackoffMs, maxBackoffMs } = this.options
    return Math.round(Math.min(maxBackoffMs, minBackoffMs * 2 ** Math.min(numFaults, 16)) * (0.5 + this.parts.random.nextFloat() / 2))
  }

  /** False when the store fails; told once until it works again. */
  private async trying(work: () => Promise<boolean | void>): Promise<boolean> {
    try {
      const isMoved = await work()
      this.isFailing = false
      return isMoved === true
    } catch (err) {
      if (!this.isFailing) this.parts.log.error({ err }, 'the store of jobs fails')
      this.isFailing = true
      return false
    }
  }
}
