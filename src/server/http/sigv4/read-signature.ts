/** Finds a SigV4 signature in a request's `authorization` header or in its query (a presigned URL), and reads its parts. */
import { InferdError } from '#contract/errors'
import { queryPairs } from './canonical-request.ts'

export interface SignedRequest {
  readonly method: string
  /** Path and query, as sent. */
  readonly url: string
  /** Names and values in turn, as sent; `:authority` of HTTP/2 among them. */
  readonly rawHeaders: readonly string[]
}

/** What a signer says of its signature. Nothing of it is believed yet. */
export interface Signature {
  readonly accessKeyId: string
  /** YYYYMMDD. */
  readonly scopeDate: string
  readonly region: string
  readonly service: string
  readonly signedHeaders: readonly string[]
  /** 64 hex digits. */
  readonly signature: string
  /** YYYYMMDD'T'HHMMSS'Z'. */
  readonly date: string
  readonly signedAtMs: number
  /** Of a presigned URL; null = the signature is in the header. */
  readonly expiresS: number | null
  /** A claimed hash of the body, or a word of AWS's; null = it must be computed. */
  readonly payloadHash: string | null
  /** Of temporary credentials; null = none came. */
  readonly sessionToken: string | null
  readonly path: string
  /** Without the signature itself. */
  readonly query: string
}

