/** Which tokens end a turn or a document. Files name one of them, and often not the one that their chat template ends turns with. */
import type { TokenKind } from './tokenizer.ts'
import type { Vocabulary } from './vocabulary.ts'

/** End tokens of the families that we serve, with texts that nobody writes by chance: control tokens, whatever type a file gives them. */
const UNMISTAKABLE_END_TEXTS: ReadonlySet<string> = new Set([
  '<|im_end|>',
  '<|endoftext|>',
  '<|eot_id|>',
  '<|eom_id|>',
  '<|end_of_text|>',
  '<end_of_turn>',
  '<|end|>',
  '<|endofturn|>',
])

/** Also marks of other languages (HTML strikes text out with `</s>`): end tokens only where a file types or names them as such. */
const AMBIGUOUS_END_TEXTS: readonly string[] = ['</s>', '<eos>']

/** `named`: ids that the files name, nulls and ids beyond the vocabulary are left out. Named ones first, no doubles. */
export function endTokenIds(vocabulary: Vocabulary, named: readonly (number | null)[]): number[] {
  const ids = new Set<number>()
  for (const id of named) if (id !== null && Number.isInteger(id) && id >= 0 && id < vocabulary.size) ids.add(id)
  for (const text of [...UNMISTAKABLE_END_TEXTS, ...AMBIGUOUS_END_TEXTS]) {
    const id = vocabulary.id(text)
    if (id === null) continue
    const kind = vocabulary.kind(id)
    if (kind === 'control' || kind === 'user-defined') ids.add(id)
  }
  return [...ids]
}

/**
 * The kind to serve a token with, given the kind in its file. Converters often leave begin and end tokens `normal` or `user-defined`: the
 * model would then never stop, and anyone could write its turns. `isNamed`: the file names it as a begin or end token.
 */
export function servedTokenKind({ text, kind, isNamed }: { readonly text: string; readonly kind: TokenKind; readonly isNamed: boolean }): TokenKind {
  if (kind !== 'normal' && kind !== 'user-defined') return kind
  return UNMISTAKABLE_END_TEXTS.has(text) || (isNamed && looksSpecial(text)) ? 'control' : kind
}

/** `<s>`, `[SEP]`, `<|x|>`: a newline that is named as an end token stays text. */
function looksSpecial(text: string): boolean {
  return text.length > 2 && ((text.startsWith('<') && text.endsWith('>')) || (text.startsWith('[') && text.endsWith(']')))
}
