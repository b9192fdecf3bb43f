/**
 * What SageMaker puts around a body: headers that say where it goes and how it is labelled, and the headers of the answer. Names and
 * bounds: the service model of SageMaker Runtime, 2017-05-13.
 */
import { invalid, unsupported } from '#server/fields'
import type { DecodeContext, Incoming } from '#server/operation'
import { type EndpointTarget, invokedVariant, variantName } from './endpoint-model.ts'

export interface Envelope {
  readonly customAttributes: string | null
  /** The caller's own labels, for the ledger. */
  readonly labels: Readonly<Record<string, string>>
  readonly isNewSession: boolean
}

const PREFIX = 'x-amzn-sagemaker-'
const VISIBLE_ASCII = /^[\x20-\x7e]*$/
const RESOURCE_NAME = /^[a-zA-Z0-9](?:-*[a-zA-Z0-9])*$/
export const PRINTABLE = /^[\x21-\x7e][\x20-\x7e]*$/
const NEW_SESSION = 'NEW_SESSION'
const SESSION_SECONDS = 3600
/** What an answer can be: a JSON body, frames of events. */
const ACCEPTED = ['*/*', 'application/*', 'application/json', 'text/*', 'text/event-stream', 'application/vnd.amazon.eventstream']

/** Throws invalid_parameter with the header's name. */
export function readTarget({ params, headers, body }: Incoming): EndpointTarget {
  const endpoint = params['endpoint'] ?? null
  if (endpoint !== null) checkText('EndpointName', endpoint, RESOURCE_NAME, 63)
  return {
    endpoint,
    component: readHeader(headers, 'inference-component', RESOURCE_NAME, 63),
    targetModel: readHeader(headers, 'target-model', PRINTABLE, 1024),
    variant: readHeader(headers, 'target-variant', RESOURCE_NAME, 63),
    bodyModel: endpoint === null && Object.hasOwn(body, 'model') && typeof body['model'] === 'string' ? body['model'] : null,
  }
}

/** Throws invalid_parameter, or unsupported_parameter for what is refused by name; both with the header's name. */
export function readEnvelope({ headers }: Incoming): Envelope {
  refuse(headers, 'enable-explanations', 'EnableExplanations is not offered: no explainer is attached to this server')
  refuse(headers, 'target-container-hostname', 'TargetContainerHostname is not offered: endpoints have one container')
  checkAccept(headers)
  const inferenceId = readHeader(headers, 'inference-id', PRINTABLE, 64)
  const session = readHeader(headers, 'session-id', /^(?:NEW_SESSION|[a-zA-Z0-9](?:-*[a-zA-Z0-9])*)$/, 256)
  const isNewSession = session === NEW_SESSION
  return {
    customAttributes: readHeader(headers, 'custom-attributes', VISIBLE_ASCII, 1024),
    labels: {
      ...(inferenceId === null ? {} : { 'sagemaker:inference-id': inferenceId }),
      ...(session === null || isNewSession ? {} : { 'sagemaker:session-id': session }),
    },
    isNewSession,
  }
}

/** `model`: who answered. */
export function answerHeaders(envelope: Envelope, model: string, { responseId, createdSeconds }: DecodeContext): Record<string, string> {
  const headers: Record<string, string> = { 'x-amzn-invoked-production-variant': invokedVariant(model) }
  if (envelope.customAttributes !== null) headers[`${PREFIX}custom-attributes`] = envelope.customAttributes
  if (envelope.isNewSession) {
    const expires = new Date((createdSeconds + SESSION_SECONDS) * 1000).toISOString().replace(/\.\d{3}Z$/, 'Z')
    headers[`${PREFIX}new-session-id`] = `${variantName(responseId)}; Expires=${expires}`
  }
  return headers
}

function refuse(headers: Incoming['headers'], name: string, reason: string): void {
  if (headers[PREFIX + name] !== undefined) throw unsupported(PREFIX + name, reason)
}

/** Without the prefix of its name. Throws invalid_parameter. */
export function readHeader(headers: Incoming['headers'], name: string, pattern: RegExp, maxLength: number): string | null {
  const value = headers[PREFIX + name]
  if (value !== undefined) checkText(PREFIX + name, value, pattern, maxLength)
  return value ?? null
}

/** The value is not repeated: it may be anything. */
function checkText(name: string, value: string, pattern: RegExp, maxLength: number): void {
  if (value.length <= maxLength && pattern.test(value)) return
  throw invalid(name, `${name} must have at most ${maxLength} characters and match ${pattern.source}`)
}

function checkAccept(headers: Incoming['headers']): void {
  for (const name of ['accept', `${PREFIX}accept`]) {
    const types = headers[name]?.split(',').map((type) => type.split(';')[0]?.trim().toLowerCase() ?? '') ?? ['*/*']
    if (types.some((type) => type === '' || ACCEPTED.includes(type))) continue
    throw unsupported(name, `${name}: answers of this model are application/json`)
  }
}
