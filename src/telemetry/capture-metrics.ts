/** Figures of captured calls: written, dropped and why, cut, attempts that failed, and what waits in memory. */
import { Counter, Gauge, type Registry } from 'prom-client'
import { LabelValues } from './label-values.ts'

interface Place {
  readonly endpoint: string
  readonly variant: string
}

export class CaptureMetrics {
  private readonly endpoints: LabelValues
  private readonly variants: LabelValues
  private readonly written: Counter<'endpoint' | 'variant'>
  private readonly dropped: Counter<'endpoint' | 'variant' | 'reason'>
  private readonly truncated: Counter<'endpoint' | 'variant'>
  private readonly failures: Counter<'endpoint' | 'variant'>
  private readonly held: Gauge

  constructor(registry: Registry, maxLabelValues: number) {
    const registers = [registry]
    const labelNames = ['endpoint', 'variant'] as const
    this.endpoints = new LabelValues(maxLabelValues)
    this.variants = new LabelValues(maxLabelValues)
    this.written = new Counter({
      name: 'inferd_capture_records_written_total',
      help: 'Captured calls that lie in the object store.',
      labelNames,
      registers,
    })
    this.dropped = new Counter({
      name: 'inferd_capture_records_dropped_total',
      help: 'Calls of the sample that were not kept, by reason: full, refused or shutdown.',
      labelNames: [...labelNames, 'reason'],
      registers,
    })
    this.truncated = new Counter({
      name: 'inferd_capture_bodies_truncated_total',
      help: 'Bodies that were cut at the limit of a capture.',
      labelNames,
      registers,
    })
    this.failures = new Counter({
      name: 'inferd_capture_write_failures_total',
      help: 'Attempts to write captured calls that failed.',
      labelNames,
      registers,
    })
    this.held = new Gauge({ name: 'inferd_capture_held_bytes', help: 'Captured bytes in memory, of answers being given too.', registers })
  }

  onWritten(place: Place, numRecords: number): void {
    this.written.inc(this.labelsOf(place), numRecords)
  }

  onDropped(place: Place, numRecords: number, reason: string): void {
    this.dropped.inc({ ...this.labelsOf(place), reason }, numRecords)
  }

  onTruncated(place: Place): void {
    this.truncated.inc(this.labelsOf(place))
  }

  onFailure(place: Place): void {
    this.failures.inc(this.labelsOf(place))
  }

  onHeld(numBytes: number): void {
    this.held.set(numBytes)
  }

  private labelsOf({ endpoint, variant }: Place): Place {
    return { endpoint: this.endpoints.of(endpoint), variant: this.variants.of(variant) }
  }
}
