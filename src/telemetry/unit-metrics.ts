/** Metrics of provisioned throughput: what was sold, what of it is used, what spills over. */
import { Counter, Gauge, type Registry } from 'prom-client'
import { LabelValues } from './label-values.ts'

export interface UnitFigures {
  readonly name: string
  readonly model: string
  readonly units: number
  readonly numRunning: number
  /** Since the server started, as all that follow. */
  readonly numWithin: number
  readonly numSpilled: number
  readonly promptTokens: number
  readonly outputTokens: number
}

export interface UnitMetricsOptions {
  readonly registry: Registry
  readonly maxLabelValues: number
  /** Asked at each scrape. */
  readonly figures: () => readonly UnitFigures[]
}

export class UnitMetrics {
  constructor({ registry, maxLabelValues, figures }: UnitMetricsOptions) {
    const registers = [registry]
    const names = new LabelValues(maxLabelValues)
    const labelsOf = ({ name, model }: UnitFigures): { throughput: string; model: string } => ({ throughput: names.of(name), model })
    const gauge = (name: string, help: string, read: (now: UnitFigures) => number): void => {
      const made: Gauge = new Gauge({
        name,
        help,
        labelNames: ['throughput', 'model'],
        registers,
        collect: () => {
          made.reset()
          for (const each of figures()) made.set(labelsOf(each), read(each))
        },
      })
    }
    gauge('inferd_provisioned_units', 'Units of provisioned throughput that a team has.', ({ units }) => units)
    gauge('inferd_provisioned_running_calls', 'Calls that run within provisioned throughput.', ({ numRunning }) => numRunning)
    const calls: Counter = new Counter({
      name: 'inferd_provisioned_calls_total',
      help: 'Calls within provisioned throughput, and those that spilled over to on demand.',
      labelNames: ['throughput', 'model', 'outcome'],
      registers,
      collect: () => {
        calls.reset()
        for (const each of figures()) {
          calls.inc({ ...labelsOf(each), outcome: 'within' }, each.numWithin)
          calls.inc({ ...labelsOf(each), outcome: 'spilled' }, each.numSpilled)
        }
      },
    })
    const tokens: Counter = new Counter({
      name: 'inferd_provisioned_tokens_total',
      help: 'Tokens of calls within provisioned throughput; prompt tokens without those of the prefix cache.',
      labelNames: ['throughput', 'model', 'direction'],
      registers,
      collect: () => {
        tokens.reset()
        for (const each of figures()) {
          tokens.inc({ ...labelsOf(each), direction: 'input' }, each.promptTokens)
          tokens.inc({ ...labelsOf(each), direction: 'output' }, each.outputTokens)
        }
      },
    })
  }
}
