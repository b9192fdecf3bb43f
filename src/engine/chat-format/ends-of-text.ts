/** The tokens that begin and end a text or a turn: no text of a user may become one, whatever type a model file gives them. */
import type { Tokenizer } from '#engine/tokenizers/tokenizer'

export function endsOfText(tokenizer: Tokenizer): readonly number[] {
  return tokenizer.bosTokenId === null ? tokenizer.eosTokenIds : [tokenizer.bosTokenId, ...tokenizer.eosTokenIds]
}
