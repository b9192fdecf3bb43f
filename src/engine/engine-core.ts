/**
 * The step loop: decide, apply, run, commit, emit. One core owns one executor, its KV blocks and every sequence on them. Nothing
 * acts on the scheduler from outside: callers leave requests and wishes, and the loop takes them up between steps.
 */
import { InferdError } from '#contract/errors'
import type { SamplingChange } from '#contract/generate'
import { BugError, assert } from '#base/assert'
import { checkEngineCoreOptions } from '#engine/engine-core-options'
import { deliverEvent } from '#engine/deliver-event'
import { ModelRunner } from '#engine/model-runner'
import { LogprobsView } from '#engine/sampling/logprobs'
import { BackgroundShare } from '#engine/scheduler/background-share'
import { Scheduler } from '#engine/scheduler/scheduler'
import { StepEvents } from '#engine/scheduler/step-events'
import type { Clock } from '#base/clock'
import type { EngineCoreOptions, EngineCoreStats } from '#engine/engine-core-options'
import type { Executor, StepOutput } from '#engine/kernels/kernels'
import type { ActiveRequest } from '#engine/scheduler/active-request'
import type { RequestHandle, TokenRequest, TokenSink } from '#engine/scheduler/token-request'

export interface EngineCoreParts {
  /** Owned: closed by close(). Bound with stepLimits(options) and the same numBlocks and blockSize. */
  readonly executor: Executor
  readonly options: EngineCoreOptions
  /** Read for figures of steps, and for how long those of the background may be. */
  readonly clock: Clock
  /** Called at the end of each turn, after its callbacks: flush one message per step here. Must not throw. */
  readonly onTurnEnd?: () => void
  /** Called once when the core breaks (executor failure or bug), after every request has got its onError. */
  readonly onBroken?: (error: unknown) => void
  /** A sink threw: a bug of its owner. Its request ends with `internal`. */
  readonly onSinkFailure?: (error: unknown) => void
  /** A guide threw something else than an InferdError: a bug of its owner. Its request ends with `internal`. Must not throw. */
  readonly onGuideFailure?: (error: unknown) => void
}

/** What a caller wants of a request, kept until the loop takes it up. */
type Wish =
  | { readonly kind: 'abort'; readonly request: ActiveRequest }
  | { readonly kind: 'finish-choice'; readonly request: ActiveRequest; readonly choice: number }
  | { readonly kind: 'adjust'; readonly request: ActiveRequest; readonly change: SamplingChange }

interface Probe {
  readonly resolve: () => void
  readonly reject: (error: InferdError) => void
}

export class EngineCore {
  private readonly parts: EngineCoreParts
  private readonly scheduler: Scheduler
  private readonly runner: ModelRunner
  private readonly events = new StepEvents()
  private readonly logprobs = new LogprobsView()
  /** Requests without a terminal callback. */
  private readonly live = new Set<ActiveRequest>()
  private readonly backgroundShare: BackgroundShare
  private wishes: Wish[] = []
  private probes: Probe[] = []
  private wake: (() => void) | null = null
  private isClosing = false
  private failure: InferdError | null = null
  private closed: Promise<void> | null = null
  private readonly loopEnd: Promise<void>
  private stepMsSum = 0
  private executorMsSum = 0
  private stepMsMax = 0
  private numSinkFailures = 0

  constructor(parts: EngineCoreParts) {
    checkEngineCoreOptions(parts.options)
    this.parts = parts
    this.backgroundShare = new BackgroundShare(parts.options.maxTokensPerStep, parts.clock)
    this.scheduler = new Scheduler(parts.options, { onGuideFailure: (error) => parts.onGuideFailure?.(error), backgroundShare: this.backgroundShare })
    this.runner = new ModelRunner(parts.executor, parts.options, parts.clock)
    this.loopEnd = this.loop()
  }

  /**
   * Queues a request. Throws InferdError and calls no sink when it can be refused now: context_length_exceeded,
   * insufficient_memory, invalid_parameter, overloaded, shutting_down, replica_lost.
   */
  submit(request: TokenRequest, sink: TokenSink): RequestHandle {
    this.requireOpen()
    const active = this.scheduler.submit(request, sink)
    this.live.add(active)
    if (active.lane !== 'background') this.backgroundShare.noteArrival(active)
    this.wakeLoop()
    return {
      abort: () => this.wish({ kind: 'abort', request: active }),
      finishChoice: (choice) => this.wish({ kind: 'finish-choice', request: active, choice }),
      adjust: (change) => this.wish({ kind: 'adjust', request: active, change }),
    }
  }

  /** Resolves after the step loop has turned once; an idle loop runs an empty turn. Rejects when the core is broken or closed. */
  async probe(): Promise<void> {
    this.requireOpen()
    await new Promise<void>((resolve, reject) => {
      this.probes.push({ resolve, reject })
      this.wakeLoop()
    })
  }

  stats(): EngineCoreStats {
    const { scheduler } = this
    const { pool } = scheduler.blocks
    return {
      ...scheduler.counters,
      numWaiting: scheduler.numWaiting,
      numRunning: scheduler.numRunning,
      numBlocks: pool.numBlocks,
      numFreeBlocks: pool.numFreeBlocks,
      numCachedBlocks: pool.numCachedBlocks,
      stepMsSum: this.stepMsSum,
      executorMsSum: this.executorMsSum,
      stepMsMax: this.stepMsMax,
      numMasks: this.runner.masks.numMasks,
      maskMsSum: this.runner.masks.maskMsSum,
      numSinkFailures: this.numSinkFailures,
      isBroken: this.failure !== null,
    }
  }

  /** Ends every request with `shutting_down` after the step in flight, then closes the executor. */
  close(): Promise<void> {
    this.closed ??= this.shutDown()
    return this.closed
  }

