/** Figures of asynchronous invocations. docs/reference/async-inference.md says which of them SageMaker knows by which name. */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import { DURATION_BUCKETS, QUEUE_BUCKETS } from './buckets.ts'
import { LabelValues } from './label-values.ts'

export interface BacklogFigures {
  readonly endpoint: string
  readonly numWaiting: number
  readonly oldestAgeMs: number
}

export interface AsyncMetricsOptions {
  readonly registry: Registry
  readonly maxLabelValues: number
  /** Asked at each scrape. */
  readonly backlog: () => Promise<readonly BacklogFigures[]>
}

export type InvocationOutcome = 'succeeded' | 'failed' | 'cancelled' | 'expired'

export class AsyncMetrics {
  private readonly endpoints: LabelValues
  private readonly ended: Counter<'endpoint' | 'outcome'>
  private readonly waited: Histogram<'endpoint'>
  private readonly ran: Histogram<'endpoint'>
  private readonly running: Gauge<'endpoint'>
  private readonly notifications: Counter<'topic' | 'outcome'>

  constructor({ registry, maxLabelValues, backlog }: AsyncMetricsOptions) {
    this.endpoints = new LabelValues(maxLabelValues)
    const registers = [registry]
    const labelNames = ['endpoint'] as const
    this.ended = new Counter({
      name: 'inferd_async_invocations_total',
      help: 'Asynchronous invocations that have ended.',
      labelNames: ['endpoint', 'outcome'],
      registers,
    })
    this.waited = new Histogram({
      name: 'inferd_async_backlog_seconds',
      help: 'From acceptance to the first attempt.',
      labelNames,
      buckets: [...QUEUE_BUCKETS],
      registers,
    })
    this.ran = new Histogram({
      name: 'inferd_async_processing_seconds',
      help: 'An attempt, from its claim to its end.',
      labelNames,
      buckets: [...DURATION_BUCKETS],
      registers,
    })
    this.running = new Gauge({ name: 'inferd_async_running', help: 'Attempts that run.', labelNames, registers })
    this.notifications = new Counter({
      name: 'inferd_async_notifications_total',
      help: 'Notifications that were sent.',
      labelNames: ['topic', 'outcome'],
      registers,
    })
    addBacklog(registry, this.endpoints, backlog)
  }

  /** `waitedMs`: null = it had been begun before. */
  onStart(endpoint: string, waitedMs: number | null): void {
    const label = { endpoint: this.endpoints.of(endpoint) }
    this.running.inc(label)
    if (waitedMs !== null) this.waited.observe(label, waitedMs / 1000)
  }

  onStop(endpoint: string, ranMs: number): void {
    const label = { endpoint: this.endpoints.of(endpoint) }
    this.running.dec(label)
    this.ran.observe(label, ranMs / 1000)
  }

  onEnd(endpoint: string, outcome: InvocationOutcome): void {
    this.ended.inc({ endpoint: this.endpoints.of(endpoint), outcome })
  }

  onDelivery(topic: string, outcome: string): void {
    this.notifications.inc({ topic, outcome })
  }
}

/** Each gauge asks for itself: the registry reads all of them at the same time. */
function addBacklog(registry: Registry, endpoints: LabelValues, backlog: AsyncMetricsOptions['backlog']): void {
  const add = (name: string, help: string, read: (figures: BacklogFigures) => number): void => {
    const collect = async (): Promise<void> => {
      const figures = await backlog()
      gauge.reset()
      for (const each of figures) gauge.inc({ endpoint: endpoints.of(each.endpoint) }, read(each))
    }
    const gauge: Gauge<'endpoint'> = new Gauge({ name, help, labelNames: ['endpoint'], registers: [registry], collect })
  }
  add('inferd_async_backlog', 'Asynchronous invocations that wait.', ({ numWaiting }) => numWaiting)
  add('inferd_async_oldest_seconds', 'Age of the asynchronous invocation that has waited longest.', ({ oldestAgeMs }) => oldestAgeMs / 1000)
}
