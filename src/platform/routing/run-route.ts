/**
 * One generation over the targets of a route: attempts one after the other, a second one beside a slow one, and the first answer
 * that may be shown is the only one that is. Nothing is tried again once a piece was shown.
 */
import type { Clock } from '#base/clock'
import type { OnlineCall } from '#contract/call'
import { InferdError, toErrorRecord, type ErrorCode } from '#contract/errors'
import type { GenerateEvent } from '#contract/generate'
import type { CallHandler } from '#platform/online/stage'
import { Attempt } from './attempt.ts'
import { classOf, isWorthRetry } from './failure-class.ts'
import type { RetryBudget } from './retry-budget.ts'
import { type RouteDefinition, watchesFirstPiece } from './route-definition.ts'
import type { TargetHealth } from './target-health.ts'

export interface RouteRun {
  readonly route: RouteDefinition
  /** Target of the first attempt. */
  readonly first: string
  readonly call: OnlineCall
  readonly handlerOf: (model: string) => CallHandler
  readonly healthOf: (model: string) => TargetHealth
  readonly isLoading: (model: string) => boolean
  readonly budget: RetryBudget
  readonly clock: Clock
}

/** Throws InferdError when no target answers; rejects with the signal's reason when it aborts. */
export async function* runRoute(run: RouteRun, signal: AbortSignal): AsyncGenerator<GenerateEvent, void> {
  run.budget.earn()
  const winner = await new RouteSearch(run, signal).find()
  run.call.report.servedBy = winner.model
  yield* winner.rest()
}

/** The targets of one call, as they are used up. */
class RouteSearch {
  private readonly run: RouteRun
  private readonly signal: AbortSignal
  private readonly tried = new Set<string>()
  private numRetries = 0
  private lastError: InferdError | null = null

  constructor(run: RouteRun, signal: AbortSignal) {
    this.run = run
    this.signal = signal
  }

  async find(): Promise<Attempt> {
    let model: string | null = this.run.first
    while (model !== null) {
      this.signal.throwIfAborted()
      this.tried.add(model)
      const opened = await this.tryTarget(model)
      if (opened instanceof Attempt) return opened
      model = this.after(model, opened.code)
    }
    throw this.lastError ?? new InferdError('upstream_failed', 'no model of the route answered')
  }

  /** An attempt that may be shown, or why there is none. */
  private async tryTarget(model: string): Promise<Attempt | InferdError> {
    if (this.run.isLoading(model) && this.nextFallback('model_loading') !== null)
      return this.note(model, new InferdError('model_loading', `model '${model}' is still loading`))
    const attempt = this.start(model)
    if (attempt instanceof InferdError) return this.note(model, attempt)
    try {
      return await this.openHedged(attempt)
    } catch (error) {
      this.signal.throwIfAborted()
      return this.note(model, asInferdError(error))
    }
  }

  private start(model: string): Attempt | InferdError {
    const { call, clock, route, healthOf, handlerOf } = this.run
    const health = healthOf(model)
    if (!health.admit(clock.nowMs())) {
      const { code, retryAfterMs } = health.refusal(clock.nowMs())
      return new InferdError(code, `the model '${model}' is left alone for a while: it failed too often`, { retryAfterMs })
    }
    const isUnwanted = (code: ErrorCode): boolean => this.nextFallback(code) !== null
    const isHeldWhole = call.isBuffered && route.fallbacks.length > 0
    const { firstPieceTimeoutMs } = route
    const isTimed = !call.isBuffered || watchesFirstPiece(route)
    const terms = { call, handler: handlerOf(model), health, clock, firstPieceTimeoutMs, isTimed, isHeldWhole, isUnwanted }
    return new Attempt(terms, this.signal)
  }

  /** The first of this attempt and, when it is slow, a second one beside it. */
  private async openHedged(attempt: Attempt): Promise<Attempt> {
    const { route, clock, budget, healthOf } = this.run
    if (route.hedge === null) return opened(attempt)
    const slowMs = Math.max(route.hedge.minDelayMs, healthOf(attempt.model).times.quantileMs(route.hedge.quantile) ?? 0)
    const patience = new AbortController()
    const slow = clock.sleep(slowMs, patience.signal).then(
      () => null,
      () => null,
    )
    const first = opened(attempt)
    first.catch(() => {})
    try {
      const early = await Promise.race([first, slow])
      if (early !== null) return early
    } finally {
      patience.abort()
    }
    const second = this.hedgeTarget(attempt.model)
    if (second === null || !budget.take()) return first
    const beside = this.start(second)
    if (beside instanceof InferdError) return first
    this.tried.add(second)
    return this.firstOf(attempt, beside)
  }

  private async firstOf(attempt: Attempt, beside: Attempt): Promise<Attempt> {
    const both = [attempt, beside]
    for (const one of both) one.opened.catch((error: unknown) => !this.signal.aborted && one === beside && this.note(one.model, asInferdError(error)))
    try {
      const winner = await Promise.any(both.map(opened))
      for (const one of both) if (one !== winner) one.giveUp('lost')
      if (winner === beside) this.run.call.report.attempts.push({ model: attempt.model, error: 'deadline_exceeded' })
      return winner
    } catch (error) {
      throw error instanceof AggregateError ? error.errors[0] : error
    }
  }

  private hedgeTarget(model: string): string | null {
    const { fallbacks, variants } = this.run.route
    const other = [...fallbacks.filter(({ on }) => on.includes('timeout')), ...variants].find((target) => !this.tried.has(target.model))
    return other?.model ?? (this.tried.size === 1 ? model : null)
  }

  /** The same target once more, the next fallback for this failure, or null: give up. */
  private after(model: string, code: ErrorCode): string | null {
    const { route, budget } = this.run
    if (isWorthRetry(code) && this.numRetries < route.maxRetries && budget.take()) {
      this.numRetries++
      return model
    }
    return this.nextFallback(code)
  }

  private nextFallback(code: ErrorCode): string | null {
    const failureClass = classOf(code)
    if (failureClass === null) return null
    return this.run.route.fallbacks.find((target) => target.on.includes(failureClass) && !this.tried.has(target.model))?.model ?? null
  }

  private note(model: string, error: InferdError): InferdError {
    this.run.call.report.attempts.push({ model, error: error.code })
    this.lastError = error
    return error
  }
}

async function opened(attempt: Attempt): Promise<Attempt> {
  await attempt.opened
  return attempt
}

function asInferdError(error: unknown): InferdError {
  if (error instanceof InferdError) return error
  const { code, message } = toErrorRecord(error)
  return new InferdError(code, message, { cause: error })
}
