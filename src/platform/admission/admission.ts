/**
 * Who may begin, and when: rates of key and team, money reserved, a place at the model. What a call holds is given back once, by `settle`,
 * which the metering of the call owes for every call that it has seen, whatever became of it.
 */
import type { Clock } from '#base/clock'
import { type Random, randomId } from '#base/random'
import type { AdmissionConfig } from '#config/platform-file/admission'
import type { OnlineCall, OnlineEmbedCall, Picodollars, ServiceTier } from '#contract/call'
import { InferdError } from '#contract/errors'
import type { PriceTable } from '#platform/metering/price-table'
import type { Settlement } from '#platform/metering/settlement'
import type { BudgetBook, BudgetLine } from './budget-book.ts'
import { CallerLimitTable, type CallerHold } from './caller-limits.ts'
import { estimateCall, estimateEmbedding, type TokenEstimate } from './estimate-tokens.ts'
import { type GateCall, type GateFigures, ModelGate, type Ticket } from './model-gate.ts'
import type { ReservationLog } from './reservation-log.ts'
import type { UnitBook, UnitShare } from '#platform/provisioned/unit-book'

export type AdmittedCall = OnlineCall | OnlineEmbedCall

/** What the models say of themselves. */
export interface ModelTerms {
  /** Calls of names with one answer wait in one line: an alias may name the model behind it. */
  queueOf(model: string): string
  /** Every model that may answer for this name; the dearest bounds the reservation. */
  candidates(model: string): readonly string[]
  /** Of the largest candidate; null = not known. */
  contextLength(model: string): number | null
  /** Sequences that the model runs at a time, over all replicas; null = not known. */
  maxSequences(queue: string): number | null
  /** Choices that it may be given at a time, whatever it could run; null = no bound. None when not given. */
  maxRunning?(queue: string): number | null
  /** Whether one of its models is up, and not asleep or starting. True when not given. */
  isUp?(queue: string): boolean
}

export interface AdmissionParts {
  readonly config: AdmissionConfig
  readonly terms: ModelTerms
  readonly prices: PriceTable
  readonly budgets: BudgetBook
  /** null = reservations live in memory only. */
  readonly reservations: ReservationLog | null
  /** Throughput that teams have bought; none when not given. */
  readonly units?: Pick<UnitBook, 'take' | 'isEmpty'>
  readonly requestTimeoutMs: number
  readonly clock: Clock
  readonly random: Random
}

interface Money {
  readonly lines: readonly BudgetLine[]
  readonly amount: Picodollars
  /** null = not in the store. */
  readonly reservationId: string | null
}

interface Hold {
  readonly caller: CallerHold
  readonly takenTokens: number
  readonly money: Money | null
  /** null = like all others. */
  readonly share: UnitShare | null
  readonly gate: ModelGate
  readonly ticket: Ticket
}

const NO_MONEY: Money = { lines: [], amount: 0n, reservationId: null }
const UNKNOWN_CONTEXT_TOKENS = 8192
const UNKNOWN_SEQUENCES = 64
/** More than run at a time, so that the engine always has a next one; the line is ours. */
const FEED = 1.25
const MAX_GATES = 4096

export class Admission implements Settlement {
  private readonly parts: AdmissionParts
  private readonly callers: CallerLimitTable
  private readonly gates = new Map<string, ModelGate>()
  private readonly holds = new Map<AdmittedCall, Hold>()
  /** Settled before they held anything: what they may still get is given back at once. */
  private readonly ended = new WeakSet<AdmittedCall>()

  constructor(parts: AdmissionParts) {
    this.parts = parts
    this.callers = new CallerLimitTable(parts.random)
  }

  get figures(): readonly (GateFigures & { readonly model: string })[] {
    return [...this.gates].map(([model, gate]) => ({ model, ...gate.figures }))
  }

  get numHolds(): number {
    return this.holds.size
  }

