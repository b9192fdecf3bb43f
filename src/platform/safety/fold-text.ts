/**
 * Text as word lists see it: compatibility form (full width, ligatures), lower case, no accents, no invisible characters. One code
 * point at a time, so that a stream folds as its whole text does.
 */

/** By code: lower case, white space as one kind of space. */
const ASCII = Array.from({ length: 128 }, (_, code) => (isSpaceCode(code) ? ' ' : String.fromCharCode(code).toLowerCase()))
/** What was folded once, by code. */
const BASIC_PLANE: (string | undefined)[] = Array.from({ length: 0x10000 })
const ACCENTS = /[\u0300-\u036f]/g
const INVISIBLE = /[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]/
const CYRILLIC_TWINS: Readonly<Record<string, string>> = { а: 'a', е: 'e', о: 'o', р: 'p', с: 'c', у: 'y', х: 'x', і: 'i', ѕ: 's' }
const LEET: Readonly<Record<string, string>> = { '0': 'o', '1': 'i', '3': 'e', '4': 'a', '5': 's', '7': 't', '@': 'a', $: 's', '!': 'i' }

/** What one code point folds to: '' for what is invisible, ' ' for white space, seldom several characters. */
export function foldCodePoint(codePoint: number): string {
  if (codePoint < 128) return ASCII[codePoint]!
  if (codePoint > 0xffff) return foldRare(codePoint)
  return (BASIC_PLANE[codePoint] ??= foldRare(codePoint))
}

function foldRare(codePoint: number): string {
  const character = String.fromCodePoint(codePoint)
  if (INVISIBLE.test(character)) return ''
  const folded = character.normalize('NFKD').replace(ACCENTS, '').toLowerCase()
  return folded.trim() === '' && folded !== '' ? ' ' : (CYRILLIC_TWINS[folded] ?? folded)
}

/** Digits and signs that stand for letters become those letters. */
export function foldLeet(folded: string): string {
  return LEET[folded] ?? folded
}

export function foldText(text: string): string {
  let folded = ''
  for (const character of text) folded += foldCodePoint(character.codePointAt(0)!)
  return folded.replaceAll(/ +/g, ' ').trim()
}

export function isSpaceCode(code: number): boolean {
  return code === 32 || (code >= 9 && code <= 13) || code === 0xa0 || code === 0x3000 || code === 0x2028 || code === 0x2029
}
