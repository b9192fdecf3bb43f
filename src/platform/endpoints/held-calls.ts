/** Calls that wait until their model is ready, in order of arrival. Each leaves once: let in, refused, expired or aborted. Keeps the rows' counts of them. */
import { InferdError } from '#contract/errors'
import type { ModelRow } from './model-row.ts'

interface HeldCall {
  readonly expiresMs: number
  /** null = let in. */
  readonly settle: (error: InferdError | null) => void
}

export interface HeldCallsOptions {
  /** Calls that one model may hold. */
  readonly maxHeldCalls: number
  /** How long a call is held at most. */
  readonly holdMs: number
}

const RETRY_MS = 1_000

export class HeldCalls {
  private readonly options: HeldCallsOptions
  private readonly onLeft: (row: ModelRow) => void
  /** In order of arrival, which is that of expiry. No empty sets. */
  private readonly calls = new Map<ModelRow, Set<HeldCall>>()

  /** `onLeft`: a caller gave up. */
  constructor(options: HeldCallsOptions, onLeft: (row: ModelRow) => void) {
    this.options = options
    this.onLeft = onLeft
  }

  numOf(row: ModelRow): number {
    return this.calls.get(row)?.size ?? 0
  }

  /** Resolves when it is let in. Throws overloaded; rejects with the error that it is refused with, model_loading, or the signal's reason. */
  hold(row: ModelRow, nowMs: number, signal: AbortSignal): Promise<void> {
    const { maxHeldCalls, holdMs } = this.options
    if (row.numHeld >= maxHeldCalls)
      throw new InferdError('overloaded', `too many calls wait for the model '${row.name}' to start`, { retryAfterMs: RETRY_MS })
    const { promise, resolve, reject } = Promise.withResolvers<undefined>()
    const call: HeldCall = {
      expiresMs: nowMs + holdMs,
      settle: (error) => {
        signal.removeEventListener('abort', onAbort)
        this.remove(row, call)
        if (error === null) resolve(undefined)
        else reject(error)
      },
    }
    const onAbort = (): void => {
      this.remove(row, call)
      reject(signal.reason as Error)
      this.onLeft(row)
    }
    signal.addEventListener('abort', onAbort, { once: true })
    const calls = this.calls.get(row) ?? new Set<HeldCall>()
    this.calls.set(row, calls.add(call))
    row.numHeld++
    row.oldestHeldMs ??= nowMs
    return promise
  }

  /** They run from now on. */
  letIn(row: ModelRow): void {
    for (const call of this.calls.get(row) ?? []) {
      row.numRunning++
      call.settle(null)
    }
  }

  refuse(row: ModelRow, error: InferdError): void {
    for (const call of this.calls.get(row) ?? []) call.settle(error)
  }

  refuseAll(error: InferdError): void {
    for (const row of this.calls.keys()) this.refuse(row, error)
  }

  expire(nowMs: number): void {
    for (const [row, calls] of this.calls) {
      for (const call of calls) {
        if (call.expiresMs > nowMs) break
        call.settle(new InferdError('model_loading', `the model '${row.name}' could not be started in time`, { retryAfterMs: RETRY_MS }))
      }
    }
  }

  private remove(row: ModelRow, call: HeldCall): void {
    const calls = this.calls.get(row)
    calls?.delete(call)
    row.numHeld--
    const [oldest] = calls ?? []
    row.oldestHeldMs = oldest === undefined ? null : oldest.expiresMs - this.options.holdMs
    if (oldest === undefined) this.calls.delete(row)
  }
}
