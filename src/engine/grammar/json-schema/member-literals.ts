/** What a shape says of one member of an object, or of one item of an array. */
import { matchesText } from '../char-algebra-inspect.ts'
import type { ArrayShape, Literal, ObjectShape } from './shape.ts'

/** Nothing is said of names that no rule knows: []. Whether they may be there at all is not asked here. */
export function memberLiterals(object: ObjectShape, name: string): readonly Literal[] {
  const literals: Literal[] = []
  for (const rule of object.rules) {
    const declared = rule.properties.get(name)
    const matching = rule.patterns.filter(({ language }) => matchesText(language, name))
    if (declared !== undefined) literals.push(declared)
    for (const { literal } of matching) literals.push(literal)
    if (declared === undefined && matching.length === 0 && rule.additional !== null) literals.push(rule.additional)
  }
  return literals
}

export function itemLiterals(array: ArrayShape, index: number): readonly Literal[] {
  return array.rules.flatMap((rule) => rule.prefix[index] ?? rule.rest ?? [])
}
