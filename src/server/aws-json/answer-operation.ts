/** AWS JSON 1.1: `POST /`, an operation named by a header, a JSON object in and one out. */
import { type ErrorRecord, InferdError, toErrorRecord } from '#contract/errors'
import { isJsonObject } from '#server/fields'
import type { Incoming, JsonObject, ServiceContext, WireReply } from '#server/operation'

export const AWS_JSON_TYPE = 'application/x-amz-json-1.1'

/** Throws InferdError. null = the answer has no body. */
export type AwsJsonOperation = (body: JsonObject, context: ServiceContext) => Promise<object | null>

export type EncodeOperationError = (error: ErrorRecord, requestId: string) => WireReply

export async function answerOperation(
  operation: AwsJsonOperation,
  encodeError: EncodeOperationError,
  { bytes }: Incoming,
  context: ServiceContext,
): Promise<WireReply> {
  const { requestId } = context
  try {
    const answer = await operation(readAwsJson(bytes), context)
    return {
      status: 200,
      headers: { 'content-type': AWS_JSON_TYPE, 'x-amzn-requestid': requestId },
      body: answer === null ? '' : JSON.stringify(answer),
    }
  } catch (error) {
    if (!(error instanceof InferdError)) throw error
    return encodeError(toErrorRecord(error), requestId)
  }
}

/** Throws malformed_body. */
export function readAwsJson(bytes: Uint8Array): JsonObject {
  const value = parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'))
  if (!isJsonObject(value)) throw new InferdError('malformed_body', 'the body must be a JSON object')
  return value
}

function parse(text: string): unknown {
  try {
    return text === '' ? {} : JSON.parse(text, withoutNull)
  } catch (cause) {
    throw new InferdError('malformed_body', 'the body is not valid JSON', { cause })
  }
}

/** A member that is null was not given; an item that is null stays one. Text that is nested too deep for it is a RangeError of the parser. */
function withoutNull(this: unknown, _name: string, value: unknown): unknown {
  return value === null && !Array.isArray(this) ? undefined : value
}
