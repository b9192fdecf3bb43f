/**
 * The door of one model: so much runs, so much waits in fair order, the rest is refused at once with an honest time to come back. Owns
 * the line and the counts; every call that came in leaves exactly once.
 */
import { assert } from '#base/assert'
import type { Clock } from '#base/clock'
import type { Random } from '#base/random'
import type { ServiceTier } from '#contract/call'
import { InferdError } from '#contract/errors'
import { DrainRate } from './drain-rate.ts'
import { FairQueue, type FairQueueOptions } from './fair-queue.ts'

export interface GateOptions extends FairQueueOptions {
  /** Choices that run at a time. Asked each time: replicas come and go. */
  readonly maxRunning: () => number
  /** Of maxRunning, what the tier flex may take. */
  readonly flexShare: number
  /** True: the model itself puts flex behind all others, which therefore do not count what flex runs. False when not given. */
  readonly yieldsFlex?: () => boolean
  /** null = no bound. One call alone may be larger. */
  readonly maxRunningTokens: number | null
  /** What is reserved waits as long as its caller does. */
  readonly maxWaitMs: Readonly<Record<Exclude<ServiceTier, 'reserved'>, number>>
  /** A caller's patience: what cannot end before is not begun. */
  readonly deadlineMs: number
  /** False while the model starts: its calls run, but nothing is worked off, and the time says nothing of its pace. True when not given. */
  readonly isUp?: () => boolean
}

export interface GateCall {
  readonly tenant: string
  readonly tier: ServiceTier
  /** Prompt and expected output. */
  readonly tokens: number
  readonly numChoices: number
}

/** One call from the door to its end. */
export interface Ticket extends GateCall {
  readonly arrivedMs: number
  readonly expiresMs: number
  /** null = waits. */
  startedMs: number | null
  readonly wake: ((error: InferdError | null) => void) | null
}

export interface GateFigures {
  readonly numRunning: number
  readonly runningTokens: number
  readonly numWaiting: number
  readonly waitingTokens: number
  readonly tokensPerMs: number
}

const SWEEP_MS = 100
const MIN_RETRY_MS = 1000
const MAX_RETRY_MS = 120_000
/** Retry times are spread over so much more, so that those sent away do not come back together. */
const JITTER = 0.3
const ASSUMED_TOKENS_PER_MS = 1
/** Who is let into the line is expected to leave it after this share of its wait: a guess that is off must not become a late refusal. */
const HOPED_SHARE = 0.8
const SERVICE_WEIGHT = 0.1

export class ModelGate {
  private readonly options: GateOptions
  private readonly clock: Clock
  private readonly random: Random
  private readonly queue: FairQueue<Ticket>
  private readonly rate: DrainRate
  private numRunning = 0
  /** Of numRunning. */
  private numFlexRunning = 0
  private numReservedRunning = 0
  private runningTokens = 0
  /** Of a usual call, milliseconds; 0 = not known. */
  private serviceMs = 0
  private isSweeping = false

  constructor({ options, clock, random }: { readonly options: GateOptions; readonly clock: Clock; readonly random: Random }) {
    this.options = options
    this.clock = clock
    this.random = random
    this.queue = new FairQueue(options)
    this.rate = new DrainRate({ nowMs: clock.nowMs(), assumed: ASSUMED_TOKENS_PER_MS })
  }

  get figures(): GateFigures {
    const { numRunning, runningTokens, queue, rate } = this
    return { numRunning, runningTokens, numWaiting: queue.numWaiting, waitingTokens: queue.waitingTokens, tokensPerMs: rate.tokensPerMs }
  }

  get isIdle(): boolean {
    return this.numRunning === 0 && this.queue.numWaiting === 0
  }

  /** A ticket that runs, or a promise of one. Throws, and rejects with, overloaded; rejects with the signal's reason when it aborts. */
  enter(call: GateCall, signal: AbortSignal): Ticket | Promise<Ticket> {
    signal.throwIfAborted()
    const nowMs = this.tick()
    const { maxWaitMs, deadlineMs } = this.options
    const isReserved = call.tier === 'reserved'
    const expiresMs = nowMs + (isReserved ? deadlineMs : Math.min(maxWaitMs[call.tier], deadlineMs - this.serviceMs))
    if (this.goesFirst(call, nowMs) && this.fits(call))
      return this.start({ ...call, arrivedMs: nowMs, expiresMs, startedMs: null, wake: null }, nowMs)
    if (!isReserved && this.rate.isMeasured && this.rate.timeFor(this.queue.tokensBefore(call)) > (expiresMs - nowMs) * HOPED_SHARE)
      throw this.refusal(call.tokens)
    const { promise, resolve, reject } = Promise.withResolvers<Ticket>()
    const onAbort = (): void => {
      this.queue.remove(ticket)
      reject(signal.reason as Error)
      this.pump()
    }
    const ticket: Ticket = {
      ...call,
      arrivedMs: nowMs,
      expiresMs,
      startedMs: null,
      wake: (error) => {
        signal.removeEventListener('abort', onAbort)
        if (error === null) resolve(ticket)
        else reject(error)
      },
    }
    const pushed = this.queue.push(ticket)
    if (pushed.kind === 'full') throw this.refusal(call.tokens)
    signal.addEventListener('abort', onAbort, { once: true })
    for (const { tokens, wake } of pushed.evicted) wake?.(this.refusal(tokens))
    this.pump()
    if (!this.isSweeping) void this.sweep()
    return promise
  }

