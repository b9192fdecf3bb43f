/** A native answer with Bedrock's terms around it: counts in headers, guardrail fields in the body, chunks in frames. */
import type { CallReport } from '#contract/call'
import type { GenerateEvent, TokenUsage, Usage } from '#contract/generate'
import { EVENT_STREAM_TYPE, eventFrame } from '#server/aws-event-stream'
import type { GenerateOutcome } from '#server/generate-outcome'
import type { EventStream, WireReply } from '#server/operation'
import { encodeStreamError } from '#server/protocols/bedrock/encode-error'
import { encodeGuardrailTrace } from '#server/protocols/bedrock/guardrail-assessment'
import { encodeUsage } from '#server/protocols/bedrock/wire-usage'
import type { InvokeTerms } from './invoke-terms.ts'
import type { NativeCall } from './native-call.ts'

export interface InvokeCall {
  readonly native: NativeCall
  readonly terms: InvokeTerms
  readonly requestId: string
  readonly elapsedMs: () => number
}

export function encodeInvoke(call: InvokeCall, outcome: GenerateOutcome, report: CallReport): WireReply {
  const body = withFields(call.native.encodeBody(outcome, report), guardrailFields(call, report))
  // As bytes: of text the framework would name the charset, which the service does not.
  return { status: 200, headers: replyHeaders(call, outcome.usage, report.tier), body: Buffer.from(body) }
}

export function replyHeaders(
  { requestId, terms, elapsedMs }: Omit<InvokeCall, 'native'>,
  usage: TokenUsage | Usage,
  tier: CallReport['tier'],
): Readonly<Record<string, string>> {
  const { inputTokens, outputTokens, cacheReadInputTokens, cacheWriteInputTokens } = encodeUsage(usage)
  return {
    'content-type': 'application/json',
    'x-amzn-requestid': requestId,
    'x-amzn-bedrock-input-token-count': String(inputTokens),
    'x-amzn-bedrock-output-token-count': String(outputTokens),
    'x-amzn-bedrock-invocation-latency': String(elapsedMs()),
    'x-amzn-bedrock-cache-read-input-token-count': String(cacheReadInputTokens),
    'x-amzn-bedrock-cache-write-input-token-count': String(cacheWriteInputTokens),
    ...termHeaders(terms, tier),
  }
}

/** Each piece is one `chunk` frame; the last one carries the counts. */
export function startInvokeStream(call: InvokeCall, report: CallReport): EventStream {
  const pieces = call.native.startPieces(report)
  let firstByteMs: number | null = null
  const encode = (event: GenerateEvent): Uint8Array => {
    if (event.type === 'response-error') return encodeStreamError(event.error, { knowsTimeout: true })
    const texts = [...pieces(event)]
    if (texts.length > 0) firstByteMs ??= call.elapsedMs()
    if (event.type === 'response-end') {
      const ending = { ...guardrailFields(call, report), ...invocationMetrics(call, event.usage, firstByteMs ?? call.elapsedMs()) }
      texts.push(withFields(texts.pop() ?? '{}', ending))
    }
    return texts.length === 1 ? chunkFrame(texts[0]!) : Buffer.concat(texts.map(chunkFrame))
  }
  return {
    headers: {
      'content-type': EVENT_STREAM_TYPE,
      'x-amzn-requestid': call.requestId,
      'x-amzn-bedrock-content-type': 'application/json',
      ...termHeaders(call.terms, call.native.options.tier),
    },
    heartbeat: null,
    encode,
  }
}

function termHeaders({ namesLatency, namesTier }: InvokeTerms, tier: CallReport['tier']): Readonly<Record<string, string>> {
  return {
    ...(namesLatency ? { 'x-amzn-bedrock-performanceconfig-latency': 'standard' } : {}),
    ...(namesTier ? { 'x-amzn-bedrock-service-tier': tier } : {}),
  }
}

function invocationMetrics({ elapsedMs }: InvokeCall, usage: Usage, firstByteMs: number): object {
  const { inputTokens, outputTokens, cacheReadInputTokens, cacheWriteInputTokens } = encodeUsage(usage)
  return {
    'amazon-bedrock-invocationMetrics': {
      inputTokenCount: inputTokens,
      outputTokenCount: outputTokens,
      invocationLatency: elapsedMs(),
      firstByteLatency: firstByteMs,
      cacheReadInputTokenCount: cacheReadInputTokens,
      cacheWriteInputTokenCount: cacheWriteInputTokens,
    },
  }
}

function guardrailFields({ terms }: InvokeCall, report: CallReport): object {
  if (!terms.namesGuardrail && report.guardrail === null) return {}
  const guardrail = encodeGuardrailTrace(report.guardrail)
  return {
    'amazon-bedrock-guardrailAction': report.guardrail?.intervened === true ? 'INTERVENED' : 'NONE',
    ...(guardrail === null ? {} : { 'amazon-bedrock-trace': { guardrail } }),
  }
}

/** `json` is an object as JSON.stringify writes it. */
function withFields(json: string, fields: object): string {
  const more = JSON.stringify(fields)
  if (more === '{}') return json
  return json === '{}' ? more : `${json.slice(0, -1)},${more.slice(1)}`
}

function chunkFrame(json: string): Uint8Array {
  return eventFrame('chunk', `{"bytes":"${Buffer.from(json).toString('base64')}"}`)
}
