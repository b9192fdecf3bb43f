/** Capture of the calls of endpoints, put together. */
import type { Clock } from '#base/clock'
import type { PlatformFile } from '#config/platform-file'
import type { ObjectStores } from '#contract/objects'
import { EndpointCaptures } from '#platform/capture/call-captures'
import { DEFAULT_CAPTURE_OPTIONS } from '#platform/capture/capture-options'
import { CaptureMetrics } from '#telemetry/capture-metrics'
import type { Log } from '#telemetry/log'
import type { Metrics } from '#telemetry/metrics'

export interface CaptureParts {
  readonly file: Pick<PlatformFile, 'telemetry'>
  readonly objects: ObjectStores
  readonly metrics: Metrics
  readonly clock: Clock
  readonly log: Log
}

export function openCaptures({ file, objects, metrics, clock, log }: CaptureParts): EndpointCaptures {
  const watch = new CaptureMetrics(metrics.registry, file.telemetry.maxLabelValues)
  return new EndpointCaptures({ objects, options: DEFAULT_CAPTURE_OPTIONS, watch, clock, log })
}
