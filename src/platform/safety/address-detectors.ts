/** Addresses of people and machines: e-mail, IP, MAC, URL. Each scan costs a fixed number of characters for each place. */
import { matchesOf } from './number-detectors.ts'
import type { Stretch } from './text-span.ts'

const LOCAL_PART = /[\p{L}\p{N}._%+'-]/u
const DOMAIN = /^[\p{L}\p{N}](?:[\p{L}\p{N}-]{0,62})(?:\.[\p{L}\p{N}](?:[\p{L}\p{N}-]{0,62})){0,8}/u
const MAX_LOCAL = 64
const MAX_DOMAIN = 255
const IP_V4 = /(?<![\w.-])(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?:25[0-5]|2[0-4]\d|1?\d?\d)){3}(?![\w-])(?!\.\d)/g
const IP_V6 = /(?<![\w:.])[0-9a-fA-F:]{2,39}(?:\.\d{1,3}){0,3}(?![\w:])/g
const MAC = /(?<![\w:-])[0-9A-Fa-f]{2}(?:([:-])[0-9A-Fa-f]{2})(?:\1[0-9A-Fa-f]{2}){4}(?![\w:-])/g
const URL = /(?<![\w@])(?:(?:https?|ftp|wss?):\/\/|www\.)[^\s<>"'`{}|\\^]{1,2000}/gi
/** What ends a sentence is no part of the address. */
const URL_TAIL = /[.,;:!?)\]*_]+$/
/** A version number is four numbers as well. */
const VERSION_WORDS = /\b(?:v|ver|version|release|build|section|chapter|clause|figure)\.? {0,2}$/i

/** Grows from each `@` to both sides. */
export function findEmails(text: string, from: number): Stretch[] {
  const found: Stretch[] = []
  let floor = from
  for (let at = text.indexOf('@', from); at !== -1; at = text.indexOf('@', at + 1)) {
    let start = at
    while (start > floor && at - start < MAX_LOCAL && LOCAL_PART.test(text[start - 1]!)) start--
    while (start < at && /[.'-]/.test(text[start]!)) start++
    const domain = DOMAIN.exec(text.slice(at + 1, at + 1 + MAX_DOMAIN))?.[0] ?? ''
    if (start === at || text[at - 1] === '.' || !/\.\p{L}[\p{L}\d-]*$/u.test(domain)) continue
    const end = at + 1 + domain.length
    if (text[end] === '@') continue
    found.push({ start, end })
    floor = end
  }
  return found
}

export function findIps(text: string, from: number): Stretch[] {
  const four = matchesOf(IP_V4, text, from).filter(({ start }) => !VERSION_WORDS.test(text.slice(Math.max(0, start - 12), start)))
  const six = matchesOf(IP_V6, text, from).filter(({ start, end }) => isIpV6(text.slice(start, end)))
  // The last part of a longer address is no address.
  return [...four.filter(({ start }) => !six.some((whole) => whole.start < start && whole.end > start)), ...six]
}

/** RFC 4291: eight groups, or fewer around one `::`; the last two may be written as an IPv4 address. */
function isIpV6(text: string): boolean {
  const halves = text.split('::')
  if (!text.includes(':') || halves.length > 2) return false
  const groups = halves.flatMap((half) => (half === '' ? [] : half.split(':')))
  const last = groups.at(-1) ?? ''
  const hasV4 = last.includes('.')
  if (hasV4 && !/^(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?:25[0-5]|2[0-4]\d|1?\d?\d)){3}$/.test(last)) return false
  const hex = hasV4 ? groups.slice(0, -1) : groups
  if (!hex.every((group) => /^[0-9a-fA-F]{1,4}$/.test(group))) return false
  const width = hex.length + (hasV4 ? 2 : 0)
  return halves.length === 2 ? width < 8 && (width > 1 || text === '::1') : width === 8
}

export function findMacs(text: string, from: number): Stretch[] {
  return matchesOf(MAC, text, from)
}

export function findUrls(text: string, from: number): Stretch[] {
  return matchesOf(URL, text, from).flatMap(({ start, end }) => {
    const address = text.slice(start, end).replace(URL_TAIL, '')
    const host = address.replace(/^\w+:\/\//, '')
    return /^[\p{L}\p{N}[]/u.test(host) && (host.includes('.') || /^(localhost|\[)/.test(host) || address.length > host.length)
      ? [{ start, end: start + address.length }]
      : []
  })
}
