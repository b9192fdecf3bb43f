/**
 * Spans to an OTLP collector. A call's spans are made when it is over, from times that were taken on the way: a call that is not sampled,
 * or a server without a collector, pays nothing for them.
 */
import { type Attributes, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace, type Context } from '@opentelemetry/api'
import { parseTraceParent } from '@opentelemetry/core'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { resourceFromAttributes } from '@opentelemetry/resources'
import { BatchSpanProcessor, ParentBasedSampler, TraceIdRatioBasedSampler, TracerProvider } from '@opentelemetry/sdk-trace'

/** A part of a call, with what is inside it. Times are epoch milliseconds with a fraction. */
export interface SpanTree {
  readonly name: string
  readonly startMs: number
  readonly endMs: number
  readonly attributes: Attributes
  /** null = it went well. */
  readonly error: string | null
  readonly children: readonly SpanTree[]
}

export interface SpanTarget {
  /** OTLP over HTTP: `http://collector:4318/v1/traces`. */
  readonly endpoint: string
  readonly headers: Readonly<Record<string, string>>
  /** Of calls without a parent, [0, 1]. */
  readonly sampleRatio: number
}

const MAX_QUEUED_SPANS = 8192
const EXPORT_DELAY_MS = 1000

export class SpanExport {
  private readonly provider: TracerProvider
  private readonly tracer: ReturnType<TracerProvider['getTracer']>

  constructor({ endpoint, headers, sampleRatio }: SpanTarget, version: string) {
    const exporter = new OTLPTraceExporter({ url: endpoint, headers: { ...headers } })
    this.provider = new TracerProvider({
      resource: resourceFromAttributes({ 'service.name': 'inferd', 'service.version': version }),
      sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(sampleRatio) }),
      spanProcessors: [new BatchSpanProcessor({ exporter, maxQueueSize: MAX_QUEUED_SPANS, scheduledDelayMillis: EXPORT_DELAY_MS })],
    })
    this.tracer = this.provider.getTracer('inferd', version)
  }

  /** `traceparent`: of the caller, as it was sent; what is not one begins a trace of its own. */
  add(root: SpanTree, traceparent: string | undefined): void {
    const parent = traceparent === undefined ? null : parseTraceParent(traceparent)
    this.write(root, SpanKind.SERVER, parent === null ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, { ...parent, isRemote: true }))
  }

  /** Sends what is left. */
  close(): Promise<void> {
    return this.provider.shutdown()
  }

  private write({ name, startMs, endMs, attributes, error, children }: SpanTree, kind: SpanKind, parent: Context): void {
    const span = this.tracer.startSpan(name, { kind, startTime: startMs, attributes }, parent)
    if (!span.isRecording()) return
    if (error !== null) span.setStatus({ code: SpanStatusCode.ERROR, message: error })
    const inside = trace.setSpan(parent, span)
    for (const child of children) this.write(child, SpanKind.INTERNAL, inside)
    span.end(endMs)
  }
}
