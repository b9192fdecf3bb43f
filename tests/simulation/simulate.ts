/**
 * One seeded run of a whole engine core on null kernels. All that acts on the core (arrivals, aborts, finished choices, probes,
 * close, a failing executor) is drawn from the seed and happens inside the core's own callbacks and steps, so a seed replays
 * exactly. Everything that reliability.md section 1.5 demands is checked while it runs.
 */
import { assert } from '#base/assert'
import { FakeClock } from '#base/fake-clock'
import { SeededRandom } from '#base/random'
import { InferdError } from '#contract/errors'
import { LANE_RANK } from '#contract/lane'
import { EngineCore } from '#engine/engine-core'
import { bindNullExecutor } from './null-core.ts'
import { SimulatedRequest } from './simulated-request.ts'
import { POISON_TOKEN_ID, drawRequest, drawScenario } from './scenario.ts'
import { prefixHashes } from './oracle.ts'
import type { Executor } from '#engine/kernels/kernels'
import type { TokenRequest, TokenSink } from '#engine/scheduler/token-request'
import type { Scenario } from './scenario.ts'
import type { RequestObserver } from './simulated-request.ts'

/** What the generator reached: a run that never preempts proves nothing about preemption. */
export interface SimulationReport {
  numSteps: number
  computedTokens: number
  numRequests: number
  numEnded: number
  numPreemptions: number
  numCopiedBlocks: number
  cachedTokens: number
  numForks: number
  numEmbeddings: number
  numCancelledWaiting: number
  numCancelledRunning: number
  numFinishedChoices: number
  numNonFinite: number
  numGuideFailures: number
  numStuck: number
  numForcedTokens: number
  numMasks: number
  numCompleted: number
  numOverloaded: number
  numRefused: number
  numShutDown: number
  numLost: number
  numProbes: number
  waitStepsMax: number
  lifetimeStepsMax: number
}

export function emptyReport(): SimulationReport {
  return {
    numSteps: 0,
    computedTokens: 0,
    numRequests: 0,
    numEnded: 0,
    numPreemptions: 0,
    numCopiedBlocks: 0,
    cachedTokens: 0,
    numForks: 0,
    numEmbeddings: 0,
    numCancelledWaiting: 0,
    numCancelledRunning: 0,
    numFinishedChoices: 0,
    numNonFinite: 0,
    numGuideFailures: 0,
    numStuck: 0,
    numForcedTokens: 0,
    numMasks: 0,
    numCompleted: 0,
    numOverloaded: 0,
    numRefused: 0,
    numShutDown: 0,
    numLost: 0,
    numProbes: 0,
    waitStepsMax: 0,
    lifetimeStepsMax: 0,
  }
}

/** Sums of counters, maxima of maxima. */
export function addReport(total: SimulationReport, report: SimulationReport): void {
  for (const key of Object.keys(total) as (keyof SimulationReport)[]) {
    total[key] = key.endsWith('Max') ? Math.max(total[key], report[key]) : total[key] + report[key]
  }
}

/** Runs until the core has made numSteps steps, then drains, closes or breaks it. Rejects with the seed in the message. */
export async function simulate({ seed, numSteps }: { readonly seed: number; readonly numSteps: number }): Promise<SimulationReport> {
  try {
    return await new Simulation(seed, numSteps).run()
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    const replay = `node --conditions=inferd-source tests/simulation/replay.ts ${seed} ${numSteps}`
    throw new Error(`simulation seed ${seed}: ${message} (replay: ${replay})`, { cause: error })
  }
}

class Simulation implements RequestObserver {
  private readonly random: SeededRandom
  private readonly scenario: Scenario
  private readonly numSteps: number
  private readonly report = emptyReport()
  private readonly live = new Set<SimulatedRequest>()
  /** By salt: hashes of all content that may be cached. */
  private readonly contents = new Map<string, Set<number>>()
  private readonly clock = new FakeClock()
  private core: EngineCore | null = null
  private epoch = 0
  private turn = 0
  private numAccepted = 0
  private numStarts = 0
  private numForcedTokens = 0
  private isDraining = false
  private isOver = false
  private finish: (error: unknown) => void = () => undefined

