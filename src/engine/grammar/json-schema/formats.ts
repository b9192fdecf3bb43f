/**
 * The values of `format` that are enforced. Sources: RFC 3339 (times, durations), 5321 (e-mail, without quoted names), 1123 (host names),
 * 3986 (URIs), 4291 (IPv6), 9562 (UUID), 6901 (JSON pointers), OpenAPI, pydantic and schemars (int32, uint8, byte, uuid4, ipvanyaddress and the like).
 */
export type FormatMeaning =
  /** A hint that constrains nothing. */
  | { readonly kind: 'hint' }
  | { readonly kind: 'integers'; readonly min: number; readonly max: number }
  /** Texts that match the pattern as a whole. `isExact`: no text of the format is left out. */
  | { readonly kind: 'texts'; readonly pattern: string; readonly isExact: boolean }

const DAYS = '(?:0[1-9]|1[0-9]|2[0-8])'
const LEAP_YEAR = '(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)'
const DATE = `(?:[0-9]{4}-(?:(?:0[1-9]|1[0-2])-${DAYS}|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)|${LEAP_YEAR}-02-29)`
const CLOCK = '(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,9})?'
const TIME = `${CLOCK}(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])`
/** No unit is left out between two others (RFC 3339, appendix A). */
const DURATION_TIME = 'T(?:[0-9]{1,4}H(?:[0-9]{1,4}M(?:[0-9]{1,4}S)?)?|[0-9]{1,4}M(?:[0-9]{1,4}S)?|[0-9]{1,4}S)'
const DURATION_DATE = '(?:[0-9]{1,4}Y(?:[0-9]{1,4}M(?:[0-9]{1,4}D)?)?|[0-9]{1,4}M(?:[0-9]{1,4}D)?|[0-9]{1,4}D)'
/** 8 labels of them are no longer than a host name may be. No two hyphens together: `xn--` begins what only punycode may follow. */
const LABEL = '[A-Za-z0-9](?:-?[A-Za-z0-9]){0,14}'
const BYTE = '(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])'
const IPV4 = `${BYTE}(?:\\.${BYTE}){3}`
const WORD = '[0-9A-Fa-f]{1,4}'
const MAIL_CHARS = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
const PATH_CHAR = "(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})"
const QUERY = `(?:\\?(?:${PATH_CHAR}|[/?])*)?(?:#(?:${PATH_CHAR}|[/?])*)?`
const AUTHORITY = `(?:(?:[A-Za-z0-9._~!$&'()*+,;=:-]|%[0-9A-Fa-f]{2})*@)?(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+(?::[0-9]{1,5})?`
const RELATIVE_PATH = `(?:${PATH_CHAR}|/)*`
const HIERARCHY = `//${AUTHORITY}(?:/${RELATIVE_PATH})?`

/** Addresses with one run of zeros left out, by the number of words before it. */
const SHORT_IPV6 = [0, 1, 2, 3, 4, 5, 6].map((numBefore) => {
  const before = numBefore === 0 ? '' : `${WORD}(?::${WORD}){${numBefore - 1}}`
  return `${before}::(?:${WORD}(?::${WORD}){0,${6 - numBefore}})?`
})
const IPV6 = `(?:${WORD}(?::${WORD}){7}|${SHORT_IPV6.join('|')}|${WORD}(?::${WORD}){6}::)`

/** What generators of schemas write without saying anything of the text: OpenAPI, pydantic, schemars. */
const HINTS = ['password', 'binary', 'float', 'double', 'decimal', 'path', 'file-path', 'directory-path', 'json-string', 'multi-host-uri', 'color']

const MEANINGS: ReadonlyMap<string, FormatMeaning> = new Map<string, FormatMeaning>([
  ...HINTS.map((name): [string, FormatMeaning] => [name, { kind: 'hint' }]),
  ...[8, 16, 32, 64].flatMap((numBits): [string, FormatMeaning][] => [
    [`int${numBits}`, { kind: 'integers', min: -(2 ** (numBits - 1)), max: lastBelow(numBits - 1) }],
    [`uint${numBits}`, { kind: 'integers', min: 0, max: lastBelow(numBits) }],
  ]),
  ['int', { kind: 'integers', min: -(2 ** 63), max: lastBelow(63) }],
  ['uint', { kind: 'integers', min: 0, max: lastBelow(64) }],
  ['date', texts(DATE, true)],
  ['time', texts(TIME)],
  ['date-time', texts(`${DATE}T${TIME}`)],
  ['duration', texts(`P(?:${DURATION_DATE}(?:${DURATION_TIME})?|${DURATION_TIME}|[0-9]{1,4}W)`)],
  ['email', texts(`${MAIL_CHARS}(?:\\.${MAIL_CHARS})*@(?:${LABEL}\\.)+${LABEL}`)],
  ['hostname', texts(`${LABEL}(?:\\.${LABEL}){0,7}`)],
  ['ipv4', texts(IPV4, true)],
  ['ipv6', texts(IPV6)],
  ['ipvanyaddress', texts(`${IPV4}|${IPV6}`)],
  ['uuid', texts('[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}')],
  ...[1, 3, 4, 5, 6, 7, 8].map((version): [string, FormatMeaning] => [`uuid${version}`, texts(uuidOf(version))]),
  ['uri', texts(`[A-Za-z][A-Za-z0-9+.-]*:(?:${HIERARCHY}|/?${PATH_CHAR}${RELATIVE_PATH})${QUERY}`)],
  ['uri-reference', texts(`(?:[A-Za-z][A-Za-z0-9+.-]*:${HIERARCHY}|${HIERARCHY}|/?(?:[A-Za-z0-9._~!$&'()*+,;=@-]+(?:/${RELATIVE_PATH})?)?)${QUERY}`)],
  ['json-pointer', texts('(?:/(?:[^~/]|~0|~1)*)*', true)],
  ['relative-json-pointer', texts('(?:0|[1-9][0-9]{0,8})(?:#|(?:/(?:[^~/]|~0|~1)*)*)')],
  ...['byte', 'base64'].map((name): [string, FormatMeaning] => [name, texts('(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?')]),
  ['jwt', texts('[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]*')],
])

/** Of the dialects that cannot be written here. */
const REFUSED = new Set(['regex', 'idn-email', 'idn-hostname', 'iri', 'iri-reference', 'uri-template'])

/** It says something of the text, whatever stands beside it. */
export function isStandardFormat(name: string): boolean {
  return MEANINGS.has(name) || REFUSED.has(name)
}

/** null = not enforced. */
export function formatOf(name: string): FormatMeaning | null {
  return MEANINGS.get(name) ?? null
}

/** The largest double below 2^numBits that is whole. */
function lastBelow(numBits: number): number {
  return numBits <= 53 ? 2 ** numBits - 1 : 2 ** numBits - 2 ** (numBits - 53)
}

function uuidOf(version: number): string {
  return `[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-${version}[0-9A-Fa-f]{3}-[89ABab][0-9A-Fa-f]{3}-[0-9A-Fa-f]{12}`
}

function texts(pattern: string, isExact = false): FormatMeaning {
  return { kind: 'texts', pattern, isExact }
}