  /** Throws rate_limited, budget_exceeded, overloaded, store_failed, and the signal's reason. null = it has begun at once. */
  admit(call: AdmittedCall, signal: AbortSignal): Promise<void> | null {
    const { clock, terms, budgets } = this.parts
    const estimate = this.estimate(call, terms.contextLength(call.model) ?? UNKNOWN_CONTEXT_TOKENS)
    const tokens = estimate.promptTokens + estimate.outputTokens
    const share = this.takeShare(call, estimate)
    if (share !== null) return this.admitReserved(call, share, tokens, signal)
    const caller = this.callers.take(call.principal, tokens, clock.nowMs())
    const lines = budgets.linesOf(call.principal, clock.wallMs())
    try {
      if (lines.length > 0) return this.undoOnFailure(caller, tokens, this.admitWithMoney({ call, caller, tokens, estimate, lines }, signal))
      const entered = this.enter(call, tokens, { tier: payingTier(call) }, signal)
      if (!(entered instanceof Promise)) {
        this.keep(call, { caller, takenTokens: tokens, money: null, share: null, ...entered })
        return null
      }
      const kept = entered.then((place) => this.keep(call, { caller, takenTokens: tokens, money: null, share: null, ...place }))
      return this.undoOnFailure(caller, tokens, kept)
    } catch (error) {
      this.giveBack(caller, tokens)
      throw error
    }
  }

  /** As Settlement. */
  settle(call: AdmittedCall, { cost, usage, wasStarted }: Parameters<Settlement['settle']>[1]): string | null {
    const hold = this.holds.get(call)
    if (hold === undefined) {
      this.ended.add(call)
      return null
    }
    this.holds.delete(call)
    const { clock, budgets } = this.parts
    const { caller, takenTokens, money, share, gate, ticket } = hold
    const usedTokens = usage.promptTokens + usage.completionTokens
    this.callers.release(caller, { takenTokens, usedTokens, wasStarted: true, nowMs: clock.nowMs() })
    share?.settle({ promptTokens: usage.promptTokens - usage.cachedTokens, outputTokens: usage.completionTokens }, clock.nowMs())
    if (money !== null) budgets.settle(money.lines, { amount: money.amount, cost, wallMs: clock.wallMs() })
    gate.leave(ticket, wasStarted ? usedTokens : null)
    const reservationId = money?.reservationId ?? null
    if (reservationId === null || wasStarted || cost > 0n) return reservationId
    // Of a refusal there is no record that could end it.
    this.parts.reservations?.forget(reservationId)
    return null
  }

  checkInvariants(): void {
    for (const gate of this.gates.values()) gate.checkInvariants()
  }

  private takeShare(call: AdmittedCall, estimate: TokenEstimate): UnitShare | null {
    const { units, terms, clock } = this.parts
    if (units === undefined || units.isEmpty) return null
    const { model, principal, options } = call
    const claim = { team: principal.team, name: model, model: terms.queueOf(model), isByTier: options.tier === 'reserved' }
    return units.take(claim, estimate, clock.nowMs())
  }

  /** Neither rates nor money of the caller hold it up: it was paid for. */
  private admitReserved(call: AdmittedCall, share: UnitShare, tokens: number, signal: AbortSignal): Promise<void> | null {
    const keep = (place: EnteredPlace): void => this.keep(call, { caller: null, takenTokens: tokens, money: null, share, ...place })
    const giveBack = (error: unknown): never => {
      share.settle({ promptTokens: 0, outputTokens: 0 }, this.parts.clock.nowMs())
      throw error
    }
    try {
      const entered = this.enter(call, tokens, { tier: 'reserved' }, signal)
      if (entered instanceof Promise) return entered.then(keep).catch(giveBack)
      keep(entered)
      return null
    } catch (error) {
      return giveBack(error)
    }
  }

  private async admitWithMoney(
    {
      call,
      caller,
      tokens,
      estimate,
      lines,
    }: {
      readonly call: AdmittedCall
      readonly caller: CallerHold
      readonly tokens: number
      readonly estimate: TokenEstimate
      readonly lines: readonly BudgetLine[]
    },
    signal: AbortSignal,
  ): Promise<void> {
    const money = await this.reserve(call, estimate, lines)
    try {
      const place = await this.enter(call, tokens, { tier: payingTier(call) }, signal)
      this.keep(call, { caller, takenTokens: tokens, money, share: null, ...place })
    } catch (error) {
      this.parts.budgets.settle(money.lines, { amount: money.amount, cost: 0n, wallMs: this.parts.clock.wallMs() })
      if (money.reservationId !== null) this.parts.reservations?.forget(money.reservationId)
      throw error
    }
  }

