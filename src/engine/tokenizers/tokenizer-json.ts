/** Builds a tokenizer from Hugging Face's tokenizer.json and tokenizer_config.json. Both are strangers' files. */
import { AddedTokenMatcher, type AddedToken } from './added-tokens.ts'
import { byteLevelTokenBytes } from './byte-bpe.ts'
import { byteOfTokenText } from './byte-fallback.ts'
import { endTokenIds, servedTokenKind } from './end-tokens.ts'
import { arrayAt, booleanField, field, isObject, type JsonObject, objectAt, stringAt, tokenIdAt } from './json-fields.ts'
import { readModel, type JsonModel } from './json-model.ts'
import { readNormalizer } from './json-normalizer.ts'
import { readPostProcessor } from './json-post-processor.ts'
import { readPreTokenizer } from './json-pre-tokenizer.ts'
import { sequence } from './normalizers.ts'
import { PipelineTokenizer } from './pipeline-tokenizer.ts'
import { literalTokenBytes, pieceTokenBytes, wordPieceTokenBytes } from './token-bytes.ts'
import type { TokenKind } from './tokenizer.ts'
import { invalidTokenizer, MAX_VOCABULARY_TOKENS, quoteForMessage, unsupportedTokenizer, Vocabulary, type VocabularyEntry } from './vocabulary.ts'

export interface TokenizerFolder {
  readonly tokenizerJson: unknown
  readonly tokenizerConfig: unknown
  readonly extraEosTokenIds?: readonly number[]
}

/** Throws InferdError('invalid_model_file' | 'unsupported_model') with the field's path. */
export function tokenizerFromJson(folder: TokenizerFolder): PipelineTokenizer {
  if (folder.tokenizerJson === null) throw unsupportedTokenizer('tokenizer.json', 'is missing')
  const root = objectAt(folder.tokenizerJson, 'tokenizer.json')
  const model = readModel(field(root, 'model'))
  const config = isObject(folder.tokenizerConfig) ? folder.tokenizerConfig : {}
  const namedTexts = new Set([namedText(config, 'bos_token'), namedText(config, 'eos_token')])
  const addedTokens = withEndTokens(readAddedTokens(field(root, 'added_tokens'), model), model, namedTexts)
  const vocabulary = buildVocabulary(model, addedTokens)
  const plan = readPreTokenizer(field(root, 'pre_tokenizer'))
  const isByteLevel = plan.isByteLevel || hasByteLevelDecoder(field(root, 'decoder'))
  const { encoder, cutter } = model.createEncoder(vocabulary, { isByteLevel, cutter: plan.cutter })
  const frame = readPostProcessor(field(root, 'post_processor'), vocabulary)
  const bosTokenId = namedTokenId(config, 'bos_token', vocabulary) ?? frame.prefixIds[0] ?? null
  const eosTokenId = namedTokenId(config, 'eos_token', vocabulary) ?? (model.type === 'WordPiece' ? vocabulary.id('[SEP]') : null)
  return new PipelineTokenizer({
    vocabulary,
    addedTokens: new AddedTokenMatcher(addedTokens),
    normalizer: sequence([readNormalizer(field(root, 'normalizer')), plan.prepare]),
    preTokenizer: cutter,
    encoder,
    bytesOfText: bytesReader(model, isByteLevel),
    bytesOfAddedText: isByteLevel ? literalTokenBytes : bytesReader(model, false),
    byteOfToken: byteOfTokenText,
    prefixIds: frame.prefixIds,
    suffixIds: frame.suffixIds,
    bosTokenId,
    eosTokenIds: endTokenIds(vocabulary, [eosTokenId, ...(folder.extraEosTokenIds ?? [])]),
    stripsLeadingSpace: model.type === 'WordPiece' || plan.addsPrefix || stripsOnDecoding(field(root, 'decoder')),
  })
}

function bytesReader(model: JsonModel, isByteLevel: boolean): (text: string) => Uint8Array {
  if (isByteLevel) return byteLevelTokenBytes
  return model.type === 'WordPiece' ? (text) => wordPieceTokenBytes(text, model.continuingPrefix) : pieceTokenBytes
}

