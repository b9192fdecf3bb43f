/** The last handler of the online path: from the name that a caller used to the model that answers. */
import type { Clock } from '#base/clock'
import type { Random } from '#base/random'
import type { OnlineCall, OnlineEmbedCall, Picodollars } from '#contract/call'
import { InferdError, toErrorRecord } from '#contract/errors'
import { NO_USAGE, type CountRequest, type EmbedResult, type GenerateEvent, type Usage } from '#contract/generate'
import type { Principal } from '#contract/principal'
import { mayCall, type CallableModel, type OnlineModels } from '#platform/online/online-models'
import type { CallHandler, Stage } from '#platform/online/stage'
import type { ModelDirectory, ServedModel, ServedModelState } from '#platform/registry/served-model'
import { DEFAULT_BREAKER_POLICY, type BreakerPolicy } from './circuit-breaker.ts'
import { isWorthRetry } from './failure-class.ts'
import { decideRoute, type RouteDecision } from './plan-route.ts'
import { DEFAULT_RETRY_BUDGET, RetryBudget, type RetryBudgetPolicy } from './retry-budget.ts'
import { targetsOf, type RouteDefinition, type RouteShadow, watchesFirstPiece } from './route-definition.ts'
import { RouteCounts, type PriceOf, type RoutingStats } from './route-stats.ts'
import { directRoute, RouteTable } from './route-table.ts'
import { runRoute } from './run-route.ts'
import type { ShadowCalls } from './shadow-calls.ts'
import { TargetHealth } from './target-health.ts'

export interface RoutingOptions {
  readonly models: ModelDirectory
  readonly routes: readonly RouteDefinition[]
  readonly clock: Clock
  readonly random: Random
  /** Wraps a target, innermost: the quality monitor. Asked once for each model. */
  readonly targetStage?: (model: string) => Stage
  /** For the saving that the prompt router reports; free when not given. */
  readonly priceOf?: PriceOf
  readonly breaker?: BreakerPolicy
  readonly shadows?: ShadowCalls
  readonly retryBudget?: RetryBudgetPolicy
}

export interface RoutingHandler extends OnlineModels {
  /** Names of the models that may answer to a name: the route's, or the model itself. Empty for an unknown name. */
  targetsOf(name: string): readonly string[]
  stats(): RoutingStats
  /** A name for models that are there, new or in the place of one that was put before; calls that run are not touched. Throws conflict. */
  putRoute(route: RouteDefinition): void
  /** Whether neither a model nor a route that was there from the start has it. */
  isFreeName(name: string): boolean
  removeRoute(name: string): void
  /** Of a model that is gone: what was known of it. */
  forget(model: string): void
}

/** Throws invalid_parameter for a route that cannot be. */
export function routingHandler(options: RoutingOptions): RoutingHandler {
  return new Routing(options)
}

class Routing implements RoutingHandler {
  private readonly options: RoutingOptions
  private readonly table: RouteTable
  private readonly budget: RetryBudget
  /** By name of a model: bounded by the models of the server. */
  private readonly health = new Map<string, TargetHealth>()
  private readonly counts = new Map<string, RouteCounts>()
  /** By name of a model. */
  private readonly handlers = new Map<string, CallHandler>()
  /** Of routes that watch for the first piece. */
  private readonly streamedHandlers = new Map<string, CallHandler>()

  constructor(options: RoutingOptions) {
    this.options = options
    this.table = new RouteTable(options.routes, (name) => options.models.find(name) !== null)
    this.budget = new RetryBudget(options.retryBudget ?? DEFAULT_RETRY_BUDGET)
  }

  list(principal: Principal): readonly CallableModel[] {
    const models = this.options.models.list().filter(({ name }) => this.table.find(name) === null)
    const own = this.table.routes.filter(({ team }) => team === null || team === principal.team)
    const routes = own.flatMap((route) => namesFor(principal, route).map((name) => this.viewOf(route, name)))
    return [...models.filter(({ name }) => mayCall(principal, name)), ...routes]
  }

  find(principal: Principal, name: string): CallableModel | null {
    const route = this.table.find(name)
    if (route === null) return mayCall(principal, name) && !this.isHidden(name) ? this.options.models.find(name) : null
    if (route.team !== null && route.team !== principal.team) return null
    return mayCall(principal, name) || mayCall(principal, route.name) ? this.viewOf(route) : null
  }

