/**
 * Lines of message batches: of the input as this server keeps it, and of the results as Anthropic's clients read them (Claude API reference,
 * "Retrieve Message Batch results").
 */
import type { BatchFormat, BatchRecord, InputLine, UnfinishedReason } from '#contract/batch'
import type { ErrorCode } from '#contract/errors'
import { answerText, bodyText, countIn, objectIn, parseInputLine, recordId } from '#server/batch-lines'
import { isJsonObject } from '#server/fields'
import { encodeErrorBody } from '../encode-error.ts'

export const MAX_REQUESTS = 100_000
export const MESSAGES_PATH = '/v1/messages'
const VERSION = '2023-06-01'
const CODES = { failed: 'internal', cancelled: 'cancelled', expired: 'deadline_exceeded' } as const satisfies Record<UnfinishedReason, ErrorCode>

export const anthropicBatchFormat: BatchFormat = {
  dialect: 'anthropic',
  maxRecords: MAX_REQUESTS,
  hasUniqueIds: true,
  hasErrorFile: false,
  headers: { 'anthropic-version': VERSION },
  readRecord: (line, _plan, place) => readRecord(line, recordId(place)),
  encodeAnswer: ({ customId }, { status, body }) => {
    const isOk = status === 200
    const result = isOk ? `{"type":"succeeded","message":${answerText(body)}}` : `{"type":"errored","error":${answerText(body)}}`
    return { isOk, line: `{"custom_id":${JSON.stringify(customId)},"result":${result}}` }
  },
  encodeTimeout: ({ customId }, place) => erroredLine(customId, 'deadline_exceeded', 'the request was not done in its time', recordId(place)),
  encodeUnfinished: ({ customId }, reason, place) => {
    if (reason === 'failed') return erroredLine(customId, CODES[reason], 'the batch failed before this request was executed', recordId(place))
    return JSON.stringify({ custom_id: customId, result: { type: reason === 'cancelled' ? 'canceled' : 'expired' } })
  },
  readUsage: (line) => {
    const { usage } = objectIn(objectIn(JSON.parse(line), 'result'), 'message')
    const cachedTokens = countIn(usage, 'cache_read_input_tokens')
    const inputTokens = countIn(usage, 'input_tokens') + countIn(usage, 'cache_creation_input_tokens') + cachedTokens
    return { inputTokens, cachedTokens, outputTokens: countIn(usage, 'output_tokens'), reasoningTokens: 0 }
  },
}

/** What is refused at the door of batches never stands in a line: another line is not of this server's making. */
function readRecord(line: InputLine, id: string): BatchRecord {
  const parsed = parseInputLine(line)
  const { custom_id: customId, params } = typeof parsed === 'string' ? {} : parsed
  const text = isJsonObject(params) ? bodyText(params) : null
  if (typeof customId !== 'string' || !isJsonObject(params) || text === null) {
    return { kind: 'fault', fault: { code: 'invalid_request', message: 'This request is not readable.', param: null, line: line.number } }
  }
  if (params['stream'] !== true) return { kind: 'call', customId, body: text }
  return { kind: 'refused', customId, line: erroredLine(customId, 'unsupported_parameter', 'stream is not supported in a batch', id) }
}

function erroredLine(customId: string, code: ErrorCode, message: string, id: string): string {
  const error = encodeErrorBody({ code, message, param: null, retryAfterMs: null }, `req_${id}`)
  return `{"custom_id":${JSON.stringify(customId)},"result":{"type":"errored","error":${error}}}`
}
