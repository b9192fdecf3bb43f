/** Lines of OpenAI's batch files. Form and words: OpenAI API reference, "The request input object" and "The request output object". */
import type { BatchCall, BatchFault, BatchFormat, BatchPlan, BatchRecord, InputLine, RecordPlace, UnfinishedReason } from '#contract/batch'
import type { WireAnswer } from '#contract/job'
import { answerText, bodyText, countIn, objectIn, parseInputLine, recordId } from '#server/batch-lines'
import { isJsonObject } from '#server/fields'
import type { JsonObject } from '#server/operation'
import { encodeErrorBody, WIRE_ERRORS } from '../encode-error.ts'

const MAX_RECORDS = 50_000
const MAX_CUSTOM_ID_LENGTH = 512
/** What makes an answer something else than one JSON object. */
const LIVE_FIELDS = ['stream', 'background']
const UNFINISHED = {
  cancelled: { code: 'batch_cancelled', message: 'The batch was cancelled before this request was executed.' },
  expired: { code: 'batch_expired', message: 'This request could not be executed before the completion window expired.' },
  failed: { code: 'batch_failed', message: 'The batch failed before this request was executed.' },
} as const satisfies Record<UnfinishedReason, object>

export const openaiBatchFormat: BatchFormat = {
  dialect: 'openai',
  maxRecords: MAX_RECORDS,
  hasUniqueIds: true,
  hasErrorFile: true,
  headers: {},
  readRecord,
  encodeAnswer: ({ customId }, answer, place) => ({ isOk: answer.status === 200, line: answerLine(customId, answer, place) }),
  encodeTimeout: ({ customId }, place) => errorLine(customId, place, { code: 'request_timeout', message: 'The request was not done in its time.' }),
  encodeUnfinished: ({ customId }, reason, place) => errorLine(customId, place, UNFINISHED[reason]),
  readUsage,
}

function readRecord(line: InputLine, plan: BatchPlan, place: RecordPlace): BatchRecord {
  const parsed = parseInputLine(line)
  const fault = (code: string, message: string, param: string | null = null): BatchRecord => faultOf({ code, message, param, line: line.number })
  if (typeof parsed === 'string') return fault('invalid_json_line', parsed)
  const missing = ['custom_id', 'method', 'url', 'body'].find((key) => !Object.hasOwn(parsed, key) || parsed[key] === null)
  if (missing !== undefined) return fault('missing_required_parameter', `Missing required parameter: '${missing}'.`, missing)
  const { custom_id: customId, method, url, body } = parsed
  if (typeof customId !== 'string' || customId === '' || customId.length > MAX_CUSTOM_ID_LENGTH) {
    return fault('invalid_custom_id', `custom_id must be a string of 1 to ${MAX_CUSTOM_ID_LENGTH} characters.`, 'custom_id')
  }
  if (method !== 'POST') return fault('invalid_method', "method must be 'POST'.", 'method')
  if (url !== plan.endpoint) return fault('url_mismatch', `The URL of this request does not match the batch endpoint, ${plan.endpoint}.`, 'url')
  if (!isJsonObject(body)) return fault('invalid_type', 'body must be an object.', 'body')
  const text = bodyText(body)
  if (text === null) return fault('invalid_json_line', 'This line is nested too deep.')
  const live = LIVE_FIELDS.find((key) => body[key] === true)
  return live === undefined ? { kind: 'call', customId, body: text } : refused(customId, live, place)
}

function faultOf(fault: BatchFault): BatchRecord {
  return { kind: 'fault', fault }
}

function refused(customId: string, param: string, place: RecordPlace): BatchRecord {
  const error = { code: 'unsupported_parameter', message: `${param} is not supported in a batch`, param, retryAfterMs: null } as const
  const body = Buffer.from(encodeErrorBody(error))
  return { kind: 'refused', customId, line: answerLine(customId, { status: WIRE_ERRORS[error.code].status, headers: {}, body }, place) }
}

/** The request id of a request that never came to a route is its own. */
function answerLine(customId: BatchCall['customId'], { status, headers, body }: WireAnswer, place: RecordPlace): string {
  const id = `batch_req_${recordId(place)}`
  const requestId = headers['x-request-id'] ?? id
  const response = `{"status_code":${status},"request_id":${JSON.stringify(requestId)},"body":${answerText(body)}}`
  return `{"id":"${id}","custom_id":${JSON.stringify(customId)},"response":${response},"error":null}`
}

function errorLine(customId: string, place: RecordPlace, error: { readonly code: string; readonly message: string }): string {
  return JSON.stringify({ id: `batch_req_${recordId(place)}`, custom_id: customId, response: null, error })
}

/** `usage` of an answer of chat, completions or embeddings, and of the Responses API, which has other words for the same. */
function readUsage(line: string): ReturnType<BatchFormat['readUsage']> {
  const { usage }: JsonObject = objectIn(objectIn(JSON.parse(line), 'response'), 'body')
  return {
    inputTokens: countIn(usage, 'prompt_tokens') + countIn(usage, 'input_tokens'),
    cachedTokens:
      countIn(objectIn(usage, 'prompt_tokens_details'), 'cached_tokens') + countIn(objectIn(usage, 'input_tokens_details'), 'cached_tokens'),
    outputTokens: countIn(usage, 'completion_tokens') + countIn(usage, 'output_tokens'),
    reasoningTokens:
      countIn(objectIn(usage, 'completion_tokens_details'), 'reasoning_tokens') +
      countIn(objectIn(usage, 'output_tokens_details'), 'reasoning_tokens'),
  }
}
