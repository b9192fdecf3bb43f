/** What the units of endpoints did lately, and whether that is past an alarm's threshold. */
import type { Clock } from '#base/clock'
import type { AlarmRule } from '#contract/deployment'
import type { ErrorCode } from '#contract/errors'
import type { UsageRecord } from '#contract/usage-record'
import type { CallObserver, MeteredCall } from '#platform/metering/metering'

interface Sample {
  readonly atMs: number
  readonly ttftMs: number | null
  readonly tpotMs: number | null
  readonly queueMs: number | null
  readonly error: ErrorCode | null
  readonly usd: number
}

/** Of one unit; older ones are forgotten. */
const MAX_SAMPLES = 2048
const PICODOLLARS = 1e12

/** What the caller did, or the busy server: no fault of the model's. */
const REFUSALS: ReadonlySet<ErrorCode> = new Set(['overloaded', 'rate_limited', 'budget_exceeded', 'model_loading', 'shutting_down'])
const CALLERS_OWN: ReadonlySet<ErrorCode> = new Set(['cancelled', 'context_length_exceeded', 'invalid_parameter', 'unsupported_parameter'])

export class AlarmWatch implements CallObserver {
  private readonly clock: Clock
  private readonly samples = new Map<string, Sample[]>()

  constructor(clock: Clock) {
    this.clock = clock
  }

  /** From now on its calls are kept. */
  watch(unit: string): void {
    if (!this.samples.has(unit)) this.samples.set(unit, [])
  }

  forget(unit: string): void {
    this.samples.delete(unit)
  }

  onCall({ ttftMs, tpotMs, queueMs, error, cost }: UsageRecord, { report }: MeteredCall): void {
    this.add(report.servedBy, { atMs: this.clock.nowMs(), ttftMs, tpotMs, queueMs, error, usd: Number(cost) / PICODOLLARS })
  }

  onRefusal(code: ErrorCode, { report }: MeteredCall): void {
    this.add(report.servedBy, { atMs: this.clock.nowMs(), ttftMs: null, tpotMs: null, queueMs: null, error: code, usd: 0 })
  }

  /** p95 in ms over the last `windowMs`; null = no call. */
  queueWaitMs(unit: string, windowMs: number): number | null {
    const fromMs = this.clock.nowMs() - windowMs
    return p95((this.samples.get(unit) ?? []).flatMap(({ atMs, queueMs }) => (atMs > fromMs ? (queueMs ?? []) : [])))
  }

  /** Words of the first rule that is past its threshold over all of `units` together; null = none is. */
  firing(rules: readonly AlarmRule[], units: readonly string[]): string | null {
    const nowMs = this.clock.nowMs()
    for (const rule of rules) {
      const within = units.flatMap((unit) => this.samples.get(unit) ?? []).filter(({ atMs }) => atMs > nowMs - rule.windowMs)
      const value = within.length < rule.minSamples ? null : valueOf(rule.metric, within)
      if (value !== null && value > rule.threshold)
        return `the alarm '${rule.name}' went off: ${rule.metric} is ${round(value)} over ${within.length} calls, more than ${rule.threshold}`
    }
    return null
  }

  private add(unit: string | null, sample: Sample): void {
    const samples = unit === null ? undefined : this.samples.get(unit)
    if (samples === undefined) return
    samples.push(sample)
    if (samples.length > 2 * MAX_SAMPLES) samples.splice(0, samples.length - MAX_SAMPLES)
  }
}

function valueOf(metric: AlarmRule['metric'], samples: readonly Sample[]): number | null {
  switch (metric) {
    case 'ttft_p95_ms':
      return p95(samples.flatMap(({ ttftMs }) => ttftMs ?? []))
    case 'tpot_p95_ms':
      return p95(samples.flatMap(({ tpotMs }) => tpotMs ?? []))
    case 'error_rate':
      return shareOf(samples, (error) => !REFUSALS.has(error) && !CALLERS_OWN.has(error))
    case 'refusal_rate':
      return shareOf(samples, (error) => REFUSALS.has(error))
    case 'cost_per_request':
      return samples.reduce((sum, { usd }) => sum + usd, 0) / samples.length
  }
}

function shareOf(samples: readonly Sample[], counts: (error: ErrorCode) => boolean): number {
  return samples.filter(({ error }) => error !== null && counts(error)).length / samples.length
}

/** Nearest rank. */
function p95(values: readonly number[]): number | null {
  const ordered = values.toSorted((a, b) => a - b)
  return ordered[Math.ceil(ordered.length * 0.95) - 1] ?? null
}

function round(value: number): number {
  return Number(value.toPrecision(4))
}
