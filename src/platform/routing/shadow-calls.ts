/** Copies of calls for models that are only watched: nobody waits for their answers, and nobody pays. */
import type { Clock } from '#base/clock'
import type { OnlineCall } from '#contract/call'
import { type ErrorCode, toErrorRecord } from '#contract/errors'
import { NO_USAGE, type Usage } from '#contract/generate'
import type { ServedModel } from '#contract/served-model'

export interface ShadowResult {
  readonly model: string
  /** null = nothing came. */
  readonly ttftMs: number | null
  readonly durationMs: number
  readonly usage: Usage
  /** null = answered. */
  readonly error: ErrorCode | null
}

export interface ShadowOptions {
  /** At a time; what comes beyond is not copied. */
  readonly maxRunning: number
  /** Of one answer. */
  readonly timeoutMs: number
  readonly clock: Clock
  /** Must not throw. */
  readonly onResult: (result: ShadowResult, call: OnlineCall) => void
  /** There were too many. Must not throw. */
  readonly onDropped: (model: string) => void
}

export const DEFAULT_SHADOW_OPTIONS = { maxRunning: 32, timeoutMs: 600_000 } as const

export class ShadowCalls {
  private readonly options: ShadowOptions
  private readonly closing = new AbortController()
  private readonly running = new Set<Promise<void>>()

  constructor(options: ShadowOptions) {
    this.options = options
  }

  get numRunning(): number {
    return this.running.size
  }

  /** Never throws and never waits; the caller's own end does not end the copy. */
  send(model: ServedModel, call: OnlineCall): void {
    if (this.closing.signal.aborted) return
    if (this.running.size >= this.options.maxRunning) return this.options.onDropped(model.name)
    const copy = this.run(model, call).finally(() => this.running.delete(copy))
    this.running.add(copy)
  }

  async close(): Promise<void> {
    this.closing.abort()
    await Promise.all(this.running)
  }

  private async run(model: ServedModel, call: OnlineCall): Promise<void> {
    const { clock, timeoutMs, onResult } = this.options
    const late = new AbortController()
    const signal = AbortSignal.any([late.signal, this.closing.signal])
    const ended = new AbortController()
    void clock.sleep(timeoutMs, ended.signal).then(
      () => late.abort(),
      () => {},
    )
    const startMs = clock.nowMs()
    let [ttftMs, usage, error]: [number | null, Usage, ErrorCode | null] = [null, NO_USAGE, null]
    try {
      for await (const event of model.generate(call.request, signal)) {
        if (event.type !== 'response-start' && event.type !== 'response-error') ttftMs ??= clock.nowMs() - startMs
        if (event.type === 'response-end' || event.type === 'response-error') usage = event.usage
        if (event.type === 'response-error') error = event.error.code
      }
    } catch (thrown) {
      error = late.signal.aborted ? 'deadline_exceeded' : toErrorRecord(thrown).code
    } finally {
      ended.abort()
    }
    if (!this.closing.signal.aborted) onResult({ model: model.name, ttftMs, durationMs: clock.nowMs() - startMs, usage, error }, call)
  }
}
