/** Where rows are kept: in a file of the data directory, or by a PostgreSQL server that a URL names. No error repeats a URL: it may hold a password. */
import path from 'node:path'
import { InferdError } from '#contract/errors'
import type { Setting } from './setting.ts'

/** disable: no TLS. require: TLS without a look at the certificate. verify-full: TLS with a certificate of a known authority and of that name. */
type TlsLevel = 'disable' | 'require' | 'verify-full'

export interface PostgresAddress {
  /** Name, address, or the folder of a Unix socket. */
  readonly host: string
  readonly port: number
  readonly user: string
  readonly database: string
  readonly tls: TlsLevel
  /** PEM of the authorities that are trusted instead of the known ones; null = the known ones. */
  readonly caFile: string | null
  /** null = none. A function, so that nothing that writes the address down writes the password. */
  readonly password: () => string | null
}

const DEFAULT_PORT = 5432
const FORM = 'postgres://USER@HOST[:PORT]/DATABASE'
const TLS_LEVELS: readonly TlsLevel[] = ['disable', 'require', 'verify-full']
const PARAMETERS: readonly string[] = ['sslmode', 'sslrootcert']

/** null = the embedded store. */
export function storeAddress({ doc }: { readonly doc: string }): Setting<PostgresAddress | null> {
  return {
    doc,
    default: null,
    defaultText: 'embedded',
    placeholder: 'embedded|URL',
    range: `embedded, \`${FORM}[?sslmode=${TLS_LEVELS.join('\\|')}&sslrootcert=FILE]\``,
    parse: (text, name) => (text === 'embedded' ? null : parsePostgresUrl(text, name)),
  }
}

/** `name`: how errors call the setting. */
function parsePostgresUrl(text: string, name: string): PostgresAddress {
  const refuse = (reason: string): InferdError => new InferdError('invalid_parameter', `${name}: ${reason}`, { param: name })
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null || !['postgres:', 'postgresql:'].includes(url.protocol)) throw refuse(`must be embedded or ${FORM}`)
  const [host, user, database] = [url.hostname.replace(/^\[(.*)\]$/, '$1'), url.username, url.pathname.slice(1)].map((part) => decoded(part, refuse))
  if (!host || !user || !database || database.includes('/')) throw refuse(`must have a user, a host and a database: ${FORM}`)
  const unknown = [...url.searchParams.keys()].find((key) => !PARAMETERS.includes(key))
  if (unknown !== undefined || url.hash !== '') throw refuse(`may have ${PARAMETERS.join(' and ')} behind the database, and nothing else`)
  const given = url.searchParams.get('sslmode')
  const tls = given === null ? (isOfThisMachine(host) ? 'disable' : 'verify-full') : TLS_LEVELS.find((level) => level === given)
  if (tls === undefined) throw refuse(`sslmode must be one of ${TLS_LEVELS.join(', ')}`)
  const caFile = url.searchParams.get('sslrootcert')
  if (caFile !== null && tls !== 'verify-full') throw refuse('sslrootcert is for sslmode=verify-full')
  const password = url.password === '' ? null : decoded(url.password, refuse)
  return { host, port: url.port === '' ? DEFAULT_PORT : Number(url.port), user, database, tls, caFile, password: () => password }
}

function decoded(part: string, refuse: (reason: string) => InferdError): string {
  try {
    return decodeURIComponent(part)
  } catch {
    throw refuse('has a % that begins no encoded byte')
  }
}

function isOfThisMachine(host: string): boolean {
  return path.isAbsolute(host) || host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)
}
