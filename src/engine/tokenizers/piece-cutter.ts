/** Cutting a text for piece-level BPE when its file asks for no cutting at all: merging whole texts is slow and rarely needed. */
import { SPACE_SIGN, SPLIT_AT_SPACE_SIGN_RUN, WHOLE_TEXT } from './pre-tokenizers.ts'
import type { Vocabulary } from './vocabulary.ts'
import type { PreTokenizer } from './word-scanner.ts'

/** The same ids from shorter words, where the vocabulary proves that no token reaches over a cut; else `cutter` itself. */
export function cutterForPieces(vocabulary: Vocabulary, cutter: PreTokenizer): PreTokenizer {
  if (cutter !== WHOLE_TEXT || vocabulary.id(SPACE_SIGN) === null) return cutter
  for (let id = 0; id < vocabulary.size; id += 1) {
    const kind = vocabulary.kind(id)
    if (kind === 'normal' && /[^\u2581]\u2581/.test(vocabulary.text(id))) return cutter
  }
  return SPLIT_AT_SPACE_SIGN_RUN
}
