/** Figures of scaling: how many replicas its targets have, may have and want, and why that changed. */
import { Counter, Gauge, type Registry } from 'prom-client'
import { LabelValues } from './label-values.ts'

export interface TargetFigures {
  readonly endpoint: string
  readonly variant: string
  /** Wanted; null = its endpoint changes just now. */
  readonly desired: number | null
  /** That answer. */
  readonly current: number | null
  readonly min: number
  readonly max: number
}

type Place = Pick<TargetFigures, 'endpoint' | 'variant'>

export class ScalingMetrics {
  private readonly endpoints: LabelValues
  private readonly variants: LabelValues
  private readonly replicas: Gauge<'endpoint' | 'variant' | 'count'>
  private readonly decisions: Counter<'endpoint' | 'variant' | 'cause' | 'outcome'>
  private readonly lastActivity: Gauge<'endpoint' | 'variant'>

  constructor(registry: Registry, maxLabelValues: number) {
    const registers = [registry]
    this.endpoints = new LabelValues(maxLabelValues)
    this.variants = new LabelValues(maxLabelValues)
    this.replicas = new Gauge({
      name: 'inferd_scaling_replicas',
      help: 'Replicas of scaled variants: wanted, that answer, and the bounds in effect.',
      labelNames: ['endpoint', 'variant', 'count'],
      registers,
    })
    this.decisions = new Counter({
      name: 'inferd_scaling_decisions_total',
      help: 'Changes that scaling made or was refused.',
      labelNames: ['endpoint', 'variant', 'cause', 'outcome'],
      registers,
    })
    this.lastActivity = new Gauge({
      name: 'inferd_scaling_last_activity_timestamp_seconds',
      help: 'When scaling last changed something or was refused, since the server started.',
      labelNames: ['endpoint', 'variant'],
      registers,
    })
  }

  /** In the place of those before: what is scaled no more is gone. */
  setTargets(targets: readonly TargetFigures[]): void {
    this.replicas.reset()
    for (const { desired, current, min, max, ...place } of targets) {
      const counts = { desired, current, min, max }
      for (const [count, value] of Object.entries(counts)) if (value !== null) this.replicas.set({ ...this.labelsOf(place), count }, value)
    }
  }

  onDecision(place: Place, { cause, outcome, atMs }: { readonly cause: string; readonly outcome: string; readonly atMs: number }): void {
    this.decisions.inc({ ...this.labelsOf(place), cause, outcome })
    this.lastActivity.set(this.labelsOf(place), atMs / 1000)
  }

  private labelsOf({ endpoint, variant }: Place): Place {
    return { endpoint: this.endpoints.of(endpoint), variant: this.variants.of(variant) }
  }
}
