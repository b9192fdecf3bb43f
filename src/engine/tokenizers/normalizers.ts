/**
 * Rewrites text before it is cut into words: Unicode forms, case, accents, the SentencePiece space sign. A normalizer is a pure function,
 * linear in its text.
 */
import { classOf, codePointAt, MARK, SPACE, widthOf } from './code-point-class.ts'
import { isIdeographCodePoint, SPACE_SIGN } from './pre-tokenizers.ts'

/** `isFirst`: the text stands at the very beginning of what is encoded. */
export type Normalizer = (text: string, isFirst: boolean) => string

export const identity: Normalizer = (text) => text

export function sequence(normalizers: readonly Normalizer[]): Normalizer {
  const steps = normalizers.filter((step) => step !== identity)
  if (steps.length === 0) return identity
  if (steps.length === 1) return steps[0]!
  return (text, isFirst) => steps.reduce((current, step) => step(current, isFirst), text)
}

/** Longest run of marks that is normalized as it stands: sorting the marks of one letter costs their number squared. */
const MAX_MARK_RUN = 256

export function unicodeForm(form: 'NFC' | 'NFD' | 'NFKC' | 'NFKD'): Normalizer {
  return (text) => (isAscii(text) ? text : normalizeInParts(text, form))
}

export const lowercase: Normalizer = (text) => text.toLowerCase()

export function prepend(prefix: string): Normalizer {
  return (text) => (text === '' ? text : prefix + text)
}

export function replaceText(from: string, to: string): Normalizer {
  return (text) => (from === '' ? text : text.replaceAll(from, () => to))
}

/** ` {2,}`: the one regular expression that is in use for replacing. */
export function replaceSpaceRuns(to: string): Normalizer {
  return (text) => text.replace(/ {2,}/g, () => to)
}

export function strip(left: boolean, right: boolean): Normalizer {
  return (text) => {
    let start = 0
    let end = text.length
    while (left && start < end && isSpace(text.charCodeAt(start))) start += 1
    while (right && end > start && isSpace(text.charCodeAt(end - 1))) end -= 1
    return text.slice(start, end)
  }
}

/** Drops marks; meant for text in NFD. */
export const stripAccents: Normalizer = (text) => (isAscii(text) ? text : text.replace(/\p{M}/gu, ''))
/** BERT's: canonical form first, and only non-spacing marks fall. */
const stripAccentsOfBert: Normalizer = (text) => (isAscii(text) ? text : normalizeInParts(text, 'NFD').replace(/\p{Mn}/gu, ''))

/** White space becomes single spaces, none at the ends. */
export const collapseSpaces: Normalizer = (text) => strip(true, true)(text.replace(/\p{White_Space}+/gu, ' '), false)

/** Spaces become space signs, one more goes in front. */
export function metaspace(scheme: 'always' | 'first' | 'never', replacement: string): Normalizer {
  return (text, isFirst) => {
    const replaced = text.replaceAll(' ', replacement)
    const wants = scheme === 'always' || (scheme === 'first' && isFirst)
    return wants && replaced !== '' && !replaced.startsWith(replacement) ? replacement + replaced : replaced
  }
}

/** SentencePiece's own rule: the sign goes in front of any text, even of one that begins with a space. */
export function sentencePieceSpaces(addPrefix: boolean): Normalizer {
  return (text) => (addPrefix && text !== '' ? SPACE_SIGN : '') + text.replaceAll(' ', SPACE_SIGN)
}

export function bertNormalizer(options: {
  readonly cleanText: boolean
  readonly splitIdeographs: boolean
  readonly stripAccents: boolean
  readonly lowercase: boolean
}): Normalizer {
  const steps: Normalizer[] = []
  if (options.cleanText) steps.push(cleanText)
  if (options.splitIdeographs) steps.push(spaceIdeographs)
  if (options.stripAccents) steps.push(stripAccentsOfBert)
  if (options.lowercase) steps.push(lowercase)
  return sequence(steps)
}

/** Drops NUL, U+FFFD and other control characters; all white space becomes a space. */
const cleanText: Normalizer = (text) => text.replace(/[\0\ufffd]|(?![\t\n\r])[\p{Cc}\p{Cf}\p{Co}]/gu, '').replace(/[\p{White_Space}]/gu, ' ')

const spaceIdeographs: Normalizer = (text) => {
  if (isAscii(text)) return text
  let spaced = ''
  let copied = 0
  for (let position = 0; position < text.length;) {
    const codePoint = codePointAt(text, position, text.length)
    const next = position + widthOf(codePoint)
    if (isIdeographCodePoint(codePoint)) {
      spaced += `${text.slice(copied, position)} ${text.slice(position, next)} `
      copied = next
    }
    position = next
  }
  return spaced + text.slice(copied)
}

/** Runs of marks beyond reason are normalized piece by piece. */
function normalizeInParts(text: string, form: 'NFC' | 'NFD' | 'NFKC' | 'NFKD'): string {
  let normalized = ''
  let partStart = 0
  let markRun = 0
  for (let position = 0; position < text.length;) {
    const codePoint = codePointAt(text, position, text.length)
    markRun = codePoint >= 0x300 && (classOf(codePoint) & MARK) !== 0 ? markRun + 1 : 0
    if (markRun > MAX_MARK_RUN) {
      normalized += text.slice(partStart, position).normalize(form)
      partStart = position
      markRun = 0
    }
    position += widthOf(codePoint)
  }
  return partStart === 0 ? text.normalize(form) : normalized + text.slice(partStart).normalize(form)
}

function isAscii(text: string): boolean {
  for (let index = 0; index < text.length; index += 1) if (text.charCodeAt(index) > 0x7f) return false
  return true
}

function isSpace(unit: number): boolean {
  return (classOf(unit) & SPACE) !== 0
}
