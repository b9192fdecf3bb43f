/** JSON that arrives as text inside a body: a schema. */
import type { JsonValue } from '#contract/generate'
import { invalid } from '#server/fields'

/** As deep as a body may be. */
const MAX_DEPTH = 64

/** Throws invalid_parameter with `path`. Linear in the length of the text. */
export function parseJsonText(text: string, path: string): JsonValue {
  if (depthOf(text) > MAX_DEPTH) throw invalid(path, `${path} is nested deeper than ${MAX_DEPTH} levels`)
  try {
    return JSON.parse(text) as JsonValue
  } catch {
    throw invalid(path, `${path} is not valid JSON`)
  }
}

/** Of text that is not JSON the depth is of no meaning, but it is counted all the same. */
function depthOf(text: string): number {
  let depth = 0
  let deepest = 0
  let isInText = false
  for (let index = 0; index < text.length; index++) {
    const character = text[index]
    if (isInText) {
      if (character === '\\') index++
      else if (character === '"') isInText = false
    } else if (character === '"') isInText = true
    else if (character === '{' || character === '[') deepest = Math.max(deepest, ++depth)
    else if (character === '}' || character === ']') depth--
  }
  return deepest
}