  /** `usedTokens`: what the call really was; null = it never reached the model. */
  leave(ticket: Ticket, usedTokens: number | null): void {
    assert(ticket.startedMs !== null, 'only a call that runs can leave')
    const nowMs = this.tick()
    this.count(ticket, -1)
    if (ticket.tier !== 'reserved') this.queue.charge(ticket.tenant, (usedTokens ?? 0) - ticket.tokens)
    if (usedTokens !== null) {
      this.rate.finished(usedTokens)
      const tookMs = nowMs - ticket.startedMs
      this.serviceMs = this.serviceMs === 0 ? tookMs : this.serviceMs + (tookMs - this.serviceMs) * SERVICE_WEIGHT
    }
    this.pump()
  }

  checkInvariants(): void {
    this.queue.checkInvariants()
    assert(this.numRunning >= this.numFlexRunning && this.numFlexRunning >= 0 && this.runningTokens >= 0, 'what runs is counted')
    assert(this.next(this.clock.nowMs()) === null, 'nobody waits beside a free place')
  }

  private start(ticket: Ticket, nowMs: number): Ticket {
    ticket.startedMs = nowMs
    this.count(ticket, 1)
    // Bought tokens are no part of the fair shares of what was not.
    if (ticket.tier !== 'reserved') this.queue.charge(ticket.tenant, ticket.tokens)
    return ticket
  }

  private count({ tier, numChoices, tokens }: Ticket, sign: 1 | -1): void {
    this.numRunning += sign * numChoices
    if (tier === 'flex') this.numFlexRunning += sign * numChoices
    if (tier === 'reserved') this.numReservedRunning += sign * numChoices
    this.runningTokens += sign * tokens
  }

  /** Nobody waits before it. */
  private goesFirst({ tier }: GateCall, nowMs: number): boolean {
    if (this.queue.numWaiting === 0) return true
    return tier === 'reserved' && this.queue.peek(nowMs)?.tier !== 'reserved'
  }

  private pump(): void {
    const nowMs = this.tick()
    for (const { tokens, wake } of this.queue.takeExpired(nowMs)) wake?.(this.refusal(tokens))
    for (let next = this.next(nowMs); next !== null; next = this.next(nowMs)) {
      this.queue.remove(next)
      this.start(next, nowMs)
      next.wake?.(null)
    }
  }

  /** Who may begin. A flex call that has no place, however long it has waited, holds up nobody of another tier. */
  private next(nowMs: number): Ticket | null {
    let head = this.queue.peek(nowMs)
    if (head?.tier === 'flex' && !this.fits(head)) head = this.queue.peek(nowMs, { isFlexLeftOut: true })
    return head !== null && this.fits(head) ? head : null
  }

  private async sweep(): Promise<void> {
    this.isSweeping = true
    while (this.queue.numWaiting > 0) {
      await this.clock.sleep(SWEEP_MS)
      this.pump()
    }
    this.isSweeping = false
  }

  private fits({ tier, numChoices, tokens }: GateCall): boolean {
    if (this.numRunning === 0) return true
    const { maxRunning, maxRunningTokens, flexShare, yieldsFlex } = this.options
    // The engine makes room for it: what runs of other tiers does not count.
    if (tier === 'reserved') return this.numReservedRunning === 0 || this.numReservedRunning + numChoices <= maxRunning()
    if (maxRunningTokens !== null && this.runningTokens + tokens > maxRunningTokens) return false
    const numAfter = this.numRunning + numChoices
    if (tier === 'flex') return numAfter <= Math.max(1, Math.floor(maxRunning() * flexShare))
    return numAfter - (yieldsFlex?.() === true ? this.numFlexRunning : 0) <= maxRunning()
  }

  private tick(): number {
    const nowMs = this.clock.nowMs()
    this.rate.advance(nowMs, this.numRunning > 0 && (this.options.isUp?.() ?? true))
    return nowMs
  }

  private refusal(tokens: number): InferdError {
    this.rate.refused(tokens)
    const waitMs = Math.min(MAX_RETRY_MS, Math.max(MIN_RETRY_MS, this.rate.honestWaitMs(this.queue.waitingTokens)))
    const retryAfterMs = Math.ceil(waitMs * (1 + JITTER * this.random.nextFloat()))
    return new InferdError('overloaded', 'the model has more work than it can begin in time; try again later', { retryAfterMs })
  }
}