  constructor(seed: number, numSteps: number) {
    this.random = new SeededRandom(seed)
    this.scenario = drawScenario(this.random)
    this.numSteps = numSteps
  }

  async run(): Promise<SimulationReport> {
    const { options } = this.scenario
    const inner = await bindNullExecutor(options, { nonFiniteAfterTokens: new Set([POISON_TOKEN_ID]) })
    const over = new Promise<unknown>((resolve) => {
      this.finish = resolve
    })
    const core = new EngineCore({
      executor: this.interfere(inner),
      options,
      clock: this.clock,
      onTurnEnd: () => this.guard(() => this.onTurnEnd()),
      onBroken: (error) => this.guard(() => this.onBroken(error)),
    })
    this.core = core
    this.guard(() => this.submitUntilBusy())
    const failure = await over
    if (failure !== null) {
      await core.close()
      throw failure
    }
    await core.close()
    this.checkEnd(core)
    return this.report
  }

  onStarted(started: SimulatedRequest): void {
    const { report } = this
    const { options } = this.scenario
    this.numStarts++
    for (const waiting of this.live) {
      if (waiting.hasStarted || waiting.arrivalEpoch >= this.epoch) continue
      const behind =
        LANE_RANK[started.request.lane] - LANE_RANK[waiting.request.lane] ||
        started.order.orderKey - waiting.order.orderKey ||
        started.order.arrivalIndex - waiting.order.arrivalIndex
      assert(behind < 0, 'a request was passed by one behind it')
    }
    const waitSteps = this.stepsOf(started)
    // Each start while it waited, and each place that was taken before, can hold it up for a few contexts of steps at most.
    const bound = (this.numStarts - started.numStartsAtArrival + options.maxSequences + 1) * 8 * options.contextLength
    assert(waitSteps <= bound, `a request waited ${waitSteps} steps`)
    report.waitStepsMax = Math.max(report.waitStepsMax, waitSteps)
    this.checkCached(started)
  }

  onDelivered(request: SimulatedRequest): void {
    // From inside a callback: the core is in the middle of a delivery.
    this.perhapsAct(request)
    if (this.chance(this.scenario.arrivalChance / 8)) this.submit()
  }

  onTerminated(request: SimulatedRequest): void {
    const { report } = this
    assert(this.live.delete(request), 'a request ended twice')
    report.numEnded++
    report.numEmbeddings += request.hasEmbedding ? 1 : 0
    report.numCompleted += request.numCompleted
    this.numForcedTokens += request.numForcedTokens
    report.lifetimeStepsMax = Math.max(report.lifetimeStepsMax, this.stepsOf(request))
    this.rememberContent(request.request.cacheSalt, request.contentHashes())
    const code = request.error?.code ?? null
    if (code === 'cancelled' && request.hasStarted) report.numCancelledRunning++
    else if (code === 'cancelled') report.numCancelledWaiting++
    else if (code === 'non_finite_logits') report.numNonFinite++
    else if (code === 'internal') report.numGuideFailures++
    else if (code === 'invalid_parameter') report.numStuck++
    else if (code === 'shutting_down') report.numShutDown++
    else if (code === 'replica_lost') report.numLost++
    else assert(code === null, `a request failed with ${code}`)
    if (code === 'shutting_down' || code === 'replica_lost') assert(this.isDraining, 'nothing was shut down')
    if (this.chance(this.scenario.arrivalChance / 4)) this.submit()
  }