  private async reserve(call: AdmittedCall, estimate: TokenEstimate, lines: readonly BudgetLine[]): Promise<Money> {
    const { budgets, clock, config, prices, reservations, terms } = this.parts
    const amount = prices.worstCase(terms.candidates(call.model), {
      promptTokens: estimate.maxPromptTokens,
      outputTokens: estimate.maxOutputTokens,
      tier: payingTier(call),
      isBatch: call.isBatch ?? false,
    })
    await budgets.load(lines)
    if (!budgets.reserve(lines, amount, clock.wallMs())) {
      throw new InferdError('budget_exceeded', 'the budget of this key or team has no room for the most that this request may cost')
    }
    if (reservations === null || amount === 0n) return { ...NO_MONEY, lines, amount }
    const { keyId, team } = call.principal
    const id = randomId('hold')
    try {
      await reservations.add({ id, keyId, team, amount, expiresMs: clock.wallMs() + config.reservationS * 1000 })
    } catch (error) {
      budgets.settle(lines, { amount, cost: 0n, wallMs: clock.wallMs() })
      throw error
    }
    return { lines, amount, reservationId: id }
  }

  private enter(call: AdmittedCall, tokens: number, { tier }: Pick<GateCall, 'tier'>, signal: AbortSignal): EnteredPlace | Promise<EnteredPlace> {
    const gate = this.gateOf(this.parts.terms.queueOf(call.model))
    const numChoices = call.operation === 'embeddings' ? 1 : call.request.numChoices
    const entered = gate.enter({ tenant: call.principal.team, tier, tokens, numChoices }, signal)
    return entered instanceof Promise ? entered.then((ticket) => ({ gate, ticket })) : { gate, ticket: entered }
  }

  /** Throws cancelled for a call that was settled while it waited: its place goes to the next. */
  private keep(call: AdmittedCall, hold: Hold): void {
    if (this.ended.has(call)) {
      hold.gate.leave(hold.ticket, null)
      throw new InferdError('cancelled', 'the caller left before its turn')
    }
    this.holds.set(call, hold)
    call.report.tier = hold.ticket.tier
    call.report.queueMs = Math.max(0, this.parts.clock.nowMs() - call.arrivedMs)
  }

  private async undoOnFailure(caller: CallerHold, tokens: number, work: Promise<void>): Promise<void> {
    try {
      await work
    } catch (error) {
      this.giveBack(caller, tokens)
      throw error
    }
  }

  private giveBack(caller: CallerHold, takenTokens: number): void {
    this.callers.release(caller, { takenTokens, usedTokens: 0, wasStarted: false, nowMs: this.parts.clock.nowMs() })
  }

  private estimate(call: AdmittedCall, contextLength: number): TokenEstimate {
    return call.operation === 'embeddings' ? estimateEmbedding(call, contextLength) : estimateCall(call, contextLength)
  }

  private gateOf(queue: string): ModelGate {
    const known = this.gates.get(queue)
    if (known !== undefined) return known
    if (this.gates.size >= MAX_GATES) for (const [name, gate] of this.gates) if (gate.isIdle) this.gates.delete(name)
    const { config, clock, random, requestTimeoutMs, terms } = this.parts
    const capacity = config.capacity[queue] ?? config.capacity['*'] ?? {}
    const maxWaitMs = config.maxWaitS * 1000
    const bound = (): number | null => capacity.maxRunning ?? terms.maxRunning?.(queue) ?? null
    const gate = new ModelGate({
      options: {
        maxRunning: () => bound() ?? Math.ceil((terms.maxSequences(queue) ?? UNKNOWN_SEQUENCES) * FEED),
        maxRunningTokens: capacity.maxRunningTokens ?? null,
        flexShare: config.flexShare,
        // A bound that somebody has set is one for all tiers together; our own engines displace flex.
        yieldsFlex: () => bound() === null && terms.maxSequences(queue) !== null,
        maxWaiting: config.maxWaiting,
        maxWaitingTokens: config.maxWaitingTokens,
        maxWaitMs: { priority: maxWaitMs, default: maxWaitMs, flex: config.flexMaxWaitS * 1000 },
        ageingMs: config.ageingS * 1000,
        deadlineMs: requestTimeoutMs,
        isUp: () => terms.isUp?.(queue) ?? true,
      },
      clock,
      random,
    })
    this.gates.set(queue, gate)
    return gate
  }
}

/** What asks for its reservation and has none, or none left, is like all others. */
function payingTier({ options: { tier } }: AdmittedCall): Exclude<ServiceTier, 'reserved'> {
  return tier === 'reserved' ? 'default' : tier
}

interface EnteredPlace {
  readonly gate: ModelGate
  readonly ticket: Ticket
}
