/** A counter of exact integers, exported as a decimal: sums of money do not drift. */
import { Counter, type Registry } from 'prom-client'

export interface ExactCounterOptions<Label extends string> {
  readonly name: string
  readonly help: string
  readonly labelNames: readonly Label[]
  readonly registry: Registry
  /** Exported = counted / 10^digits. */
  readonly numDigits: number
}

export class ExactCounter<Label extends string> {
  private readonly sums = new Map<string, { readonly labels: Record<Label, string>; sum: bigint }>()

  constructor({ name, help, labelNames, registry, numDigits }: ExactCounterOptions<Label>) {
    const { sums } = this
    const counter = new Counter({
      name,
      help,
      labelNames: [...labelNames],
      registers: [registry],
      collect(): void {
        counter.reset()
        for (const { labels, sum } of sums.values()) counter.inc(labels, Number(`${sum}e-${numDigits}`))
      },
    })
  }

  add(labels: Record<Label, string>, amount: bigint): void {
    const key = Object.values(labels).join('\u0000')
    const known = this.sums.get(key)
    if (known === undefined) this.sums.set(key, { labels, sum: amount })
    else known.sum += amount
  }
}
