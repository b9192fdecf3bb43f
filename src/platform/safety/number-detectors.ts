/** Personal data that is made of digits: cards, bank accounts, phones, social security numbers. Checksums and ranges decide, not looks. */
import { parsePhoneNumberFromString } from 'libphonenumber-js/max'
import type { Stretch } from './text-span.ts'

/** Digits with single separators; at most 19 digits are a card's. */
const CARD = /(?<![\d.])\d(?:[ -]?\d){11,18}(?![\d])/g
/** First digits and the lengths that the brand issues: Visa, Mastercard, American Express, Discover, Diners, JCB, UnionPay, Maestro. */
const CARD_BRANDS: readonly { readonly prefix: RegExp; readonly lengths: readonly number[] }[] = [
  { prefix: /^4/, lengths: [13, 16, 19] },
  { prefix: /^(5[1-5]|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)/, lengths: [16] },
  { prefix: /^3[47]/, lengths: [15] },
  { prefix: /^(6011|64[4-9]|65)/, lengths: [16, 19] },
  { prefix: /^(30[0-5]|36|38|39)/, lengths: [14, 16, 19] },
  { prefix: /^35(2[89]|[3-8]\d)/, lengths: [16, 17, 18, 19] },
  { prefix: /^62/, lengths: [16, 17, 18, 19] },
  { prefix: /^(5018|5020|5038|6304|6759|676[1-3])/, lengths: [12, 13, 14, 15, 16, 17, 18, 19] },
]
const IBAN = /(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}(?![A-Za-z0-9])/g
/** Country and length, registry of SWIFT. */
const IBAN_LENGTHS: ReadonlyMap<string, number> = new Map(
  (
    'AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20 EG29 ES24 FI18 FO18 FR27 GB22 GE22 ' +
    'GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MR27 ' +
    'MT31 MU30 NL18 NO15 PK24 PL28 PS29 PT25 QA29 RO24 RS22 SA24 SC31 SD18 SE24 SI19 SK24 SM27 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20'
  )
    .split(' ')
    .map((entry) => [entry.slice(0, 2), Number(entry.slice(2))]),
)
const SSN = /(?<![\d-])(\d{3})([- ])(\d{2})\2(\d{4})(?![\d-])/g
const PHONE = /(?<![\w.+])(?:\+|00 ?)?\(?\d(?:[ ./-]{0,2}[()]?\d){6,14}(?![\w])/g
/** Words before a number that say that bare digits are a phone. */
const PHONE_WORDS = /(?:phone|tel|telephone|call|mobile|cell|fax|text|whatsapp|dial|reach|contact)\b[^\n]{0,24}$/i
const DEFAULT_COUNTRY = 'US'

/** A card may stand in a longer row of groups, as after the number of a list: from each group on the longest run is tried. */
export function findCards(text: string, from: number): Stretch[] {
  const found: Stretch[] = []
  CARD.lastIndex = from
  for (let match = CARD.exec(text); match !== null; match = CARD.exec(text)) {
    const start = match.index
    const ends = [...match[0].matchAll(/\d+/g)].map(({ index, 0: digits }) => start + index + digits.length)
    const end = ends.findLast((candidate) => isCard(text.slice(start, candidate).replaceAll(/[ -]/g, '')))
    if (end !== undefined) found.push({ start, end })
    CARD.lastIndex = end ?? ends[0]!
  }
  return found
}

function isCard(digits: string): boolean {
  if (!CARD_BRANDS.some(({ prefix, lengths }) => prefix.test(digits) && lengths.includes(digits.length))) return false
  let sum = 0
  for (let i = 0; i < digits.length; i++) {
    const digit = Number(digits[digits.length - 1 - i])
    sum += i % 2 === 0 ? digit : digit * 2 > 9 ? digit * 2 - 9 : digit * 2
  }
  return sum % 10 === 0
}

/** The pattern may run on into the next word: the country's length says where the number ends. */
export function findIbans(text: string, from: number): Stretch[] {
  return matchesOf(IBAN, text, from).flatMap(({ start, end }) => {
    const length = IBAN_LENGTHS.get(text.slice(start, start + 2))
    if (length === undefined) return []
    let taken = ''
    let at = start
    while (at < end && taken.length < length) {
      if (text[at] !== ' ') taken += text[at]
      at++
    }
    const isWhole = taken.length === length && !/[A-Za-z0-9]/.test(text[at] ?? '')
    return isWhole && mod97(taken.slice(4) + taken.slice(0, 4)) === 1 ? [{ start, end: at }] : []
  })
}

function mod97(text: string): number {
  let rest = 0
  for (const character of text) {
    const value = Number.parseInt(character, 36)
    rest = (rest * (value > 9 ? 100 : 10) + value) % 97
  }
  return rest
}

/** Areas 000, 666 and 900 on, group 00 and serial 0000 are never issued. */
export function findSsns(text: string, from: number): Stretch[] {
  SSN.lastIndex = from
  const found: Stretch[] = []
  for (let match = SSN.exec(text); match !== null; match = SSN.exec(text)) {
    const [whole, area, , group, serial] = match
    const isIssued = area !== '000' && area !== '666' && Number(area) < 900 && group !== '00' && serial !== '0000'
    if (isIssued) found.push({ start: match.index, end: match.index + whole.length })
  }
  return found
}

/** Valid numbers with a country code; without one those of the United States, in a phone's form or after a word that announces one. */
export function findPhones(text: string, from: number): Stretch[] {
  return matchesOf(PHONE, text, from).filter(({ start, end }) => {
    const candidate = text.slice(start, end)
    const isInternational = /^(?:\+|00)/.test(candidate)
    const hasForm = /^\(?\d{3}\)?[ .-]{1,2}\d{3}[ .-]\d{4}$/.test(candidate) || /^1[ .-]\(?\d{3}\)?[ .-]{1,2}\d{3}[ .-]\d{4}$/.test(candidate)
    if (!isInternational && !hasForm && !PHONE_WORDS.test(text.slice(Math.max(0, start - 40), start))) return false
    const number = parsePhoneNumberFromString(candidate.replace(/^00 ?/, '+'), DEFAULT_COUNTRY)
    return number?.isValid() ?? false
  })
}

/** `pattern` is global and bounded: a match at any place looks at a fixed number of characters. */
export function matchesOf(pattern: RegExp, text: string, from: number): Stretch[] {
  pattern.lastIndex = from
  const found: Stretch[] = []
  for (let match = pattern.exec(text); match !== null; match = pattern.exec(text)) {
    found.push({ start: match.index, end: match.index + match[0].length })
  }
  return found
}
