/** GetSessionToken of AWS's Security Token Service: who signs with a key gets temporary credentials of it (query protocol, 2011-06-15). */
import { InferdError } from '#contract/errors'
import { MAX_SESSION_S, MIN_SESSION_S, type TemporaryCredentials } from '#contract/temporary-credentials'
import { invalid } from '#server/fields'
import type { Incoming, ProtocolFamily, ServiceContext, WireReply } from '#server/operation'
import { encodeError, NAMESPACE, XML, xml } from './encode-error.ts'

const VERSION = '2011-06-15'
/** As AWS has it for users: twelve hours. */
const DEFAULT_SESSION_S = 43_200
const NAMES = ['Action', 'Version', 'DurationSeconds']
/** Of second factors. */
const UNSUPPORTED = ['SerialNumber', 'TokenCode']

export const stsFamily: ProtocolFamily = {
  name: 'sts',
  pathPrefixes: [],
  claims: (path, headers) => path === '/' && isForm(headers['content-type']),
  encodeError,
  routes: [
    {
      kind: 'service',
      method: 'POST',
      path: '/',
      matches: (headers) => isForm(headers['content-type']),
      bodyKind: 'bytes',
      handle: getSessionToken,
    },
  ],
}

async function getSessionToken({ bytes }: Incoming, { principal, requestId, services }: ServiceContext): Promise<WireReply> {
  const durationS = readDuration(readForm(bytes))
  if (services.credentials === null) throw new InferdError('route_not_found', 'this server has no keys to make temporary credentials of')
  if (principal.isTemporary === true) throw new InferdError('forbidden', 'GetSessionToken cannot be called with temporary credentials')
  const body = encodeCredentials(await services.credentials.issue(principal.keyId, durationS), requestId)
  return { status: 200, headers: { 'content-type': XML, 'cache-control': 'no-store', 'x-amzn-requestid': requestId }, body }
}

/** As every request of the query protocol is; other APIs at `/` send JSON. */
function isForm(contentType: unknown): boolean {
  return typeof contentType === 'string' && contentType.split(';')[0]?.trim().toLowerCase() === 'application/x-www-form-urlencoded'
}

/** Throws invalid_parameter, unsupported_parameter, and route_not_found for every other action. */
function readForm(bytes: Uint8Array): URLSearchParams {
  const form = new URLSearchParams(Buffer.from(bytes).toString('utf8'))
  for (const name of form.keys()) if (form.getAll(name).length > 1) throw invalid(name, `${name} must be given once`)
  if (form.get('Action') !== 'GetSessionToken' || form.get('Version') !== VERSION) {
    throw new InferdError('route_not_found', `this server knows the action GetSessionToken of version ${VERSION} only`)
  }
  for (const name of form.keys()) {
    if (UNSUPPORTED.includes(name)) throw new InferdError('unsupported_parameter', `${name}: there is no second factor here`, { param: name })
    if (!NAMES.includes(name)) throw invalid(name, `${name} is not known here; known are ${NAMES.join(', ')}`)
  }
  return form
}

function readDuration(form: URLSearchParams): number {
  const text = form.get('DurationSeconds')
  if (text === null) return DEFAULT_SESSION_S
  const durationS = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN
  if (durationS >= MIN_SESSION_S && durationS <= MAX_SESSION_S) return durationS
  throw invalid('DurationSeconds', `DurationSeconds must be a whole number from ${MIN_SESSION_S} to ${MAX_SESSION_S}`)
}

function encodeCredentials({ accessKeyId, secretAccessKey, sessionToken, expiresMs }: TemporaryCredentials, requestId: string): string {
  const credentials =
    xml('AccessKeyId', accessKeyId) +
    xml('SecretAccessKey', secretAccessKey) +
    xml('SessionToken', sessionToken) +
    xml('Expiration', new Date(expiresMs).toISOString())
  const result = `<GetSessionTokenResult><Credentials>${credentials}</Credentials></GetSessionTokenResult>`
  const metadata = `<ResponseMetadata>${xml('RequestId', requestId)}</ResponseMetadata>`
  return `<GetSessionTokenResponse xmlns="${NAMESPACE}">${result}${metadata}</GetSessionTokenResponse>`
}
