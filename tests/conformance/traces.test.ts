/** The spans of one call, as a collector of OpenTelemetry receives them. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { FakeClock } from '#base/fake-clock'
import { CallTracer } from '#platform/metering/call-tracer'
import { Metering } from '#platform/metering/metering'
import { meteringStage } from '#platform/metering/metering-stage'
import { PriceTable } from '#platform/metering/price-table'
import { NO_SETTLEMENT } from '#platform/metering/settlement'
import { StageMarks } from '#platform/metering/stage-marks'
import { type CallHandler, composeStages } from '#platform/online/stage'
import { SpanExport } from '#telemetry/span-export'
import { ANSWER, callOf, readAll } from '../simulation/online-call.ts'

interface ReceivedSpan {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly name: string
  readonly startTimeUnixNano: string
  readonly endTimeUnixNano: string
  readonly attributes: readonly { readonly key: string; readonly value: object }[]
}

async function collected(work: (endpoint: string) => Promise<void>): Promise<readonly ReceivedSpan[]> {
  const spans: ReceivedSpan[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const body = JSON.parse(Buffer.concat(chunks).toString()) as { resourceSpans: { scopeSpans: { spans: ReceivedSpan[] }[] }[] }
      spans.push(...body.resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans)))
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  await work(`http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/traces`)
  await new Promise((resolve) => server.close(resolve))
  return spans
}

const TRACE_ID = '0af7651916cd43dd8448eb211c80319c'
const PARENT_ID = 'b7ad6b7169203331'

async function traceOf(traceparent: string): Promise<readonly ReceivedSpan[]> {
  return collected(async (endpoint) => {
    const spans = new SpanExport({ endpoint, headers: {}, sampleRatio: 1 }, '1.0.0')
    const clock = new FakeClock()
    const marks = new StageMarks(clock)
    const metering = new Metering({
      prices: new PriceTable({}),
      ledger: { hasRoom: true, add: () => {} },
      settlement: NO_SETTLEMENT,
      observers: [new CallTracer({ spans, marks, clock })],
      clock,
    })
    const model: CallHandler = async function* (call) {
      marks.note(call.report, { stage: 'attempt', model: 'cheap' })
      void clock.advance(20)
      call.report.attempts.push({ model: 'cheap', error: 'overloaded' })
      marks.note(call.report, { stage: 'attempt', model: 'dear' })
      for (const event of ANSWER) {
        void clock.advance(10)
        yield event
      }
    }
    const handler = composeStages([marks.before('metering'), meteringStage(metering), marks.before('safety'), marks.before('routing')], model)
    const call = callOf({ text: 'a secret prompt', traceparent })
    call.report.queueMs = 0
    await readAll(handler(call, new AbortController().signal))
    await spans.close()
  })
}

test('a call is one tree under the span of its caller: admission, stages, attempts, and the phases of the model', async () => {
  const spans = await traceOf(`00-${TRACE_ID}-${PARENT_ID}-01`)
  const byId = new Map(spans.map((span) => [span.spanId, span]))
  const pathOf = (span: ReceivedSpan): string => {
    const parent = byId.get(span.parentSpanId ?? '')
    return parent === undefined ? span.name : `${pathOf(parent)} > ${span.name}`
  }
  expect(spans.map(pathOf).sort()).toEqual([
    'chat chat',
    'chat chat > admission',
    'chat chat > attempt cheap',
    'chat chat > attempt dear',
    'chat chat > attempt dear > decode',
    'chat chat > attempt dear > prefill',
    'chat chat > attempt dear > queue',
    'chat chat > routing',
    'chat chat > safety',
  ])
  expect(new Set(spans.map(({ traceId }) => traceId))).toEqual(new Set([TRACE_ID]))
  expect(spans.find(({ name }) => name === 'chat chat')?.parentSpanId).toBe(PARENT_ID)
  const lengthMs = (name: string): number => {
    const { startTimeUnixNano, endTimeUnixNano } = spans.find((span) => span.name === name)!
    return Math.round(Number(BigInt(endTimeUnixNano) - BigInt(startTimeUnixNano)) / 1e6)
  }
  expect(['attempt cheap', 'queue', 'prefill', 'decode', 'chat chat'].map(lengthMs)).toEqual([20, 10, 10, 10, 70])
})

test('no prompt and no answer is in a span', async () => {
  const text = JSON.stringify(await traceOf(`00-${TRACE_ID}-${PARENT_ID}-01`))
  expect(text).not.toMatch(/secret|two/)
})

test('a caller that is not sampled is not traced', async () => {
  expect(await traceOf(`00-${TRACE_ID}-${PARENT_ID}-00`)).toEqual([])
})

test('what is no trace context begins a trace of its own', async () => {
  const [first] = await traceOf('garbage')
  expect(first?.traceId).toMatch(/^[0-9a-f]{32}$/)
  expect(first?.traceId).not.toBe(TRACE_ID)
})
