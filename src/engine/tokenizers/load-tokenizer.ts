/** The doors of this room: a checked tokenizer from GGUF metadata or from a Hugging Face folder. */
import type { GgufValue } from '#engine/models/architecture'
import { tokenizerFromGguf } from './tokenizer-gguf.ts'
import { tokenizerFromJson, type TokenizerFolder } from './tokenizer-json.ts'
import type { Tokenizer } from './tokenizer.ts'

/** values: all metadata of the file. Throws InferdError('invalid_model_file' | 'unsupported_model') naming the key. */
export function loadTokenizerFromGguf(values: ReadonlyMap<string, GgufValue>): Tokenizer {
  return tokenizerFromGguf(values)
}

/** Parsed JSON of tokenizer.json and tokenizer_config.json (null when there is none). Throws like loadTokenizerFromGguf. */
export function loadTokenizerFromFolder(folder: TokenizerFolder): Tokenizer {
  return tokenizerFromJson(folder)
}
