/** Metrics of models that come and go: loads, unloads, hits, what their memory holds. */
import { Counter, Gauge, type Registry } from 'prom-client'
import { LabelValues } from './label-values.ts'

/** Of the memory that models share, now. */
export interface ModelMemoryFigures {
  /** Infinity = no bound. */
  readonly budgetBytes: number
  readonly usedBytes: number
  readonly numHeld: number
  readonly numByPhase: Readonly<Record<string, number>>
}

export interface ModelMetricsOptions {
  readonly registry: Registry
  readonly maxLabelValues: number
  /** Asked at each scrape. */
  readonly figures: () => ModelMemoryFigures
}

export class ModelMetrics {
  private readonly models: LabelValues
  private readonly calls: Counter<'model' | 'found'>
  private readonly loads: Counter<'model'>
  private readonly unloads: Counter<'model' | 'reason'>
  private readonly failures: Counter<'model' | 'code'>

  constructor({ registry, maxLabelValues, figures }: ModelMetricsOptions) {
    const registers = [registry]
    this.models = new LabelValues(maxLabelValues)
    this.calls = new Counter({
      name: 'inferd_model_cache_requests_total',
      help: 'Calls that found their model up (hit) or had to wait for it (miss).',
      labelNames: ['model', 'found'],
      registers,
    })
    this.loads = new Counter({ name: 'inferd_model_loads_total', help: 'Starts of a model that got ready.', labelNames: ['model'], registers })
    this.unloads = new Counter({
      name: 'inferd_model_unloads_total',
      help: 'Ends of a model, by reason.',
      labelNames: ['model', 'reason'],
      registers,
    })
    this.failures = new Counter({
      name: 'inferd_model_failures_total',
      help: 'Starts of a model that failed, by code.',
      labelNames: ['model', 'code'],
      registers,
    })
    const gauge = (name: string, help: string, read: (now: ModelMemoryFigures) => number): void => {
      const made: Gauge = new Gauge({ name, help, registers, collect: () => made.set(read(figures())) })
    }
    gauge('inferd_model_memory_budget_bytes', 'What local models may take together; +Inf without a bound.', ({ budgetBytes }) => budgetBytes)
    gauge('inferd_model_memory_used_bytes', 'What those that are up, start or end take.', ({ usedBytes }) => usedBytes)
    gauge('inferd_held_calls', 'Calls that wait until their model is up.', ({ numHeld }) => numHeld)
    const states: Gauge = new Gauge({
      name: 'inferd_models',
      help: 'Local models by state.',
      labelNames: ['state'],
      registers,
      collect: () => {
        for (const [state, count] of Object.entries(figures().numByPhase)) states.set({ state }, count)
      },
    })
  }

  onCall(model: string, found: 'hit' | 'miss'): void {
    this.calls.inc({ model: this.models.of(model), found })
  }

  onLoad(model: string): void {
    this.loads.inc({ model: this.models.of(model) })
  }

  onStop(model: string, reason: string): void {
    this.unloads.inc({ model: this.models.of(model), reason })
  }

  onProblem(model: string, code: string): void {
    this.failures.inc({ model: this.models.of(model), code })
  }
}