  /** A name behind which only one model can answer gives that model's events themselves. */
  generate(call: OnlineCall, signal: AbortSignal): AsyncIterable<GenerateEvent> {
    const route = this.need(call.principal, call.model)
    const decision = decideRoute(route, call.request, this.options.random)
    call.report.routeReason = decision.reason
    for (const shadow of route.shadows) this.copyTo(shadow, call)
    if (!isPlain(route)) return this.search(route, decision, call, signal)
    call.report.servedBy = decision.model
    if (route.name !== decision.model) this.countsOf(route).add(decision.model, true, 0n)
    return this.handlerOf(decision.model)(call, signal)
  }

  private async *search(route: RouteDefinition, decision: RouteDecision, call: OnlineCall, signal: AbortSignal): AsyncGenerator<GenerateEvent, void> {
    const { clock } = this.options
    const run = {
      route,
      first: decision.model,
      call,
      clock,
      budget: this.budget,
      handlerOf: (model: string) => this.handlerOf(model, watchesFirstPiece(route)),
      healthOf: (model: string) => this.healthOf(model),
      isLoading: (model: string) => this.needModel(model).state.kind === 'loading',
    }
    let usage = NO_USAGE
    try {
      for await (const event of runRoute(run, signal)) {
        if (event.type === 'response-end' || event.type === 'response-error') {
          usage = event.usage
          this.settle(route, decision, call, usage)
        }
        yield event
      }
    } finally {
      if (usage === NO_USAGE) this.settle(route, decision, call, null)
    }
  }

  /** Vectors of two models have nothing in common: a route's first model answers, or none. */
  async embed(call: OnlineEmbedCall, signal: AbortSignal): Promise<EmbedResult> {
    const route = this.need(call.principal, call.model)
    const [name] = targetsOf(route)
    const model = this.needModel(name!)
    this.budget.earn()
    call.report.routeReason = `alias ${route.name}`
    for (let numRetries = 0; ; numRetries++) {
      const health = this.admitted(model.name)
      try {
        const result = await model.embed(call.request, signal, call.onStart)
        health.succeed(this.options.clock.nowMs())
        call.report.servedBy = model.name
        return result
      } catch (error) {
        const { code } = toErrorRecord(error)
        if (signal.aborted) health.release(this.options.clock.nowMs())
        else health.fail(code, this.options.clock.nowMs())
        if (signal.aborted || !isWorthRetry(code) || numRetries >= route.maxRetries || !this.budget.take()) throw error
        call.report.attempts.push({ model: model.name, error: code })
      }
    }
  }

  async countTokens(principal: Principal, model: string, request: CountRequest, signal: AbortSignal): Promise<number> {
    const [first] = targetsOf(this.need(principal, model))
    return this.needModel(first!).countTokens(request, signal)
  }

  targetsOf(name: string): readonly string[] {
    const route = this.table.find(name)
    if (route !== null) return targetsOf(route)
    return this.options.models.find(name) === null ? [] : [name]
  }

  stats(): RoutingStats {
    return { routes: [...this.counts.values()].map(({ stats }) => stats), targets: [...this.health.values()].map(({ stats }) => stats) }
  }

  putRoute(route: RouteDefinition): void {
    this.table.put(route)
  }

  isFreeName(name: string): boolean {
    return this.options.models.find(name) === null && this.table.isFree(name)
  }

  removeRoute(name: string): void {
    this.table.remove(name)
    this.counts.delete(name)
  }

  forget(model: string): void {
    for (const known of [this.handlers, this.streamedHandlers, this.health]) known.delete(model)
  }

  private copyTo({ model, percent }: RouteShadow, call: OnlineCall): void {
    const served = this.options.models.find(model)
    if (served !== null && this.options.random.nextFloat() * 100 < percent) this.options.shadows?.send(served, call)
  }

  private isHidden(name: string): boolean {
    return this.options.models.isHidden?.(name) ?? false
  }

