/** Figures of the server itself, read when somebody scrapes. */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { Gauge, type Registry } from 'prom-client'

export interface QueueFigures {
  readonly model: string
  readonly numRunning: number
  readonly numWaiting: number
  readonly waitingTokens: number
  readonly tokensPerMs: number
}

export interface ServerFigures {
  readonly queues: readonly QueueFigures[]
  readonly ledger: { readonly lagMs: number; readonly numWaiting: number }
}

const EVENT_LOOP_RESOLUTION_MS = 10
const NS_PER_S = 1e9

export function registerServerGauges(
  registry: Registry,
  { version, figures }: { readonly version: string; readonly figures: () => ServerFigures },
): void {
  const registers = [registry]
  new Gauge({ name: 'inferd_build_info', help: 'Always 1; the version is a label.', labelNames: ['version'], registers }).set({ version }, 1)
  addEventLoopLag(registry)
  addQueueGauge(registry, { name: 'inferd_queue_requests', help: 'Calls that wait for a model.', read: ({ numWaiting }) => numWaiting, figures })
  addQueueGauge(registry, { name: 'inferd_queue_tokens', help: 'Tokens that wait for a model.', read: ({ waitingTokens }) => waitingTokens, figures })
  addQueueGauge(registry, {
    name: 'inferd_running_choices',
    help: 'Choices that a model has been given.',
    read: ({ numRunning }) => numRunning,
    figures,
  })
  addQueueGauge(registry, {
    name: 'inferd_drain_tokens_per_second',
    help: 'Tokens that a model works off in a second, as measured.',
    read: ({ tokensPerMs }) => tokensPerMs * 1000,
    figures,
  })
  const lag: Gauge = new Gauge({
    name: 'inferd_store_write_lag_seconds',
    help: 'Age of the oldest usage record that is not in the store.',
    registers,
    collect: () => lag.set(figures().ledger.lagMs / 1000),
  })
  const waiting: Gauge = new Gauge({
    name: 'inferd_ledger_waiting_records',
    help: 'Usage records that are not in the store yet.',
    registers,
    collect: () => waiting.set(figures().ledger.numWaiting),
  })
  const memory: Gauge = new Gauge({
    name: 'process_resident_memory_bytes',
    help: 'Memory of this process.',
    registers,
    collect: () => memory.set(process.memoryUsage.rss()),
  })
}

interface QueueGauge {
  readonly name: string
  readonly help: string
  readonly read: (queue: QueueFigures) => number
  readonly figures: () => ServerFigures
}

function addQueueGauge(registry: Registry, { name, help, read, figures }: QueueGauge): void {
  const gauge: Gauge = new Gauge({
    name,
    help,
    labelNames: ['model'],
    registers: [registry],
    collect: () => {
      gauge.reset()
      for (const queue of figures().queues) gauge.set({ model: queue.model }, read(queue))
    },
  })
}

/** Since the last scrape. */
function addEventLoopLag(registry: Registry): void {
  const delay = monitorEventLoopDelay({ resolution: EVENT_LOOP_RESOLUTION_MS })
  delay.enable()
  const gauge: Gauge = new Gauge({
    name: 'inferd_event_loop_lag_seconds',
    help: 'Delay of the event loop since the last scrape.',
    labelNames: ['percentile'],
    registers: [registry],
    collect: () => {
      for (const percentile of [50, 99, 100]) gauge.set({ percentile: String(percentile) }, lagSeconds(delay.percentile(percentile)))
      delay.reset()
    },
  })
}

/** The histogram holds the time between two ticks of its timer; the lag is what is more than asked for. */
function lagSeconds(tickNs: number): number {
  return Math.max(0, tickNs / NS_PER_S - EVENT_LOOP_RESOLUTION_MS / 1000)
}
