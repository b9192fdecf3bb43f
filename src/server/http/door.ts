/**
 * What every request passes before its route is looked at: header count, Host (against DNS rebinding), Origin (against
 * foreign web pages), media type. Each check returns the refusal or null.
 */
import type { IncomingMessage } from 'node:http'
import { InferdError } from '#contract/errors'
import type { ServerOptions } from './server-options.ts'

const LOOPBACK_NAMES = ['localhost', '127.0.0.1', '[::1]', '::1']
const SAFE_METHODS = ['GET', 'HEAD']

export function checkDoor(request: IncomingMessage, options: ServerOptions): InferdError | null {
  return checkHeaderSize(request, options) ?? checkHost(request, options) ?? checkOrigin(request)
}

/** Of HTTP/1.1 the parser has already refused more than `maxHeaderBytes`. */
function checkHeaderSize({ rawHeaders }: IncomingMessage, { maxHeaders, maxHeaderBytes }: ServerOptions): InferdError | null {
  if (rawHeaders.length / 2 > maxHeaders) return new InferdError('headers_too_large', `the request has more than ${maxHeaders} headers`)
  const numCharacters = rawHeaders.reduce((sum, text) => sum + text.length, 0)
  return numCharacters <= maxHeaderBytes ? null : new InferdError('headers_too_large', 'the request headers are too large')
}

/** RFC 9112, section 3.2: exactly one Host, and a target in absolute form overrides it; in HTTP/2 it is `:authority` (RFC 9113, 8.3.1). */
function targetHost({ url = '', headers, rawHeaders }: IncomingMessage): string | null {
  const numHosts = rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === 'host').length
  if (numHosts > 1) return null
  const authority = headers[':authority']
  if (typeof authority === 'string') return headers.host === undefined || headers.host === authority ? authority : null
  const absolute = /^https?:\/\/([^/?#]*)/i.exec(url)
  return absolute?.[1] ?? headers.host ?? null
}

/** On a loopback bind only loopback names and `allowedHosts` pass; elsewhere only a non-empty `allowedHosts` restricts. */
function checkHost(request: IncomingMessage, { host: bindHost, allowedHosts }: ServerOptions): InferdError | null {
  const host = targetHost(request)
  if (host === null) return new InferdError('malformed_request', 'the request must have exactly one Host header')
  const isLoopbackBind = LOOPBACK_NAMES.includes(bindHost) || bindHost.startsWith('127.')
  if (!isLoopbackBind && allowedHosts.length === 0) return null
  const name = hostName(host)
  if (allowedHosts.includes(name) || (isLoopbackBind && (LOOPBACK_NAMES.includes(name) || name === bindHost))) return null
  return new InferdError('misdirected_host', 'the Host header does not name this server')
}

/** No CORS headers are ever sent; a page of another origin may not change anything here either. */
function checkOrigin(request: IncomingMessage): InferdError | null {
  const { origin } = request.headers
  const host = targetHost(request) ?? undefined
  if (origin === undefined || SAFE_METHODS.includes(request.method ?? '')) return null
  if (host !== undefined && [`http://${host}`, `https://${host}`].includes(origin.toLowerCase())) return null
  return new InferdError('forbidden', 'requests from web pages of another origin are refused')
}

/** JSON only: a body that a web form can send is refused. */
export function checkJsonMediaType(request: IncomingMessage): void {
  const [kind = '', ...parameters] = (request.headers['content-type'] ?? '').toLowerCase().split(';')
  const isJson = kind.trim() === 'application/json'
  if (isJson && parameters.every((parameter) => /^\s*(charset\s*=\s*"?utf-?8"?)?\s*$/.test(parameter))) return
  throw new InferdError('unsupported_media_type', 'content-type must be application/json (UTF-8)')
}

/** Lower case, without port and without a trailing dot. */
function hostName(header: string): string {
  const withoutPort = header.toLowerCase().replace(/:\d{0,5}$/, '')
  return header.startsWith('[') || withoutPort.indexOf(':') === -1 ? withoutPort.replace(/\.$/, '') : header.toLowerCase()
}