  /** Throws BugError unless blocks, sequences and queue agree. Not cheap: for tests. */
  checkInvariants(): void {
    this.scheduler.checkInvariants()
    for (const request of this.live) assert(!request.hasEnded || this.events.numEvents > 0, 'an ended request waits for its terminal event')
  }

  private async shutDown(): Promise<void> {
    this.isClosing = true
    this.wakeLoop()
    await this.loopEnd
    await this.parts.executor.close()
  }

  private async loop(): Promise<void> {
    try {
      while (!this.isClosing) {
        if (this.isIdle()) await this.sleep()
        await this.turn()
        // Steps of an executor that answers at once would otherwise keep every other event of the process waiting.
        await new Promise<void>((resolve) => setImmediate(resolve))
      }
      const error = new InferdError('shutting_down', 'the engine is shutting down')
      this.scheduler.abortAll(error, this.events)
      this.deliver(null)
      this.rejectProbes(error)
      this.parts.onTurnEnd?.()
    } catch (error) {
      this.breakDown(error)
    }
  }

  private async turn(): Promise<void> {
    const { clock } = this.parts
    const startMs = clock.nowMs()
    this.takeUpWishes()
    const plan = this.scheduler.plan(this.events)
    if (plan !== null) {
      const step = this.runner.prepare(plan)
      const executorStartMs = clock.nowMs()
      const output = await this.runner.run(step)
      this.executorMsSum += clock.nowMs() - executorStartMs
      this.backgroundShare.noteStep(clock.nowMs() - startMs, plan.numBackgroundTokens)
      this.grantWishes()
      this.scheduler.commit(plan, output, this.events)
      this.deliver(output)
      this.takeUpWishes()
      const stepMs = clock.nowMs() - startMs
      this.stepMsSum += stepMs
      this.stepMsMax = Math.max(this.stepMsMax, stepMs)
    }
    const { probes } = this
    this.probes = []
    for (const probe of probes) probe.resolve()
    this.parts.onTurnEnd?.()
  }

  /** Grants wishes and delivers what comes of it, until the callbacks wish for nothing more. */
  private takeUpWishes(): void {
    while (this.wishes.length > 0) {
      this.grantWishes()
      this.deliver(null)
    }
  }

  private grantWishes(): void {
    const { wishes } = this
    if (wishes.length === 0) return
    this.wishes = []
    for (const wish of wishes) {
      switch (wish.kind) {
        case 'abort':
          this.scheduler.abort(wish.request, new InferdError('cancelled', 'the request was cancelled'), this.events)
          break
        case 'finish-choice':
          this.scheduler.finishChoice(wish.request, wish.choice, this.events)
          break
        case 'adjust':
          wish.request.adjust(wish.change)
      }
    }
  }

  /** Calls the sinks with the collected events. output: of the step whose tokens are among them. */
  private deliver(output: StepOutput | null): void {
    const { events } = this
    for (let index = 0; index < events.numEvents; index++) {
      const event = events.at(index)
      const request = event.request
      assert(request !== null, 'an event without a request')
      if (event.kind === 'end' || event.kind === 'error') this.live.delete(request)
      if (event.kind !== 'start') this.backgroundShare.noteAnswer(request, event.kind === 'token')
      if (request.isMuted) continue
      try {
        deliverEvent(event, { request, output, logprobs: this.logprobs })
      } catch (error) {
        this.muteSink(request, error)
        this.wish({ kind: 'abort', request })
      }
    }
    events.clear()
  }

  /** A sink that throws is a bug of its owner: it gets its terminal call, then nothing more. */
  private muteSink(request: ActiveRequest, error: unknown): void {
    this.numSinkFailures++
    this.parts.onSinkFailure?.(error)
    request.isMuted = true
    try {
      request.sink.onError(new InferdError('internal', 'the answer could not be delivered', { cause: error }), request.usage())
    } catch {
      // It cannot even take its end; the failure above is counted and told.
    }
  }

  /** The executor failed or an invariant broke: the state cannot be trusted, so every request ends here and nothing more is taken. */
  private breakDown(error: unknown): void {
    this.failure = failureOf(error)
    for (const request of this.live) {
      request.hasEnded = true
      if (request.isMuted) continue
      try {
        request.sink.onError(this.failure, request.usage())
      } catch (sinkError) {
        this.numSinkFailures++
        this.parts.onSinkFailure?.(sinkError)
      }
    }
    this.live.clear()
    this.rejectProbes(this.failure)
    this.parts.onTurnEnd?.()
    this.parts.onBroken?.(error)
  }

  private rejectProbes(error: InferdError): void {
    for (const probe of this.probes) probe.reject(error)
    this.probes = []
  }

  private wish(wish: Wish): void {
    if (wish.request.hasEnded || this.failure !== null) return
    this.wishes.push(wish)
    this.wakeLoop()
  }

  private isIdle(): boolean {
    return !this.scheduler.hasWork && this.wishes.length === 0 && this.probes.length === 0
  }

  private async sleep(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.wake = resolve
    })
  }

  private wakeLoop(): void {
    this.wake?.()
    this.wake = null
  }

  private requireOpen(): void {
    if (this.failure !== null) throw new InferdError('replica_lost', 'the engine has failed and takes no more requests', { cause: this.failure })
    if (this.isClosing) throw new InferdError('shutting_down', 'the engine is shutting down')
  }
}

/** What callers are told: an InferdError in its own words, a bug as `internal`, anything else as a lost replica. */
function failureOf(error: unknown): InferdError {
  if (error instanceof InferdError) return error
  if (error instanceof BugError) return new InferdError('internal', 'the engine failed', { cause: error })
  return new InferdError('replica_lost', 'the engine failed while it computed a step', { cause: error })
}
