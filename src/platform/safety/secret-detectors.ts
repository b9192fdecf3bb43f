/** Secrets and names: keys by their issuers' prefixes, passwords by how they are written down, names by what stands before them. */
import { matchesOf } from './number-detectors.ts'
import type { Stretch } from './text-span.ts'

const AWS_ACCESS_KEY = /(?<![A-Za-z0-9])(?:AKIA|ASIA|AROA|AIDA|AGPA|ANPA|ANVA)[A-Z0-9]{16}(?![A-Za-z0-9])/g
const AWS_SECRET = /(?<![A-Za-z0-9/+=])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])/g
const PREFIXED = new RegExp(
  String.raw`(?<![A-Za-z0-9_-])(?:sk-(?:proj-|ant-|svcacct-)?|[srp]k_(?:live|test)_|gh[pousr]_|github_pat_|glpat-|xox[abeprs]-|AIza|ya29\.|hf_|npm_|pypi-|` +
    String.raw`SG\.|dop_v1_|shp(?:at|ca|pa|ss)_|sq0[a-z]{3}-|eyJ[A-Za-z0-9_-]{8,1000}\.eyJ|r8_|gsk_|lin_api_|key-)[A-Za-z0-9_.-]{16,1000}`,
  'g',
)
const PRIVATE_KEY = /-----BEGIN (?:[A-Z]{2,12} ){0,3}PRIVATE KEY-----/g
const ASSIGNED = new RegExp(
  String.raw`(?<![A-Za-z0-9])(?:api|access|auth|secret|client|bearer|private)?[ _-]?(?:key|token|secret|bearer|authorization)["']?` +
    String.raw`(?: {0,2}(?:[:=]|=>|is) {0,2}(?:bearer )?| )["']?([A-Za-z0-9_\-./+=]{20,500})`,
  'gi',
)
const PASSWORD =
  /(?<![A-Za-z0-9])(?:password|passwd|pwd|passcode|passphrase)["']?(?:( {0,2}(?:[:=]|=>) {0,2})| (?:is|was|are) ?:? {0,2})(["']?)([^\s"',;]{4,128})/gi
/** What stands where a password would. */
const NO_PASSWORD = /^(?:[<{[$(*x•%]+.*|null|none|undefined|required|string|true|false|hidden|redacted|process\..*|os\..*|env.*|get.*|\w+\(.*)$/i
const HONORIFIC_NAME = /(?<![\p{L}])(?:Mr|Mrs|Ms|Miss|Dr|Prof|Sir|Herr|Frau|Mme)\.? (\p{Lu}[\p{L}'-]{1,30}(?: \p{Lu}[\p{L}'-]{0,30}){0,2})/gu
const INTRODUCED_NAME = new RegExp(
  String.raw`(?<![\p{L}])(?:[Mm]y name is|[Mm]y name's|[Nn]ame:|[Cc]all me|[Ss]igned,?|[Ss]incerely,|[Rr]egards,|[Pp]atient|[Cc]ustomer name) ` +
    String.raw`(\p{Lu}[\p{L}'-]{1,30}(?: \p{Lu}[\p{L}'-]{0,30}){0,2})`,
  'gu',
)
/** What announces a secret or a name may stand before the stretch that is searched. */
const TRIGGER_LENGTH = 64
const BITS_OF_SECRET = 3.2
const BITS_OF_AWS_SECRET = 4.2

export function findAwsAccessKeys(text: string, from: number): Stretch[] {
  return matchesOf(AWS_ACCESS_KEY, text, from)
}

/** Forty characters of base 64 with the spread of a secret, mixed case and digits: a hash in hexadecimal has neither. */
export function findAwsSecretKeys(text: string, from: number): Stretch[] {
  return matchesOf(AWS_SECRET, text, from).filter(({ start, end }) => {
    const key = text.slice(start, end)
    const isMixed = /[a-z]/.test(key) && /[A-Z]/.test(key) && /\d/.test(key)
    return (
      isMixed && entropyBits(key) >= BITS_OF_AWS_SECRET && (/[/+]/.test(key) || /secret|aws|key/i.test(text.slice(Math.max(0, start - 48), start)))
    )
  })
}

export function findApiKeys(text: string, from: number): Stretch[] {
  const prefixed = matchesOf(PREFIXED, text, from).filter(({ start, end }) => entropyBits(text.slice(start, end)) >= BITS_OF_SECRET)
  const assigned = groupsOf(ASSIGNED, text, from, 1).filter(({ start, end }) => {
    const value = text.slice(start, end)
    return /\d/.test(value) && /[A-Za-z]/.test(value) && entropyBits(value) >= BITS_OF_SECRET
  })
  return [...prefixed, ...matchesOf(PRIVATE_KEY, text, from), ...assigned]
}

/** After `:` and `=` any value; after `is` only what has a digit or a sign, because a password can also be required or wrong. */
export function findPasswords(text: string, from: number): Stretch[] {
  PASSWORD.lastIndex = Math.max(0, from - TRIGGER_LENGTH)
  const found: Stretch[] = []
  for (let match = PASSWORD.exec(text); match !== null; match = PASSWORD.exec(text)) {
    const value = match[3]!.replace(/[.!?)]+$/, '')
    const isSecret = match[1] === undefined ? /[\d!@#$%^&*_+=-]/.test(value) : true
    const end = match.index + match[0].length - match[3]!.length + value.length
    if (end - value.length >= from && isSecret && value.length >= 4 && !NO_PASSWORD.test(value)) found.push({ start: end - value.length, end })
  }
  return found
}

/** A heuristic: capitalised words after a title or an introduction. Names in running text are not found. */
export function findNames(text: string, from: number): Stretch[] {
  return [...groupsOf(HONORIFIC_NAME, text, from, 1), ...groupsOf(INTRODUCED_NAME, text, from, 1)]
}

/** The stretch of a group that ends its match. */
function groupsOf(pattern: RegExp, text: string, from: number, group: number): Stretch[] {
  pattern.lastIndex = Math.max(0, from - TRIGGER_LENGTH)
  const found: Stretch[] = []
  for (let match = pattern.exec(text); match !== null; match = pattern.exec(text)) {
    const end = match.index + match[0].length
    const start = end - match[group]!.length
    if (start >= from) found.push({ start, end })
  }
  return found
}

/** Shannon's, bits for each character. */
function entropyBits(text: string): number {
  const counts = new Map<string, number>()
  for (const character of text) counts.set(character, (counts.get(character) ?? 0) + 1)
  let bits = 0
  for (const count of counts.values()) bits -= (count / text.length) * Math.log2(count / text.length)
  return bits
}
