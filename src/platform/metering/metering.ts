/**
 * The one path by which a call becomes a usage record, whatever its dialect and whether it was streamed: what it used, what that costs,
 * how long it took. Writes usage, cost and ttftMs of the report before the terminal event is passed on.
 */
import type { Clock } from '#base/clock'
import type { OnlineCall, OnlineEmbedCall } from '#contract/call'
import { type ErrorCode, InferdError, toErrorRecord } from '#contract/errors'
import { NO_USAGE, type Usage } from '#contract/generate'
import type { UsageRecord } from '#contract/usage-record'
import { BusyShares } from './busy-share.ts'
import { type CallTimes, isRefusal } from './call-meter.ts'
import type { Ledger } from './ledger.ts'
import type { PriceTable } from './price-table.ts'
import type { Settlement } from './settlement.ts'

export type MeteredCall = OnlineCall | OnlineEmbedCall

/** Told of every call that is over. Must not throw. */
export interface CallObserver {
  /** A record was made. */
  onCall(record: UsageRecord, call: MeteredCall, times: CallTimes): void
  /** Refused before a model saw it. */
  onRefusal(code: ErrorCode, call: MeteredCall): void
}

export interface MeteringParts {
  readonly prices: PriceTable
  readonly ledger: Pick<Ledger, 'add' | 'hasRoom'>
  readonly settlement: Settlement
  readonly observers: readonly CallObserver[]
  readonly clock: Clock
}

const LEDGER_RETRY_MS = 5000

/** What is known of a call when it is over. */
export interface CallEnd {
  readonly usage: Usage
  readonly times: CallTimes
  /** null = answered. */
  readonly error: unknown
  readonly busyMs: number
}

export class Metering {
  private readonly parts: MeteringParts
  readonly busy = new BusyShares()

  constructor(parts: MeteringParts) {
    this.parts = parts
  }

  get clock(): Clock {
    return this.parts.clock
  }

  /** Throws store_failed: a call whose record could not be kept is not begun. */
  requireRoom(): void {
    if (this.parts.ledger.hasRoom) return
    throw new InferdError('store_failed', 'the ledger cannot take more records', { retryAfterMs: LEDGER_RETRY_MS })
  }

  /** Once for each call. */
  finish(call: MeteredCall, { usage, times, error, busyMs }: CallEnd): void {
    const { settlement, observers, ledger } = this.parts
    const { report } = call
    if (error !== null && isRefusal(error) && usage.promptTokens === 0) {
      settlement.settle(call, { cost: 0n, usage: NO_USAGE, wasStarted: false })
      const { code } = toErrorRecord(error)
      for (const observer of observers) observer.onRefusal(code, call)
      return
    }
    const record = this.recordOf(call, { usage, times, error, busyMs })
    const reservationId = settlement.settle(call, { cost: record.cost, usage, wasStarted: times.startedMs !== null })
    report.usage = addUsage(report.usage ?? NO_USAGE, usage)
    report.cost = (report.cost ?? 0n) + record.cost
    ledger.add({ record, reservationId })
    for (const observer of observers) observer.onCall(record, call, times)
  }

  private recordOf(call: MeteredCall, { usage, times, error, busyMs }: CallEnd): UsageRecord {
    const { clock, prices } = this.parts
    const { report, principal, arrivedMs, options, dialect } = call
    const answeredBy = report.servedBy ?? (times.startedMs === null ? null : call.model)
    const isUnused = usage.promptTokens === 0 && usage.completionTokens === 0
    const { price, cost } =
      error !== null && isUnused
        ? { price: '', cost: 0n }
        : prices.charge(answeredBy, {
            usage,
            tier: report.tier,
            isBatch: call.isBatch ?? false,
            responseCache: report.cache,
            busyMs,
            isAnswered: error === null,
          })
    return {
      requestId: call.requestId,
      wallMs: clock.wallMs(),
      keyId: principal.keyId,
      team: principal.team,
      dialect,
      operation: call.operation,
      requestedModel: call.model,
      model: answeredBy,
      tier: report.tier,
      streamed: call.operation !== 'embeddings' && !call.isBuffered,
      inputTokens: usage.promptTokens,
      cachedTokens: usage.cachedTokens,
      cacheWriteTokens: usage.cacheWriteTokens,
      outputTokens: usage.completionTokens,
      reasoningTokens: usage.reasoningTokens,
      responseCache: report.cache,
      ttftMs: since(arrivedMs, times.firstPieceMs),
      tpotMs: tpotOf(times, usage.completionTokens),
      queueMs: report.queueMs,
      durationMs: clock.nowMs() - arrivedMs,
      billedMs: busyMs,
      price,
      cost,
      error: error === null ? null : toErrorRecord(error).code,
      metadata: options.metadata,
    }
  }
}

function since(startMs: number, atMs: number | null): number | null {
  return atMs === null ? null : atMs - startMs
}

function tpotOf({ firstPieceMs, lastPieceMs }: CallTimes, outputTokens: number): number | null {
  return firstPieceMs === null || lastPieceMs === null || outputTokens < 2 ? null : (lastPieceMs - firstPieceMs) / (outputTokens - 1)
}

function addUsage(left: Usage, right: Usage): Usage {
  return {
    promptTokens: left.promptTokens + right.promptTokens,
    cachedTokens: left.cachedTokens + right.cachedTokens,
    cacheWriteTokens: left.cacheWriteTokens + right.cacheWriteTokens,
    completionTokens: left.completionTokens + right.completionTokens,
    reasoningTokens: left.reasoningTokens + right.reasoningTokens,
  }
}
