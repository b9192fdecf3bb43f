/**
 * Compiles output specifications on a thread of its own, one after the other, so that a hostile schema costs its sender a refusal and
 * nobody a token. The thread starts with the first job; one that passes its time is ended with its job, and the next job gets a new one.
 */
import { Worker } from 'node:worker_threads'
import { assert } from '#base/assert'
import type { Clock } from '#base/clock'
import { fromErrorRecord, InferdError } from '#contract/errors'
import type { Automaton } from '#engine/grammar/automaton'
import type { CompileAnswer } from './compile-messages.ts'
import { keyOf, type OutputSpec } from './output-spec.ts'

export interface GrammarCompilerOptions {
  /** Processor time of one compilation: the same schema is refused on a busy machine and on a quiet one, or on neither. */
  readonly maxCompileMs: number
  /** Of one compilation by the clock; the machine is then too busy for it. */
  readonly maxWaitMs: number
  /** The thread must have loaded its code by then. */
  readonly maxStartMs: number
  /** Jobs that wait or run, and the length of all their keys; what goes beyond is refused as overloaded. */
  readonly maxJobs: number
  readonly maxQueuedLength: number
  /** Heap of the thread. */
  readonly maxHeapMb: number
  readonly clock: Clock
  /** Processor milliseconds that a thread has used so far. */
  readonly cpuMsOf?: (worker: Worker) => Promise<number>
}

interface Job {
  readonly id: number
  readonly spec: OutputSpec
  readonly length: number
  readonly resolve: (automaton: Automaton) => void
  readonly reject: (error: InferdError) => void
}

/** What is needed to judge the first job. */
interface RunningJob {
  readonly worker: Worker
  readonly startCpuMs: number
  readonly startMs: number
}

/** A job that has nearly used its time is looked at so often. */
const MIN_LOOK_MS = 50
const RUNS_FROM_SOURCE = import.meta.url.endsWith('.ts')

export class GrammarCompiler {
  private readonly options: GrammarCompilerOptions
  /** In order of arrival; the first runs when `deadline` is set. */
  private readonly jobs: Job[] = []
  private worker: Worker | null = null
  private isReady = false
  /** As of its last answer. */
  private threadCpuMs = 0
  /** Of what the thread does now: starting, or the first job. */
  private deadline: AbortController | null = null
  private numJobs = 0
  private queuedLength = 0
  private isClosed = false

  constructor(options: GrammarCompilerOptions) {
    this.options = options
  }

  /**
   * Rejects with InferdError: invalid_parameter (refused, or too slow), overloaded, shutting_down, internal. Aborting takes a waiting job
   * out of the line; one that runs is finished for nobody.
   */
  compile(spec: OutputSpec, signal: AbortSignal): Promise<Automaton> {
    if (this.isClosed) return Promise.reject(closingError())
    if (signal.aborted) return Promise.reject(cancelledError())
    const { length } = keyOf(spec)
    if (this.jobs.length >= this.options.maxJobs || this.queuedLength + length > this.options.maxQueuedLength) {
      return Promise.reject(new InferdError('overloaded', `${this.jobs.length} grammars wait to be compiled already`))
    }
    return new Promise((resolve, reject) => {
      const job: Job = { id: this.numJobs++, spec, length, resolve, reject }
      this.jobs.push(job)
      this.queuedLength += length
      const onAbort = (): void => this.drop(job)
      signal.addEventListener('abort', onAbort, { once: true })
      if (this.jobs.length === 1) this.next()
    })
  }

  /** Starts the thread ahead of the first job, which is then not kept waiting for it. */
  warm(): void {
    if (this.worker === null && !this.isClosed) this.startThread()
  }

  async close(): Promise<void> {
    this.isClosed = true
    this.stopClock()
    for (const job of this.jobs.splice(0)) job.reject(closingError())
    const { worker } = this
    // What the thread has still sent is delivered when it ends, and is nobody's any more.
    this.worker = null
    this.isReady = false
    await worker?.terminate()
  }

  private drop(job: Job): void {
    const index = this.jobs.indexOf(job)
    // The first is with the thread; its answer finds nobody listening.
    if (index > 0) {
      this.jobs.splice(index, 1)
      this.queuedLength -= job.length
    }
    job.reject(cancelledError())
  }

  /** Gives the thread its next job, when there is one. */
  private next(): void {
    const job = this.jobs[0]
    if (job === undefined || this.isClosed) return
    if (this.worker === null) this.startThread()
    if (!this.isReady) return
    const worker = this.worker!
    const startMs = this.options.clock.nowMs()
    const run: RunningJob = { worker, startCpuMs: this.threadCpuMs, startMs }
    // A thread that gives no answer has ended, which is told elsewhere.
    const look = (): void => void this.judge(job, run, look).catch(() => {})
    this.startClock(this.options.maxCompileMs, look)
    // The message of a worker thread, not of a window.
    // oxlint-disable-next-line unicorn/require-post-message-target-origin
    worker.postMessage({ job: job.id, spec: job.spec })
  }

