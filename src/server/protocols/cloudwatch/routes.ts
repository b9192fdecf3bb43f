/**
 * CloudWatch, as far as its alarms start scaling policies. Two wires for the same operations: AWS JSON, which boto3 and the aws CLI speak, and
 * Smithy's RPC v2 in CBOR, which the newest clients for JavaScript speak. The old query protocol is not offered.
 */
import { type ErrorRecord, InferdError, toErrorRecord } from '#contract/errors'
import { readAwsJson } from '#server/aws-json/answer-operation'
import { isJsonObject } from '#server/fields'
import type { Incoming, JsonObject, ProtocolFamily, ServiceContext, WireError, WireReply } from '#server/operation'
import { decodeCbor, encodeCbor } from './cbor.ts'
import { alarmError } from './encode-error.ts'
import { ALARM_OPERATIONS } from './operations.ts'

interface Wire {
  readonly headers: Readonly<Record<string, string>>
  read(bytes: Uint8Array): JsonObject
  /** Dates are times. */
  write(value: object): WireError['body']
}

const SERVICE = 'GraniteServiceVersion20100801'
const TARGET = `${SERVICE}.`
const PATH = `/service/${SERVICE}/operation/`

const JSON_WIRE: Wire = {
  headers: { 'content-type': 'application/x-amz-json-1.0' },
  read: readAwsJson,
  write: (value) => JSON.stringify(timesAsSeconds(value)),
}
const CBOR_WIRE: Wire = {
  headers: { 'content-type': 'application/cbor', 'smithy-protocol': 'rpc-v2-cbor' },
  read: (bytes) => {
    const value = bytes.byteLength === 0 ? {} : withoutNull(decodeCbor(bytes))
    if (!isJsonObject(value)) throw new InferdError('malformed_body', 'the body must be a map')
    return value
  },
  write: encodeCbor,
}

export const cloudwatchJsonFamily: ProtocolFamily = {
  name: 'cloudwatch',
  pathPrefixes: [],
  claims: (path, headers) => path === '/' && isOurs(headers['x-amz-target']),
  encodeError: (error, requestId) => encodeError(JSON_WIRE, error, requestId),
  routes: [
    {
      kind: 'service',
      method: 'POST',
      path: '/',
      matches: (headers) => isOurs(headers['x-amz-target']),
      bodyKind: 'bytes',
      handle: (incoming, context) => answer(JSON_WIRE, (incoming.headers['x-amz-target'] ?? '').slice(TARGET.length), incoming, context),
    },
  ],
}

export const cloudwatchCborFamily: ProtocolFamily = {
  name: 'cloudwatch-cbor',
  pathPrefixes: [PATH],
  encodeError: (error, requestId) => encodeError(CBOR_WIRE, error, requestId),
  routes: [
    {
      kind: 'service',
      method: 'POST',
      path: `${PATH}:operation`,
      bodyKind: 'bytes',
      handle: (incoming, context) => answer(CBOR_WIRE, incoming.params['operation'] ?? '', incoming, context),
    },
  ],
}

function isOurs(target: unknown): boolean {
  return typeof target === 'string' && target.startsWith(TARGET)
}

async function answer(wire: Wire, name: string, { bytes }: Incoming, context: ServiceContext): Promise<WireReply> {
  const { requestId } = context
  try {
    const operation = Object.hasOwn(ALARM_OPERATIONS, name) ? ALARM_OPERATIONS[name] : undefined
    if (operation === undefined)
      throw new InferdError('unsupported_parameter', `the operation ${name.replace(/\W/g, '').slice(0, 64)} is not offered by this server`)
    const value = (await operation(wire.read(bytes), context)) ?? {}
    return { status: 200, headers: { ...wire.headers, 'x-amzn-requestid': requestId }, body: wire.write(value) }
  } catch (error) {
    if (!(error instanceof InferdError)) throw error
    return encodeError(wire, toErrorRecord(error), requestId)
  }
}

function encodeError(wire: Wire, error: ErrorRecord, requestId: string): WireError {
  const { status, type, message } = alarmError(error)
  const headers = { ...wire.headers, 'x-amzn-requestid': requestId, 'x-amzn-query-error': `${type};${status < 500 ? 'Sender' : 'Receiver'}` }
  return { status, headers, body: wire.write({ __type: type, message }) }
}

function timesAsSeconds(value: unknown): unknown {
  if (value instanceof Date) return value.getTime() / 1000
  if (Array.isArray(value)) return value.map(timesAsSeconds)
  return isJsonObject(value) ? Object.fromEntries(Object.entries(value).map(([name, member]) => [name, timesAsSeconds(member)])) : value
}

/** A member that is null was not given. */
function withoutNull(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNull)
  if (!isJsonObject(value)) return value
  return Object.fromEntries(Object.entries(value).flatMap(([name, member]) => (member === null ? [] : [[name, withoutNull(member)]])))
}
