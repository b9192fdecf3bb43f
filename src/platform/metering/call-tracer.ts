/** One settled call as a tree of spans: request > admission, stages, attempts > queue, prefill, decode. No prompts, no answers. */
import type { Clock } from '#base/clock'
import { formatDecimal } from '#base/decimal'
import type { ErrorCode } from '#contract/errors'
import type { UsageRecord } from '#contract/usage-record'
import type { SpanExport, SpanTree } from '#telemetry/span-export'
import type { CallTimes } from './call-meter.ts'
import type { CallObserver, MeteredCall } from './metering.ts'
import type { StageMarks } from './stage-marks.ts'

export interface CallTracerParts {
  readonly spans: Pick<SpanExport, 'add'>
  readonly marks: StageMarks
  readonly clock: Clock
}

const COST_DIGITS = 12
const ATTEMPT = 'attempt'
/** Marks of stages that are the whole call, or told better by the record. */
const UNTOLD = ['metering', 'admission']

export class CallTracer implements CallObserver {
  private readonly parts: CallTracerParts

  constructor(parts: CallTracerParts) {
    this.parts = parts
  }

  onCall(record: UsageRecord, call: MeteredCall, times: CallTimes): void {
    const endMs = call.arrivedMs + record.durationMs
    const children = this.phases(record, call, { times, endMs })
    const tree: SpanTree = {
      name: `${record.operation} ${record.requestedModel}`,
      startMs: call.arrivedMs,
      endMs,
      attributes: attributesOf(record),
      error: record.error,
      children,
    }
    this.parts.spans.add(this.onWallClock(tree), call.traceparent)
  }

  onRefusal(code: ErrorCode, call: MeteredCall): void {
    const tree: SpanTree = {
      name: `${call.operation} ${call.model}`,
      startMs: call.arrivedMs,
      endMs: this.parts.clock.nowMs(),
      attributes: { 'gen_ai.operation.name': call.operation, 'gen_ai.request.model': call.model, 'error.type': code },
      error: code,
      children: [],
    }
    this.parts.spans.add(this.onWallClock(tree), call.traceparent)
  }

  private phases(
    record: UsageRecord,
    call: MeteredCall,
    { times, endMs }: { readonly times: CallTimes; readonly endMs: number },
  ): readonly SpanTree[] {
    const dispatchedMs = call.arrivedMs + (record.queueMs ?? 0)
    const spans = record.queueMs === null ? [] : [span('admission', call.arrivedMs, dispatchedMs)]
    const marks = this.parts.marks.of(call.report).filter(({ stage }) => !UNTOLD.includes(stage))
    const attempts = marks.filter(({ stage }) => stage === ATTEMPT)
    marks.forEach(({ stage, atMs }, index) => {
      if (stage !== ATTEMPT) spans.push(span(stage, atMs, marks[index + 1]?.atMs ?? times.startedMs ?? endMs))
    })
    attempts.forEach(({ model, atMs }, index) => {
      const isLast = index === attempts.length - 1
      const failure = isLast ? record.error : (call.report.attempts[index]?.error ?? null)
      spans.push({
        name: `${ATTEMPT} ${model}`,
        startMs: atMs,
        endMs: attempts[index + 1]?.atMs ?? endMs,
        attributes: { 'gen_ai.response.model': model },
        error: failure,
        children: isLast ? modelPhases(atMs, times) : [],
      })
    })
    return attempts.length > 0 ? spans : [...spans, ...modelPhases(dispatchedMs, times)]
  }

  private onWallClock(tree: SpanTree): SpanTree {
    const offsetMs = this.parts.clock.wallMs() - this.parts.clock.nowMs()
    const shift = (each: SpanTree): SpanTree => ({
      ...each,
      startMs: each.startMs + offsetMs,
      endMs: Math.max(each.startMs, each.endMs) + offsetMs,
      children: each.children.map(shift),
    })
    return shift(tree)
  }
}

function modelPhases(fromMs: number, { startedMs, firstPieceMs, lastPieceMs }: CallTimes): readonly SpanTree[] {
  if (startedMs === null) return []
  const queue = span('queue', fromMs, startedMs)
  if (firstPieceMs === null || lastPieceMs === null) return [queue]
  return [queue, span('prefill', startedMs, firstPieceMs), span('decode', firstPieceMs, lastPieceMs)]
}

function span(name: string, startMs: number, endMs: number): SpanTree {
  return { name, startMs, endMs, attributes: {}, error: null, children: [] }
}

function attributesOf(record: UsageRecord): SpanTree['attributes'] {
  return {
    'gen_ai.operation.name': record.operation,
    'gen_ai.provider.name': 'inferd',
    'gen_ai.request.model': record.requestedModel,
    ...(record.model === null ? {} : { 'gen_ai.response.model': record.model }),
    'gen_ai.usage.input_tokens': record.inputTokens,
    'gen_ai.usage.output_tokens': record.outputTokens,
    'gen_ai.usage.cache_read.input_tokens': record.cachedTokens,
    'inferd.request_id': record.requestId,
    'inferd.dialect': record.dialect,
    'inferd.team': record.team,
    'inferd.tier': record.tier,
    'inferd.cost_usd': formatDecimal(record.cost, COST_DIGITS),
    ...(record.error === null ? {} : { 'error.type': record.error }),
  }
}
