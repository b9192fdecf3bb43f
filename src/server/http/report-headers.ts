/**
 * What became of a call, for every dialect alike: headers of a whole answer, trailers of a stream (announced in its head), because it is
 * known only at the end. docs/reference/usage.md lists them.
 */
import type { ServerResponse } from 'node:http'
import { formatDecimal } from '#base/decimal'
import type { CallReport } from '#contract/call'
import type { EventStream, WireReply } from '#server/operation'

const COST_DIGITS = 12
const NAMES = [
  'x-inferd-model',
  'x-inferd-cost-usd',
  'x-inferd-tier',
  'x-inferd-queue-ms',
  'x-inferd-cache',
  'x-inferd-truncation',
  'x-inferd-quality',
  'x-inferd-usage',
] as const
const ANNOUNCED = NAMES.join(', ')
/** What may stand in a header as it is. */
const PRINTABLE = /^[\x21-\x7e]{1,256}$/

/** Only what there is to say. */
function reportHeaders(report: CallReport): Readonly<Partial<Record<(typeof NAMES)[number], string>>> {
  const { servedBy, cost, tier, queueMs, cache, truncation, quality, isUsageEstimated } = report
  return {
    ...(servedBy !== null && PRINTABLE.test(servedBy) ? { 'x-inferd-model': servedBy } : {}),
    ...(cost === null ? {} : { 'x-inferd-cost-usd': formatDecimal(cost, COST_DIGITS) }),
    ...(tier === 'default' ? {} : { 'x-inferd-tier': tier }),
    ...(queueMs === null ? {} : { 'x-inferd-queue-ms': queueMs.toFixed(1) }),
    ...(cache === 'none' ? {} : { 'x-inferd-cache': cache }),
    ...(truncation === null ? {} : { 'x-inferd-truncation': `${truncation.strategy}; dropped=${truncation.numDroppedMessages}` }),
    ...(quality.length === 0 ? {} : { 'x-inferd-quality': quality.map(({ fault, action }) => `${fault}=${action}`).join(', ') }),
    ...(isUsageEstimated ? { 'x-inferd-usage': 'estimated' } : {}),
  }
}

export function withReport(reply: WireReply, report: CallReport): WireReply {
  return { ...reply, headers: { ...reportHeaders(report), ...reply.headers } }
}

/** The stream with its trailers. HTTP/1.0 has none. */
export function trailedStream(stream: EventStream, report: CallReport, response: ServerResponse): EventStream {
  const { httpVersionMajor, httpVersionMinor } = response.req
  if (httpVersionMajor === 1 && httpVersionMinor === 0) return stream
  const { encode } = stream
  return {
    ...stream,
    headers: { ...stream.headers, trailer: ANNOUNCED },
    encode: (event) => {
      const bytes = encode(event)
      if (event.type === 'response-end' || event.type === 'response-error') response.addTrailers(reportHeaders(report))
      return bytes
    },
  }
}