const ALGORITHM = 'AWS4-HMAC-SHA256'
const MAX_EXPIRES_S = 604_800
/** The client of AWS for HTTP/2 signs `:authority` in place of `host`. */
const HOST_NAMES = ['host', ':authority']
const TOKEN = /^:?[!#$%&'*+.^_`|~0-9a-z-]+$/

/** An `authorization` header that wants to be a signature, whole or not. */
export function isSignatureHeader(authorization: string): boolean {
  return authorization.startsWith('AWS4-')
}

export function isPresigned(url: string): boolean {
  return /[?&]X-Amz-(?:Algorithm|Signature|Credential)=/.test(url)
}

/** Throws incomplete_signature. */
export function readHeaderSignature(request: SignedRequest, authorization: string): Signature {
  if (!authorization.startsWith(`${ALGORITHM} `)) throw incomplete(`the authorization header must begin with ${ALGORITHM}`)
  const parts = new Map(
    authorization
      .slice(ALGORITHM.length + 1)
      .split(',')
      .map((part) => {
        const end = part.indexOf('=')
        return end < 0 ? [part.trim(), ''] : [part.slice(0, end).trim(), part.slice(end + 1).trim()]
      }),
  )
  const { path, query } = splitUrl(request.url)
  return {
    ...readScope(need(parts, 'Credential')),
    signedHeaders: readNames(need(parts, 'SignedHeaders')),
    signature: readHex(need(parts, 'Signature')),
    ...readDate(firstHeader(request, 'x-amz-date') ?? isoOf(firstHeader(request, 'date'))),
    expiresS: null,
    payloadHash: firstHeader(request, 'x-amz-content-sha256'),
    sessionToken: onlyHeader(request, 'x-amz-security-token'),
    path,
    query,
  }
}

/** Throws incomplete_signature. */
export function readPresigned(request: SignedRequest): Signature {
  const { path, query } = splitUrl(request.url)
  const parts = new Map<string, string>()
  for (const { name, value } of queryPairs(query)) {
    const word = name.toString('latin1')
    if (!word.toLowerCase().startsWith('x-amz-')) continue
    if (parts.has(word)) throw incomplete(`${word} is given twice`)
    parts.set(word, value.toString('latin1'))
  }
  const [tokenInQuery, tokenInHeader] = [parts.get('X-Amz-Security-Token') ?? null, onlyHeader(request, 'x-amz-security-token')]
  if (tokenInQuery !== null && tokenInHeader !== null) throw incomplete('X-Amz-Security-Token is given twice')
  if (parts.get('X-Amz-Algorithm') !== ALGORITHM) throw incomplete(`X-Amz-Algorithm must be ${ALGORITHM}`)
  const expires = need(parts, 'X-Amz-Expires')
  const expiresS = /^\d{1,6}$/.test(expires) ? Number(expires) : 0
  if (expiresS < 1 || expiresS > MAX_EXPIRES_S) throw incomplete(`X-Amz-Expires must be a number of seconds from 1 to ${MAX_EXPIRES_S}`)
  return {
    ...readScope(need(parts, 'X-Amz-Credential')),
    signedHeaders: readNames(need(parts, 'X-Amz-SignedHeaders')),
    signature: readHex(need(parts, 'X-Amz-Signature')),
    ...readDate(need(parts, 'X-Amz-Date')),
    expiresS,
    payloadHash: parts.get('X-Amz-Content-Sha256') ?? firstHeader(request, 'x-amz-content-sha256'),
    sessionToken: tokenInQuery ?? tokenInHeader,
    path,
    query: query
      .split('&')
      .filter((pair) => !/^X-Amz-Signature(=|$)/.test(pair))
      .join('&'),
  }
}

/** Every line that has the name. HTTP/2 says `:authority` for `host`: a proxy may have changed the one into the other. */
export function headerValues({ rawHeaders }: SignedRequest, name: string): readonly string[] {
  const values = valuesOf(rawHeaders, name)
  const other = HOST_NAMES.includes(name) ? HOST_NAMES.find((word) => word !== name) : undefined
  return values.length === 0 && other !== undefined ? valuesOf(rawHeaders, other) : values
}

function valuesOf(rawHeaders: readonly string[], name: string): readonly string[] {
  return rawHeaders.filter((_value, index) => index % 2 === 1 && rawHeaders[index - 1]?.toLowerCase() === name)
}

function firstHeader(request: SignedRequest, name: string): string | null {
  return headerValues(request, name)[0]?.trim() ?? null
}

function onlyHeader(request: SignedRequest, name: string): string | null {
  if (headerValues(request, name).length > 1) throw incomplete(`${name} is given twice`)
  return firstHeader(request, name)
}

function splitUrl(url: string): { readonly path: string; readonly query: string } {
  const target = url.replace(/^https?:\/\/[^/?#]*/i, '')
  const end = target.indexOf('?')
  return end < 0 ? { path: target, query: '' } : { path: target.slice(0, end), query: target.slice(end + 1) }
}

function need(parts: ReadonlyMap<string, string>, name: string): string {
  const value = parts.get(name)
  if (value === undefined || value === '') throw incomplete(`the signature needs ${name}`)
  return value
}

function readScope(credential: string): Pick<Signature, 'accessKeyId' | 'scopeDate' | 'region' | 'service'> {
  const [accessKeyId = '', scopeDate = '', region = '', service = '', end, ...more] = credential.split('/')
  const isWhole = end === 'aws4_request' && more.length === 0 && [accessKeyId, region, service].every((part) => /^[\w.-]+$/.test(part))
  if (!isWhole || !/^\d{8}$/.test(scopeDate)) throw incomplete('Credential must be KEY/YYYYMMDD/REGION/SERVICE/aws4_request')
  return { accessKeyId, scopeDate, region, service }
}

function readNames(list: string): readonly string[] {
  const names = list.split(';')
  if (new Set(names).size !== names.length || !names.every((name) => TOKEN.test(name))) {
    throw incomplete('SignedHeaders must be different names in lower case, separated by semicolons')
  }
  if (!HOST_NAMES.some((name) => names.includes(name))) throw incomplete('SignedHeaders must contain host')
  return names
}

function readHex(signature: string): string {
  if (!/^[0-9a-f]{64}$/.test(signature)) throw incomplete('Signature must be 64 hexadecimal digits')
  return signature
}

function readDate(date: string | null): Pick<Signature, 'date' | 'signedAtMs'> {
  const [, year, month, day, hour, minute, second] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(date ?? '') ?? []
  const signedAtMs = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`)
  if (date === null || Number.isNaN(signedAtMs)) throw incomplete('the signature needs a date: x-amz-date as YYYYMMDDTHHMMSSZ')
  return { date, signedAtMs }
}

/** Of a `date` header (RFC 9110, 5.6.7). */
function isoOf(httpDate: string | null): string | null {
  const parsed = httpDate === null ? Number.NaN : Date.parse(httpDate)
  if (Number.isNaN(parsed)) return httpDate
  return new Date(parsed).toISOString().replace(/[-:]|\.\d{3}/g, '')
}

function incomplete(message: string): InferdError {
  return new InferdError('incomplete_signature', message)
}
