/** How alike two texts are by their words: what stands in for embeddings where no model gives any. Coarse, and measured in tests/safety. */

const STOP_WORDS = new Set(
  (
    'a about above after again all am an and any are as at be been before being below between both but by can could did do does doing down each ' +
    'else ever every few for from further get give had has have having he her here him his how i if in into is it its just know let like make me ' +
    'more most my no nor not now of off on once only or other our out over own please same say she should so some such tell than that the their ' +
    'them then there these they this those through to too under until up us very want was we were what when where which while who whom why will ' +
    'with would you your explain question answer anything something thing way'
  ).split(' '),
)

/** Content words by their stems; numbers stay whole. */
export function stemsOf(text: string): string[] {
  return (
    text
      .toLowerCase()
      .normalize('NFKC')
      .match(/[\p{L}\p{N}]+(?:[.'][\p{L}\p{N}]+)*/gu) ?? []
  ).flatMap((word) => (STOP_WORDS.has(word) ? [] : [stem(word)]))
}

/** Strips the endings of English inflection: enough for `invest`, `investing`, `investments`. */
function stem(word: string): string {
  if (/\d/.test(word)) return word
  const bare = word.replace(/'s$/, '').replace(/(?:ments?|ations?|ings?|ors?|ers?|edly|ed|ies|ly|es|s|y|e)$/, '')
  return bare.length >= 3 ? bare.replace(/(.)\1$/, '$1') : word
}

/** Share of `part`'s content words that `whole` has too, [0, 1]; 1 where there is nothing to support. */
export function coverage(part: string, whole: ReadonlySet<string>): number {
  const stems = stemsOf(part)
  return stems.length === 0 ? 1 : stems.filter((word) => whole.has(word)).length / stems.length
}

/** Cosine of the two sets of content words, [0, 1]. */
export function overlap(left: ReadonlySet<string>, right: ReadonlySet<string>): number {
  if (left.size === 0 || right.size === 0) return 0
  let shared = 0
  for (const word of left) if (right.has(word)) shared++
  return shared / Math.sqrt(left.size * right.size)
}
