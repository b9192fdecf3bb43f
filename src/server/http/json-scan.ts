/**
 * One pass over JSON text before JSON.parse sees it: refuses what the parser would accept in a dangerous way (deep nesting,
 * one key twice in an object). It does not validate the rest of the grammar: JSON.parse does.
 */
import { InferdError } from '#contract/errors'

export const MAX_JSON_DEPTH = 64
/** Keys, objects and arrays of one body together: what costs time per piece and not per byte. */
export const MAX_JSON_MEMBERS = 65_536

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COLON = 0x3a
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d
const OPEN_BRACKET = 0x5b
const CLOSE_BRACKET = 0x5d

/** Linear in the text. Throws malformed_body. */
export function scanJson(text: string): void {
  /** Keys of each open object, null for an open array. */
  const open: (Set<string> | null)[] = []
  let numMembers = 0
  const countMember = (): void => {
    if (++numMembers > MAX_JSON_MEMBERS) throw malformed(`more than ${MAX_JSON_MEMBERS} keys, objects and arrays`)
  }
  for (let position = 0; position < text.length; position++) {
    switch (text.charCodeAt(position)) {
      case OPEN_BRACE:
      case OPEN_BRACKET:
        if (open.length === MAX_JSON_DEPTH) throw malformed(`nested deeper than ${MAX_JSON_DEPTH} levels`)
        countMember()
        open.push(text.charCodeAt(position) === OPEN_BRACE ? new Set() : null)
        break
      case CLOSE_BRACE:
      case CLOSE_BRACKET:
        open.pop()
        break
      case QUOTE: {
        const end = endOfString(text, position)
        const keys = open.at(-1)
        if (keys && isFollowedByColon(text, end)) {
          countMember()
          addKey(keys, text.slice(position, end))
        }
        position = end - 1
        break
      }
      default:
    }
  }
}

/** The position after the closing quote. */
function endOfString(text: string, start: number): number {
  let quote = text.indexOf('"', start + 1)
  while (quote !== -1) {
    let numBackslashes = 0
    while (text.charCodeAt(quote - 1 - numBackslashes) === BACKSLASH) numBackslashes++
    if (numBackslashes % 2 === 0) return quote + 1
    quote = text.indexOf('"', quote + 1)
  }
  throw malformed('not valid JSON')
}

function isFollowedByColon(text: string, position: number): boolean {
  let next = text.charCodeAt(position)
  while (next === 0x20 || next === 0x0a || next === 0x0d || next === 0x09) next = text.charCodeAt(++position)
  return next === COLON
}

function addKey(keys: Set<string>, quoted: string): void {
  const key = quoted.includes('\\') ? canonicalKey(quoted) : quoted
  if (keys.has(key)) throw malformed('the same key appears twice in one object')
  keys.add(key)
}

/** Two spellings of one key are one key; the quotes stay, as in the plain spelling. */
function canonicalKey(quoted: string): string {
  try {
    return `"${String(JSON.parse(quoted))}"`
  } catch {
    throw malformed('not valid JSON')
  }
}

function malformed(what: string): InferdError {
  return new InferdError('malformed_body', `the request body is refused: ${what}`)
}