  private viewOf(route: RouteDefinition, name = route.name): CallableModel {
    const models = targetsOf(route).map((name) => this.needModel(name))
    return {
      name,
      createdSeconds: Math.min(...models.map(({ createdSeconds }) => createdSeconds)),
      get state(): ServedModelState {
        return bestState(models)
      },
      whileLoading: async (signal) => {
        if (bestState(models).kind === 'loading') await models.find(({ state }) => state.kind === 'loading')?.whileLoading(signal)
      },
    }
  }

  private need(principal: Principal, name: string): RouteDefinition {
    if (this.find(principal, name) === null) throw new InferdError('model_not_found', 'the model does not exist on this server', { param: 'model' })
    return this.table.find(name) ?? directRoute(name)
  }

  private needModel(name: string): ServedModel {
    const model = this.options.models.find(name)
    if (model === null) throw new InferdError('model_not_found', 'a model of the route does not exist on this server', { param: 'model' })
    return model
  }

  /** `isStreamed`: also where the caller waits for the whole answer. */
  private handlerOf(name: string, isStreamed = false): CallHandler {
    const handlers = isStreamed ? this.streamedHandlers : this.handlers
    const known = handlers.get(name)
    if (known !== undefined) return known
    const model = this.needModel(name)
    const ask: CallHandler = (call, signal) => model.generate(call.request, signal, call.isBuffered && !isStreamed ? 'whole' : 'stream')
    const handler = this.options.targetStage?.(name)(ask) ?? ask
    handlers.set(name, handler)
    return handler
  }

  private healthOf(model: string): TargetHealth {
    let health = this.health.get(model)
    if (health === undefined) this.health.set(model, (health = new TargetHealth(model, this.options.breaker ?? DEFAULT_BREAKER_POLICY)))
    return health
  }

  private countsOf({ name }: RouteDefinition): RouteCounts {
    const known = this.counts.get(name)
    if (known !== undefined) return known
    const counts = new RouteCounts(name)
    // A call may outlive its route, and is not to bring back what was forgotten.
    if (this.table.find(name) !== null) this.counts.set(name, counts)
    return counts
  }

  private admitted(model: string): TargetHealth {
    const nowMs = this.options.clock.nowMs()
    const health = this.healthOf(model)
    if (health.admit(nowMs)) return health
    const { code, retryAfterMs } = health.refusal(nowMs)
    throw new InferdError(code, `the model '${model}' is left alone for a while: it failed too often`, { retryAfterMs })
  }

  /** `usage`: null = nothing was answered. */
  private settle(route: RouteDefinition, decision: RouteDecision, { report }: OnlineCall, usage: Usage | null): void {
    if (report.servedBy === null) return
    const saving = usage === null ? 0n : this.savingOf(route, report.servedBy, usage)
    if (saving > 0n && decision.difficulty !== null) report.routeReason = `${decision.reason}, saves about $${(Number(saving) / 1e12).toFixed(6)}`
    this.countsOf(route).add(report.servedBy, report.servedBy === decision.model, saving)
  }

  private savingOf(route: RouteDefinition, servedBy: string, usage: Usage): Picodollars {
    const dearest = route.byDifficulty.at(-1)
    const { priceOf } = this.options
    return dearest === undefined || priceOf === undefined ? 0n : priceOf(dearest.model, usage) - priceOf(servedBy, usage)
  }
}

/** A route is listed by its own name, and to those who may not say that one by the aliases that they may. */
function namesFor(principal: Principal, { name, aliases }: RouteDefinition): readonly string[] {
  return mayCall(principal, name) ? [name] : aliases.filter((alias) => mayCall(principal, alias))
}

/** Nothing to choose, to repeat or to wait for. */
function isPlain(route: RouteDefinition): boolean {
  const { variants, byDifficulty, fallbacks, maxRetries } = route
  const isSingle = variants.length === 1 && byDifficulty.length === 0 && fallbacks.length === 0
  return isSingle && maxRetries === 0 && !watchesFirstPiece(route)
}

function bestState(models: readonly ServedModel[]): ServedModelState {
  const states = models.map(({ state }) => state)
  return (
    (['ready', 'asleep', 'loading'] as const).map((wanted) => states.find(({ kind }) => kind === wanted)).find((state) => state !== undefined) ??
    states[0]!
  )
}
