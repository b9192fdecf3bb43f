/**
 * Runs that outlive their connection, in this process: how many there may be, how long each may take, and the frames of those that are
 * followed. Frames are kept for a while after the end, under a bound over all runs; a run goes on when its frames are dropped.
 */
import type { Clock } from '#base/clock'
import { InferdError } from '#contract/errors'
import type { BackgroundRun, BackgroundRuns, ResponseKey } from '#contract/stored-response'
import { FrameLog } from './frame-log.ts'

export interface BackgroundRunOptions {
  readonly clock: Clock
  readonly maxRuns: number
  readonly maxRunsPerTeam: number
  readonly runTimeoutMs: number
  /** UTF-16 units of all kept frames. */
  readonly maxKeptCharacters: number
  readonly keepFramesMs: number
}

export const DEFAULT_BACKGROUND_RUN_OPTIONS: Omit<BackgroundRunOptions, 'clock'> = {
  maxRuns: 256,
  maxRunsPerTeam: 64,
  runTimeoutMs: 3_600_000,
  maxKeptCharacters: 64 * 2 ** 20,
  keepFramesMs: 300_000,
}

interface Run {
  readonly team: string
  readonly controller: AbortController
  readonly ended: Promise<void>
}

const RETRY_AFTER_MS = 5000
/** A comment of server-sent events: what the proxies on the way see while the model is silent. */
const HEARTBEAT = ': keep-alive\n\n'
const HEARTBEAT_MS = 15_000

export class DetachedRuns implements BackgroundRuns {
  private readonly options: BackgroundRunOptions
  /** By response id, from before `prepare` to the end. */
  private readonly runs = new Map<string, Run>()
  /** Of running and recently ended runs, oldest first. */
  private readonly logs = new Map<string, { readonly team: string; readonly log: FrameLog }>()
  private numKeptCharacters = 0
  private readonly closing = new AbortController()

  constructor(options: BackgroundRunOptions) {
    this.options = options
  }

  get numRunning(): number {
    return this.runs.size
  }

  async start({ team, id, prepare, work }: BackgroundRun): Promise<void> {
    this.checkRoom(team)
    const controller = new AbortController()
    const { promise: ended, resolve } = Promise.withResolvers<void>()
    this.runs.set(id, { team, controller, ended })
    const finish = (): void => {
      this.runs.delete(id)
      resolve()
    }
    try {
      await prepare()
    } catch (error) {
      finish()
      throw error
    }
    // The end of its work is the end of it, whichever it was: what failed is told by the work itself.
    void this.run({ team, id, prepare, work }, controller).then(finish, finish)
  }

  async cancel({ team, id }: ResponseKey): Promise<boolean> {
    const run = this.runs.get(id)
    if (run === undefined || run.team !== team) return false
    run.controller.abort(new InferdError('cancelled', 'the response was cancelled'))
    await run.ended
    return true
  }

  follow({ team, id }: ResponseKey, after: number, signal: AbortSignal): AsyncIterable<string> | null {
    const kept = this.logs.get(id)
    return kept === undefined || kept.team !== team ? null : this.read(kept.log, after, signal)
  }

  /** Takes no new run, lets those that there are go on for `graceMs` and then ends them; resolves when their ends are kept. */
  async close({ graceMs = 0 }: { readonly graceMs?: number } = {}): Promise<void> {
    this.closing.abort()
    const runs = [...this.runs.values()]
    const allEnded = Promise.all(runs.map(({ ended }) => ended))
    const waiting = new AbortController()
    const grace = this.options.clock.sleep(graceMs, waiting.signal).catch(() => {})
    await Promise.race([allEnded, grace])
    waiting.abort()
    for (const { controller } of runs) controller.abort(new InferdError('shutting_down', 'the server is shutting down'))
    await allEnded
  }

  private checkRoom(team: string): void {
    const { maxRuns, maxRunsPerTeam } = this.options
    if (this.closing.signal.aborted) throw new InferdError('shutting_down', 'the server is shutting down')
    const ofTeam = [...this.runs.values()].filter((run) => run.team === team).length
    if (this.runs.size >= maxRuns || ofTeam >= maxRunsPerTeam) {
      throw new InferdError('overloaded', 'too many responses run in the background', { retryAfterMs: RETRY_AFTER_MS })
    }
  }

  private async run({ team, id, work }: BackgroundRun, controller: AbortController): Promise<void> {
    const { clock, runTimeoutMs, keepFramesMs } = this.options
    const over = new AbortController()
    clock.sleep(runTimeoutMs, over.signal).then(
      () => controller.abort(new InferdError('deadline_exceeded', `the response took longer than ${runTimeoutMs} ms`)),
      () => {},
    )
    const log = new FrameLog()
    this.logs.set(id, { team, log })
    try {
      await work(controller.signal, (frame) => this.note(log, frame))
    } finally {
      over.abort()
      log.end()
      const drop = (): void => this.drop(id)
      if (log.numFrames === 0) drop()
      else clock.sleep(keepFramesMs, this.closing.signal).then(drop, drop)
    }
  }

  private note(log: FrameLog, frame: string): void {
    if (!log.append(frame)) return
    this.numKeptCharacters += frame.length
    while (this.numKeptCharacters > this.options.maxKeptCharacters) {
      const [oldest] = this.logs.keys()
      if (oldest === undefined) return
      this.drop(oldest)
    }
  }

  private drop(id: string): void {
    const kept = this.logs.get(id)
    if (kept === undefined) return
    this.logs.delete(id)
    this.numKeptCharacters -= kept.log.numCharacters
    kept.log.drop()
  }

  private async *read(log: FrameLog, after: number, signal: AbortSignal): AsyncGenerator<string> {
    let next = after + 1
    while (!signal.aborted) {
      const frames = log.from(next)
      if (frames === null) throw new InferdError('overloaded', 'the frames of this response are not kept any more')
      next += frames.length
      yield* frames
      if (frames.length > 0) continue
      if (log.isEnded) return
      const waited = new AbortController()
      const beat = this.options.clock.sleep(HEARTBEAT_MS, AbortSignal.any([signal, waited.signal])).then(
        () => true,
        () => false,
      )
      const isSilent = await Promise.race([beat, log.changed().then(() => false)])
      waited.abort()
      if (isSilent) yield HEARTBEAT
    }
  }
}
