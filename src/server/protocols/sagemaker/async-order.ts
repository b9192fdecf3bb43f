/** InvokeEndpointAsync in, an order out. Names and bounds: the service model of SageMaker Runtime, 2017-05-13. */
import type { InvocationInput, InvocationOrder } from '#contract/invocation'
import { readCallOptions } from '#server/call-option-headers'
import { checkedInteger, invalid, unsupported } from '#server/fields'
import type { Incoming, ServiceContext } from '#server/operation'
import { InferdError } from '#contract/errors'
import { modelOfTarget } from './endpoint-model.ts'
import { PRINTABLE, readEnvelope, readHeader, readTarget } from './envelope.ts'

const PREFIX = 'x-amzn-sagemaker-'
const INLINE_BYTES = 128_000
const DEFAULT_TTL_S = 21_600
const DEFAULT_TIMEOUT_S = 900
const JSON_TYPE = 'application/json'
const MEDIA_TYPE = /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+(?:\s*;[\x20-\x7e]*)?$/
const LOCATION = /^(?:https|s3):\/\/[^/]+\/?.*$/
const OUTPUT_FOLDER = /^(?!s3:|https:)[a-zA-Z0-9!_.*'()/-]+$/
const FILENAME = /^(?!.*\..*\.)[a-zA-Z0-9][\w.-]*$/
/** What the call that runs is told besides its content type; every header of ours too. */
const PASSED_ON = ['accept', `${PREFIX}accept`, `${PREFIX}custom-attributes`, `${PREFIX}inference-id`, `${PREFIX}session-id`]
const TARGETS = [`${PREFIX}target-model`, `${PREFIX}target-variant`, `${PREFIX}inference-component`]
const OWN_PREFIX = 'x-inferd-'

/** The call as the clients of AWS make it: the payload lies in a bucket, or is small and comes along. Throws invalid_parameter. */
export function readAsyncOrder(incoming: Incoming, context: ServiceContext): InvocationOrder {
  const uri = readHeader(incoming.headers, 'inputlocation', LOCATION, 1024)
  const { bytes } = incoming
  const param = `${PREFIX}inputlocation`
  if (uri === null && bytes.length === 0) throw invalid(param, 'InputLocation or a body must be given')
  if (uri !== null && bytes.length > 0) throw invalid(param, 'InputLocation and a body are both given; give only one')
  if (uri?.startsWith('https:') === true) throw unsupported(param, 'InputLocation must be s3://bucket/key: nothing is fetched from other servers')
  if (bytes.length > INLINE_BYTES) throw new InferdError('payload_too_large', `a body may have ${INLINE_BYTES} bytes; use InputLocation`)
  const contentType = readHeader(incoming.headers, 'content-type', MEDIA_TYPE, 1024) ?? JSON_TYPE
  return orderOf(incoming, context, {
    contentType,
    input: uri === null ? { kind: 'payload', chunks: once(bytes), maxBytes: INLINE_BYTES } : { kind: 'object', uri },
  })
}

/** Our own form: the payload is the body, as long as the server keeps it. Throws invalid_parameter. */
export function readPayloadOrder(incoming: Incoming, context: ServiceContext): InvocationOrder {
  const contentType = incoming.headers['content-type'] ?? JSON_TYPE
  if (!MEDIA_TYPE.test(contentType)) throw invalid('content-type', 'content-type must be a media type')
  if (incoming.headers[`${PREFIX}inputlocation`] !== undefined) throw invalid(`${PREFIX}inputlocation`, 'the payload is the body of this call')
  return orderOf(incoming, context, { contentType, input: { kind: 'payload', chunks: incoming.stream ?? once(incoming.bytes), maxBytes: null } })
}

function orderOf(
  incoming: Incoming,
  { principal, models }: ServiceContext,
  { contentType, input }: { readonly contentType: string; readonly input: InvocationInput },
): InvocationOrder {
  const { headers } = incoming
  // What is wrong around the body is told now, as the call would tell it.
  readEnvelope(incoming)
  readCallOptions(headers)
  const target = readTarget(incoming)
  const model = modelOfTarget(
    target,
    models.map(({ name }) => name),
  )
  if (!models.some(({ name }) => name === model)) throw new InferdError('model_not_found', `the model '${model}' does not exist`)
  return {
    principal,
    endpoint: target.endpoint ?? model,
    input,
    contentType,
    headers: passedOn(headers),
    inferenceId: readHeader(headers, 'inference-id', PRINTABLE, 64),
    outputFolder: readFolder(headers),
    outputName: readHeader(headers, 'filename', FILENAME, 32),
    startWithinMs: readSeconds(headers, 'requestttlseconds', { min: 60, max: 21_600 }, DEFAULT_TTL_S) * 1000,
    timeoutMs: readSeconds(headers, 'invocationtimeoutseconds', { min: 1, max: 3600 }, DEFAULT_TIMEOUT_S) * 1000,
  }
}

function passedOn(headers: Incoming['headers']): Readonly<Record<string, string>> {
  const names = Object.keys(headers).filter((name) => PASSED_ON.includes(name) || TARGETS.includes(name) || name.startsWith(OWN_PREFIX))
  return Object.fromEntries(names.map((name) => [name, headers[name] ?? '']))
}

/** No step of it leads out of the output location. */
function readFolder(headers: Incoming['headers']): string | null {
  const folder = readHeader(headers, 's3outputpathextension', OUTPUT_FOLDER, 512)
  if (folder === null) return null
  const steps = folder.split('/').filter((step) => step !== '')
  const param = `${PREFIX}s3outputpathextension`
  if (steps.length === 0 || steps.some((step) => /^\.+$/.test(step))) throw invalid(param, 'S3OutputPathExtension must name folders')
  return steps.join('/')
}

function readSeconds(headers: Incoming['headers'], name: string, range: { readonly min: number; readonly max: number }, whenAbsent: number): number {
  const text = headers[PREFIX + name]
  return text === undefined ? whenAbsent : checkedInteger(/^\d{1,9}$/.test(text) ? Number(text) : text, PREFIX + name, range)
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes.length > 0) yield bytes
}
