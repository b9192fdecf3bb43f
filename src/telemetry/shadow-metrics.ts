/** Figures of copies that shadow variants were sent. */
import { Counter, Histogram, type Registry } from 'prom-client'
import { DURATION_BUCKETS, FIRST_TOKEN_BUCKETS } from './buckets.ts'
import { LabelValues } from './label-values.ts'

export interface ShadowFigures {
  readonly model: string
  /** null = nothing came. */
  readonly ttftMs: number | null
  readonly durationMs: number
  readonly usage: { readonly promptTokens: number; readonly completionTokens: number }
  /** null = answered. */
  readonly error: string | null
}

export class ShadowMetrics {
  private readonly models: LabelValues
  private readonly calls: Counter<'model' | 'outcome'>
  private readonly firstToken: Histogram<'model'>
  private readonly duration: Histogram<'model'>
  private readonly tokens: Counter<'model' | 'type'>

  constructor(registry: Registry, maxLabelValues: number) {
    const registers = [registry]
    this.models = new LabelValues(maxLabelValues)
    this.calls = new Counter({
      name: 'inferd_shadow_calls_total',
      help: 'Copies of calls for shadow variants, by what became of them.',
      labelNames: ['model', 'outcome'],
      registers,
    })
    this.firstToken = new Histogram({
      name: 'inferd_shadow_time_to_first_token_seconds',
      help: 'From the copy to the first piece of its answer.',
      labelNames: ['model'],
      buckets: [...FIRST_TOKEN_BUCKETS],
      registers,
    })
    this.duration = new Histogram({
      name: 'inferd_shadow_duration_seconds',
      help: 'From the copy to the end of its answer.',
      labelNames: ['model'],
      buckets: [...DURATION_BUCKETS],
      registers,
    })
    this.tokens = new Counter({ name: 'inferd_shadow_tokens_total', help: 'Tokens of copies.', labelNames: ['model', 'type'], registers })
  }

  onResult({ model, ttftMs, durationMs, usage, error }: ShadowFigures): void {
    const label = { model: this.models.of(model) }
    this.calls.inc({ ...label, outcome: error ?? 'answered' })
    this.duration.observe(label, durationMs / 1000)
    if (ttftMs !== null) this.firstToken.observe(label, ttftMs / 1000)
    if (usage.promptTokens > 0) this.tokens.inc({ ...label, type: 'input' }, usage.promptTokens)
    if (usage.completionTokens > 0) this.tokens.inc({ ...label, type: 'output' }, usage.completionTokens)
  }

  onDropped(model: string): void {
    this.calls.inc({ model: this.models.of(model), outcome: 'dropped' })
  }
}