function readAddedTokens(value: unknown, model: JsonModel): AddedToken[] {
  const list = arrayAt(value ?? [], 'added_tokens')
  if (list.length > MAX_VOCABULARY_TOKENS) throw invalidTokenizer('added_tokens', `has ${list.length} entries`)
  const seen = new Set<number>()
  return list.map((item, index) => {
    const path = `added_tokens[${index}]`
    const spec = objectAt(item, path)
    const id = tokenIdAt(field(spec, 'id'), `${path}.id`)
    const text = stringAt(field(spec, 'content'), `${path}.content`)
    if (seen.has(id)) throw invalidTokenizer(`${path}.id`, `is ${id}, which another added token has`)
    seen.add(id)
    const known = model.ids.get(text)
    if (known !== undefined && known !== id) {
      throw invalidTokenizer(`${path}.id`, `is ${id}, but the vocabulary has ${quoteForMessage(text)} as ${known}`)
    }
    return {
      id,
      text,
      special: booleanField(spec, 'special', path, false),
      stripsLeft: booleanField(spec, 'lstrip', path, false),
      stripsRight: booleanField(spec, 'rstrip', path, false),
      singleWord: booleanField(spec, 'single_word', path, false),
    }
  })
}

/** Begin and end tokens are control tokens, also where the list of added tokens says otherwise or lacks them. */
function withEndTokens(addedTokens: readonly AddedToken[], model: JsonModel, namedTexts: ReadonlySet<string | null>): AddedToken[] {
  const isControl = (text: string, kind: TokenKind): boolean => servedTokenKind({ text, kind, isNamed: namedTexts.has(text) }) === 'control'
  const listed = new Set(addedTokens.map(({ id }) => id))
  const served = addedTokens.map((token): AddedToken => ({ ...token, special: token.special || isControl(token.text, 'user-defined') }))
  for (const [text, id] of model.ids) {
    if (listed.has(id) || !isControl(text, modelTokenKind(text, model))) continue
    served.push({ id, text, special: true, stripsLeft: false, stripsRight: false, singleWord: false })
  }
  return served
}

/** Ids may have holes; they become unused tokens. */
function buildVocabulary(model: JsonModel, addedTokens: readonly AddedToken[]): Vocabulary {
  let size = 0
  for (const id of model.ids.values()) size = Math.max(size, id + 1)
  for (const token of addedTokens) size = Math.max(size, token.id + 1)
  const numTokens = model.ids.size + addedTokens.length
  if (size > MAX_VOCABULARY_TOKENS || size > numTokens * 4 + 65_536) {
    throw invalidTokenizer('vocab', `has an id of ${size - 1} among ${numTokens} tokens`)
  }
  const entries: VocabularyEntry[] = Array.from({ length: size }, () => ({ text: '', kind: 'unused' as const }))
  for (const [text, id] of model.ids) {
    if (entries[id]!.text !== '') throw invalidTokenizer('vocab', `gives id ${id} to two tokens`)
    entries[id] = { text, kind: modelTokenKind(text, model) }
  }
  for (const token of addedTokens) {
    const current = entries[token.id]!
    if (current.text !== '' && current.text !== token.text) throw invalidTokenizer('added_tokens', `gives id ${token.id} to two tokens`)
    entries[token.id] = { text: token.text, kind: token.special ? 'control' : 'user-defined' }
  }
  return new Vocabulary(entries)
}

function modelTokenKind(text: string, model: JsonModel): TokenKind {
  if (model.hasByteTokens && byteOfTokenText(text) !== null) return 'byte'
  return text === model.unknownToken ? 'unknown' : 'normal'
}

/** A token's literal text, which tokenizer_config.json gives as a string or inside an object. */
function namedText(config: JsonObject, name: string): string | null {
  const value = field(config, name)
  const text = isObject(value) ? field(value, 'content') : value
  return typeof text === 'string' ? text : null
}

function namedTokenId(config: JsonObject, name: string, vocabulary: Vocabulary): number | null {
  const text = namedText(config, name)
  return text === null ? null : vocabulary.id(text)
}

function hasByteLevelDecoder(value: unknown): boolean {
  return decoderSteps(value).some((step) => field(step, 'type') === 'ByteLevel')
}

/** A Strip of one leading space takes away what a Prepend put there. */
function stripsOnDecoding(value: unknown): boolean {
  return decoderSteps(value).some((step) => field(step, 'type') === 'Strip' && field(step, 'content') === ' ' && field(step, 'start') === 1)
}

function decoderSteps(value: unknown): readonly JsonObject[] {
  if (!isObject(value)) return []
  const steps = field(value, 'decoders')
  return Array.isArray(steps) ? steps.filter(isObject) : [value]
}