  /** A job that is not done after its time by the clock: has it used as much, or was the machine busy with others? */
  private async judge(job: Job, run: RunningJob, lookAgain: () => void): Promise<void> {
    const { maxCompileMs, maxWaitMs, clock } = this.options
    // Asked only of a job that is slow: each question costs some memory for good (Node 26.10).
    const usedMs = (await this.cpuMsOf(run.worker)) - run.startCpuMs
    if (run.worker !== this.worker || this.jobs[0] !== job) return
    const isTooSlow = usedMs >= maxCompileMs
    if (!isTooSlow && clock.nowMs() - run.startMs < maxWaitMs) {
      this.startClock(Math.max(MIN_LOOK_MS, maxCompileMs - usedMs), lookAgain)
      return
    }
    this.endThread()
    this.settle(job.id, (late) => late.reject(isTooSlow ? tooSlow(maxCompileMs) : tooBusy()))
  }

  private cpuMsOf(worker: Worker): Promise<number> {
    return this.options.cpuMsOf?.(worker) ?? cpuMsOf(worker)
  }

  private startThread(): void {
    const entry = new URL(RUNS_FROM_SOURCE ? './compile-thread.ts' : './compile-thread.js', import.meta.url)
    const worker = new Worker(entry, {
      name: 'inferd grammar compiler',
      env: {},
      execArgv: RUNS_FROM_SOURCE ? ['--conditions=inferd-source'] : [],
      resourceLimits: { maxOldGenerationSizeMb: this.options.maxHeapMb },
    })
    worker.unref()
    worker.on('message', (answer: CompileAnswer) => {
      if (worker === this.worker) this.take(answer)
    })
    // Out of memory, or a bug: either way this job is what the thread did.
    worker.on('error', (cause) => {
      if (worker === this.worker) this.fail(cause)
    })
    this.worker = worker
    this.isReady = false
    this.startClock(this.options.maxStartMs, () => this.fail(new Error('the grammar compiler did not start')))
  }

  private take(answer: CompileAnswer): void {
    this.stopClock()
    this.threadCpuMs = answer.cpuMs
    switch (answer.type) {
      case 'ready':
        this.isReady = true
        this.next()
        return
      case 'compiled':
        this.settle(answer.job, (job) => job.resolve(answer.automaton))
        return
      case 'failed':
        this.settle(answer.job, (job) => job.reject(fromErrorRecord(answer.error)))
    }
  }

  private fail(cause: unknown): void {
    this.endThread()
    const job = this.jobs[0]
    if (job === undefined) return
    const isMemory = cause instanceof Error && 'code' in cause && cause.code === 'ERR_WORKER_OUT_OF_MEMORY'
    const error = isMemory
      ? new InferdError('invalid_parameter', `the output's grammar needs more than ${this.options.maxHeapMb} MB to compile`, {
          param: 'output.format',
        })
      : new InferdError('internal', 'the grammar compiler failed', { cause })
    this.settle(job.id, (failed) => failed.reject(error))
  }

  private endThread(): void {
    this.stopClock()
    // Its exit is waited for by nobody: it holds nothing.
    void this.worker?.terminate()
    this.worker = null
    this.isReady = false
  }

  /** Ends the first job, and goes on with the next. */
  private settle(id: number, end: (job: Job) => void): void {
    const job = this.jobs.shift()
    assert(job !== undefined && job.id === id, 'the thread answers the job that it was given')
    this.queuedLength -= job.length
    end(job)
    this.next()
  }

  private startClock(durationMs: number, onEnd: () => void): void {
    const controller = new AbortController()
    this.deadline = controller
    this.options.clock.sleep(durationMs, controller.signal).then(onEnd, () => {})
  }

  private stopClock(): void {
    this.deadline?.abort()
    this.deadline = null
  }
}

async function cpuMsOf(worker: Worker): Promise<number> {
  const { user, system } = await worker.cpuUsage()
  return (user + system) / 1000
}

function tooBusy(): InferdError {
  return new InferdError('overloaded', 'the machine is too busy to compile the grammar of the output')
}

function tooSlow(maxCompileMs: number): InferdError {
  return new InferdError('invalid_parameter', `the output's grammar takes more than ${maxCompileMs} ms of processor time to compile`, {
    param: 'output.format',
  })
}

function cancelledError(): InferdError {
  return new InferdError('cancelled', 'the request was cancelled')
}

function closingError(): InferdError {
  return new InferdError('shutting_down', 'the engine is shutting down')
}
