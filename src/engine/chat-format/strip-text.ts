/** `strip`, `lstrip`, `rstrip` and `trim` as Python has them, with the ranges of what is left. */
import { type JinjaValue, stringValue, textOf } from './jinja-values.ts'
import { type Provenance, sliceRanges } from './provenance.ts'

export interface StripCall {
  readonly provenance: Provenance
  readonly name: string
  readonly operand: JinjaValue
  /** Which characters fall; null means white space. */
  readonly characters: string | null
}

export function stripText({ provenance, name, operand, characters }: StripCall): JinjaValue {
  const text = textOf(operand) ?? ''
  const dropped = characters === null ? null : new Set(characters)
  let start = 0
  let end = text.length
  if (name !== 'rstrip') while (start < end && falls(text[start]!, dropped)) start += 1
  if (name !== 'lstrip') while (end > start && falls(text[end - 1]!, dropped)) end -= 1
  return provenance.mark(stringValue(text.slice(start, end)), sliceRanges(provenance.rangesOf(operand), start, end))
}

function falls(character: string, dropped: ReadonlySet<string> | null): boolean {
  if (dropped !== null) return dropped.has(character)
  // Python counts the four information separators as white space, Unicode does not.
  return /\p{White_Space}/u.test(character) || (character >= '\u001c' && character <= '\u001f')
}