  /** The executor with things that happen while a step runs. */
  private interfere(inner: Executor): Executor {
    return {
      memory: inner.memory,
      copyBlocks: (pairs) => inner.copyBlocks(pairs),
      keepWeights: () => inner.keepWeights(),
      close: () => inner.close(),
      runStep: async (batch, sampling) => {
        this.epoch++
        if (this.isDraining && this.scenario.ending === 'executor-failure') throw new Error('the device is gone')
        const output = await inner.runStep(batch, sampling)
        await this.clock.advance(1 + batch.numTokens * this.scenario.msPerToken)
        this.guard(() => this.act())
        return output
      },
    }
  }

  private onTurnEnd(): void {
    const core = this.openCore()
    this.turn++
    if (!core.stats().isBroken) core.checkInvariants()
    for (const request of this.live) {
      assert(request.abortTurn === null || request.abortTurn >= this.turn - 1, 'an aborted request lives on for more than one turn')
    }
    const stats = core.stats()
    if (stats.numSteps >= this.numSteps && !this.isDraining) this.beginEnding(core)
    if (this.isDraining) {
      if (this.scenario.ending === 'drain' && this.live.size === 0) this.end(null)
      return
    }
    this.act()
    this.submitUntilBusy()
  }

  private beginEnding(core: EngineCore): void {
    this.submitUntilBusy()
    this.isDraining = true
    if (this.scenario.ending !== 'close') return
    core.close().then(
      () => this.end(null),
      (error: unknown) => this.end(error),
    )
  }

  private onBroken(error: unknown): void {
    const isExpected =
      this.isDraining && this.scenario.ending === 'executor-failure' && error instanceof Error && error.message === 'the device is gone'
    this.end(isExpected ? null : error)
  }

  private act(): void {
    if (this.chance(this.scenario.arrivalChance)) this.submit()
    for (const request of this.live) this.perhapsAct(request)
    if (this.chance(0.01)) this.probe()
  }

  private perhapsAct(request: SimulatedRequest): void {
    if (request.hasEnded || request.handle === null) return
    if (this.chance(this.scenario.abortChance / 4)) {
      request.abortTurn ??= this.turn
      request.handle.abort()
    }
    if (request.choices.length > 0 && this.chance(this.scenario.finishChance)) {
      const choice = this.random.nextInt(request.choices.length)
      if (request.choices[choice]!.hasEnded) return
      request.finishAsked.add(choice)
      this.report.numFinishedChoices++
      request.handle.finishChoice(choice)
    }
  }

  private probe(): void {
    const askedAt = this.turn
    this.openCore()
      .probe()
      .then(
        () => {
          this.report.numProbes++
          this.guard(() => assert(this.turn <= askedAt + 3, 'a probe was answered late'))
        },
        (error: unknown) => this.guard(() => assert(this.isDraining && error instanceof InferdError, 'a probe failed')),
      )
  }

  private submitUntilBusy(): void {
    while (this.live.size === 0 && !this.isOver) this.submit()
  }

  private submit(): void {
    if (this.isDraining || this.live.size >= this.scenario.maxLiveRequests) return
    const core = this.openCore()
    const request = drawRequest(this.random, this.scenario)
    const { contextLength, numBlocks, blockSize, priorityAgingSteps } = this.scenario.options
    const arrivalStep = core.stats().numSteps
    const simulated = new SimulatedRequest({
      request,
      contextTokens: Math.min(contextLength, numBlocks * blockSize),
      observer: this,
      arrivalStep,
      arrivalEpoch: this.epoch,
      numStartsAtArrival: this.numStarts,
      order: { orderKey: arrivalStep + request.priority * priorityAgingSteps, arrivalIndex: this.numAccepted },
    })
    this.report.numRequests++
    try {
      simulated.handle = core.submit(request, this.guardedSink(simulated))
    } catch (error) {
      this.checkRefusal(request, error)
      return
    }
    this.numAccepted++
    this.live.add(simulated)
    this.report.numForks += simulated.choices.length > 1 ? 1 : 0
  }

