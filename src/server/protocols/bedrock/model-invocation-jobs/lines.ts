/**
 * Lines of model invocation jobs: `recordId` and `modelInput` in, the same with `modelOutput` or `error` out (Amazon Bedrock user guide,
 * "Format and upload your batch inference data", "View the results of a batch inference job"). What is wrong with a line is its own error.
 */
import type { BatchFormat, BatchRecord, InputLine, RecordPlace } from '#contract/batch'
import { answerText, bodyText, countIn, objectIn, parseInputLine, recordId } from '#server/batch-lines'
import { isJsonObject } from '#server/fields'

const MAX_RECORDS = 50_000
const MAX_RECORD_ID_LENGTH = 512
/** As Bedrock makes them for lines that have none. */
const MADE_ID_LENGTH = 11
const BAD_REQUEST = 400
const TIMED_OUT = 408

export const bedrockBatchFormat: BatchFormat = {
  dialect: 'bedrock',
  maxRecords: MAX_RECORDS,
  hasUniqueIds: false,
  hasErrorFile: false,
  headers: {},
  readRecord: (line, _plan, place) => readRecord(line, place),
  encodeAnswer: ({ customId, body }, { status, body: answer }) => {
    const isOk = status === 200
    const rest = isOk ? `"modelOutput":${answerText(answer)}` : errorField(status, messageOf(answerText(answer)))
    return { isOk, line: outputLine(customId, body, rest) }
  },
  encodeTimeout: ({ customId, body }) => outputLine(customId, body, errorField(TIMED_OUT, 'the record was not done in its time')),
  encodeUnfinished: () => null,
  readUsage: (line) => readUsage(objectIn(JSON.parse(line), 'modelOutput')),
}

function readRecord(line: InputLine, place: RecordPlace): BatchRecord {
  const madeId = recordId(place).slice(0, MADE_ID_LENGTH)
  const parsed = parseInputLine(line)
  const refused = (customId: string, message: string): BatchRecord => ({
    kind: 'refused',
    customId,
    line: outputLine(customId, 'null', errorField(BAD_REQUEST, message)),
  })
  if (typeof parsed === 'string') return refused(madeId, parsed)
  const { recordId: given = madeId, modelInput } = parsed
  if (typeof given !== 'string' || given === '' || given.length > MAX_RECORD_ID_LENGTH) {
    return refused(madeId, `recordId must be a string of 1 to ${MAX_RECORD_ID_LENGTH} characters.`)
  }
  if (!isJsonObject(modelInput)) return refused(given, 'modelInput must be an object.')
  const text = bodyText(modelInput)
  return text === null ? refused(given, 'modelInput is nested too deep.') : { kind: 'call', customId: given, body: text }
}

function outputLine(customId: string, modelInput: string, rest: string): string {
  return `{"recordId":${JSON.stringify(customId)},"modelInput":${modelInput},${rest}}`
}

function errorField(errorCode: number, errorMessage: string): string {
  return `"error":${JSON.stringify({ errorCode, errorMessage })}`
}

/** Of an error of the runtime's routes. */
function messageOf(text: string): string {
  const value = JSON.parse(text) as unknown
  const message = isJsonObject(value) ? value['message'] : value
  return typeof message === 'string' ? message : text
}

/** Every native body of a model has its own words for its tokens; each has one of these. */
function readUsage(output: ReturnType<typeof objectIn>): ReturnType<BatchFormat['readUsage']> {
  const usage = objectIn(output, 'usage')
  const sum = (...counts: readonly [unknown, string][]): number => counts.reduce((total, [object, key]) => total + countIn(object, key), 0)
  const cachedTokens = sum(
    [usage, 'cacheReadInputTokens'],
    [usage, 'cache_read_input_tokens'],
    [objectIn(usage, 'prompt_tokens_details'), 'cached_tokens'],
  )
  return {
    inputTokens: sum(
      [usage, 'inputTokens'],
      [usage, 'input_tokens'],
      [usage, 'prompt_tokens'],
      [output, 'inputTextTokenCount'],
      [output, 'prompt_token_count'],
    ),
    cachedTokens,
    outputTokens: sum([usage, 'outputTokens'], [usage, 'output_tokens'], [usage, 'completion_tokens'], [output, 'generation_token_count']),
    reasoningTokens: 0,
  }
}