  private checkRefusal(request: TokenRequest, error: unknown): void {
    const { contextLength, numBlocks, blockSize, maxWaitingRequests } = this.scenario.options
    const numNeeded = request.promptTokenIds.length
    if (!(error instanceof InferdError)) throw error
    if (error.code === 'overloaded') {
      assert(this.live.size >= maxWaitingRequests, 'a request was refused by an empty queue')
      this.report.numOverloaded++
      return
    }
    const expected = numNeeded > contextLength ? 'context_length_exceeded' : numNeeded > numBlocks * blockSize ? 'insufficient_memory' : 'none'
    assert(error.code === expected, `a request was refused with ${error.code}, expected ${expected}`)
    this.report.numRefused++
  }

  /** Hits may only name content that was computed under the same salt. */
  private checkCached(started: SimulatedRequest): void {
    const { cacheSalt, promptTokenIds } = started.request
    this.report.cachedTokens += started.cachedTokens
    if (started.cachedTokens === 0) return
    for (const other of this.live) {
      if (other.hasStarted && other !== started && other.request.cacheSalt === cacheSalt) this.rememberContent(cacheSalt, other.contentHashes())
    }
    const hash = prefixHashes(promptTokenIds)[started.cachedTokens - 1]!
    assert(this.contents.get(cacheSalt)?.has(hash) === true, 'a prefix hit on content that this salt never computed')
    assert(this.scenario.options.enablePrefixCache && started.cachedTokens % this.scenario.options.blockSize === 0, 'a hit without a cached block')
  }

  private rememberContent(salt: string, hashes: readonly number[]): void {
    const known = this.contents.get(salt) ?? new Set()
    this.contents.set(salt, known)
    for (const hash of hashes) known.add(hash)
  }

  private checkEnd(core: EngineCore): void {
    const stats = core.stats()
    assert(this.live.size === 0, 'a request has no terminal event')
    if (!stats.isBroken) {
      core.checkInvariants()
      assert(stats.numFreeBlocks === stats.numBlocks && stats.numRunning === 0 && stats.numWaiting === 0, 'blocks or sequences are left')
    }
    assert(stats.numSinkFailures === 0, 'a check failed inside a callback')
    assert(stats.numForcedTokens >= this.numForcedTokens, 'a token was delivered as forced that was sampled')
    this.report.numForcedTokens = stats.numForcedTokens
    this.report.numMasks = stats.numMasks
    this.report.numSteps = stats.numSteps
    this.report.computedTokens = stats.computedTokens
    this.report.numPreemptions = stats.numPreemptions
    this.report.numCopiedBlocks = stats.numCopiedBlocks
  }

  private guardedSink(sink: TokenSink): TokenSink {
    return {
      onStart: (promptTokens, cachedTokens) => this.guard(() => sink.onStart(promptTokens, cachedTokens)),
      onToken: (choice, tokenId, logprobs) => this.guard(() => sink.onToken(choice, tokenId, logprobs)),
      onChoiceEnd: (choice, reason, stopTokenId) => this.guard(() => sink.onChoiceEnd(choice, reason, stopTokenId)),
      onEmbedding: (mean) => this.guard(() => sink.onEmbedding(mean)),
      onEnd: (usage) => this.guard(() => sink.onEnd(usage)),
      onError: (error, usage) => this.guard(() => sink.onError(error, usage)),
    }
  }

  /** A failed check must end the run, not be taken for a failing sink or executor. */
  private guard(work: () => void): void {
    if (this.isOver) return
    try {
      work()
    } catch (error) {
      this.end(error)
    }
  }

  private end(error: unknown): void {
    if (this.isOver) return
    this.isOver = true
    this.finish(error)
  }

  private stepsOf(request: SimulatedRequest): number {
    return this.openCore().stats().numSteps - request.arrivalStep
  }

  private openCore(): EngineCore {
    assert(this.core !== null, 'the simulation has a core')
    return this.core
  }

  private chance(probability: number): boolean {
    return this.random.nextFloat() < probability
  }
}
