/** Builds a tokenizer from the `tokenizer.ggml.*` metadata of a GGUF file. Keys: ggml's GGUF specification. */
import type { GgufValue } from '#engine/models/architecture'
import { AddedTokenMatcher, type AddedToken } from './added-tokens.ts'
import { byteLevelTokenBytes, ByteBpeEncoder } from './byte-bpe.ts'
import { ByteFallback, byteOfTokenText } from './byte-fallback.ts'
import { endTokenIds, servedTokenKind } from './end-tokens.ts'
import { booleanKey, idKey, KIND_BY_TOKEN_TYPE, numbersKey, stringKey, stringsKey } from './gguf-fields.ts'
import { preTokenizerForGgufName } from './known-patterns.ts'
import { bertNormalizer, collapseSpaces, identity, type Normalizer, sentencePieceSpaces, sequence } from './normalizers.ts'
import { CharacterSymbols, PieceBpeEncoder } from './piece-bpe.ts'
import { cutterForPieces } from './piece-cutter.ts'
import { mergesFromPairs, mergesFromScores } from './piece-merges.ts'
import { PipelineTokenizer } from './pipeline-tokenizer.ts'
import { BERT_WORDS, SPACE_SIGN, WHOLE_TEXT } from './pre-tokenizers.ts'
import { literalTokenBytes, pieceTokenBytes } from './token-bytes.ts'
import type { TokenKind } from './tokenizer.ts'
import { CharTrie, type TriePiece } from './char-trie.ts'
import { UnigramEncoder } from './unigram.ts'
import { checkVocabularyTexts, invalidTokenizer, quoteForMessage, unsupportedTokenizer, Vocabulary } from './vocabulary.ts'
import type { WordEncoder } from './word-encoder.ts'
import { WordPieceEncoder } from './wordpiece.ts'
import type { PreTokenizer } from './word-scanner.ts'

type GgufValues = ReadonlyMap<string, GgufValue>

interface GgufPipeline {
  readonly encoder: WordEncoder
  readonly normalizer: Normalizer
  readonly cutter: PreTokenizer
  readonly bytesOfText: (text: string) => Uint8Array
  readonly addsBos: boolean
  readonly addsEos: boolean
  readonly stripsLeadingSpace: boolean
}

export function tokenizerFromGguf(values: GgufValues): PipelineTokenizer {
  const model = stringKey(values, 'tokenizer.ggml.model')
  if (model === null) throw invalidTokenizer('tokenizer.ggml.model', 'is missing')
  const vocabulary = readVocabulary(values)
  const pipeline = buildPipeline(model, values, vocabulary)
  const bosTokenId = idKey(values, 'tokenizer.ggml.bos_token_id', vocabulary)
  const eosTokenId = idKey(values, 'tokenizer.ggml.eos_token_id', vocabulary)
  const separatorId = model === 'bert' ? (idKey(values, 'tokenizer.ggml.seperator_token_id', vocabulary) ?? eosTokenId) : eosTokenId
  const addsBos = booleanKey(values, 'tokenizer.ggml.add_bos_token') ?? pipeline.addsBos
  const addsEos = booleanKey(values, 'tokenizer.ggml.add_eos_token') ?? pipeline.addsEos
  const named = ['eot', 'eom'].map((name) => idKey(values, `tokenizer.ggml.${name}_token_id`, vocabulary))
  return new PipelineTokenizer({
    vocabulary,
    addedTokens: new AddedTokenMatcher(readAddedTokens(vocabulary, swallowsSpaces(values))),
    normalizer: pipeline.normalizer,
    preTokenizer: pipeline.cutter,
    encoder: pipeline.encoder,
    bytesOfText: pipeline.bytesOfText,
    bytesOfAddedText: model === 'gpt2' ? literalTokenBytes : pieceTokenBytes,
    byteOfToken: byteOfTokenText,
    prefixIds: addsBos && bosTokenId !== null ? [bosTokenId] : [],
    suffixIds: addsEos && separatorId !== null ? [separatorId] : [],
    bosTokenId,
    eosTokenIds: endTokenIds(vocabulary, [eosTokenId, ...named]),
    stripsLeadingSpace: pipeline.stripsLeadingSpace,
  })
}

function buildPipeline(model: string, values: GgufValues, vocabulary: Vocabulary): GgufPipeline {
  switch (model) {
    case 'gpt2':
      return byteLevelPipeline(values, vocabulary)
    case 'llama':
      return sentencePiecePipeline(values, vocabulary)
    case 't5':
      return unigramPipeline(values, vocabulary)
    case 'bert':
      return wordPiecePipeline(values, vocabulary)
    default:
      throw unsupportedTokenizer('tokenizer.ggml.model', `is ${quoteForMessage(model)}, which is not known here`)
  }
}

function readVocabulary(values: GgufValues): Vocabulary {
  const texts = stringsKey(values, 'tokenizer.ggml.tokens')
  if (texts === null) throw invalidTokenizer('tokenizer.ggml.tokens', 'is missing')
  checkVocabularyTexts(texts, 'tokenizer.ggml.tokens')
  const types = numbersKey(values, 'tokenizer.ggml.token_type')
  if (types !== null && types.length !== texts.length) {
    throw invalidTokenizer('tokenizer.ggml.token_type', `has ${types.length} entries for ${texts.length} tokens`)
  }
  const named = new Set(NAMED_TOKEN_KEYS.map((key) => values.get(key)).map((value) => (typeof value === 'bigint' ? Number(value) : value)))
  return new Vocabulary(texts.map((text, id) => ({ text, kind: servedTokenKind({ text, kind: kindOfType(types, id), isNamed: named.has(id) }) })))
}

const NAMED_TOKEN_KEYS = ['bos', 'eos', 'eot', 'eom'].map((name) => `tokenizer.ggml.${name}_token_id`)

function kindOfType(types: ArrayLike<number | bigint> | null, id: number): TokenKind {
  if (types === null) return 'normal'
  const kind = KIND_BY_TOKEN_TYPE.get(Number(types[id]))
  if (kind === undefined) throw invalidTokenizer(`tokenizer.ggml.token_type[${id}]`, `is ${types[id]}, which is no token type`)
  return kind
}

/** Control and unknown tokens are matched where special text is parsed; user-defined ones in every text. */
function readAddedTokens(vocabulary: Vocabulary, stripsRight: boolean): AddedToken[] {
  const tokens: AddedToken[] = []
  for (let id = 0; id < vocabulary.size; id += 1) {
    const kind = vocabulary.kind(id)
    if (kind !== 'control' && kind !== 'unknown' && kind !== 'user-defined') continue
    const text = vocabulary.text(id)
    const special = kind !== 'user-defined'
    tokens.push({ id, text, special, stripsLeft: false, stripsRight: stripsRight && !KEEPS_SPACES.has(text), singleWord: false })
  }
  return tokens
}

const KEEPS_SPACES: ReadonlySet<string> = new Set(['<unk>', '<s>', '<|endoftext|>'])

/** GGUF does not say it, but Phi-3 was trained with turn tokens that take the white space behind them (tokenizer.json, `rstrip`). */
function swallowsSpaces(values: GgufValues): boolean {
  return stringKey(values, 'general.architecture') === 'phi3' && stringKey(values, 'tokenizer.ggml.model') === 'llama'
}

function byteLevelPipeline(values: GgufValues, vocabulary: Vocabulary): GgufPipeline {
  const { cutter, wholeWordsFirst } = preTokenizerForGgufName(stringKey(values, 'tokenizer.ggml.pre') ?? 'default')
  const merges = stringsKey(values, 'tokenizer.ggml.merges')
  if (merges === null) throw invalidTokenizer('tokenizer.ggml.merges', 'is missing')
  const table = mergesFromPairs(
    vocabulary,
    merges.map((merge, index) => {
      const space = merge.indexOf(' ', 1)
      if (space < 0) throw invalidTokenizer(`tokenizer.ggml.merges[${index}]`, 'is not a pair')
      return [merge.slice(0, space), merge.slice(space + 1)] as const
    }),
  )
  const addsPrefix = booleanKey(values, 'tokenizer.ggml.add_space_prefix') ?? false
  return {
    encoder: new ByteBpeEncoder(vocabulary, table, { wholeWordsFirst }),
    normalizer: addsPrefix ? (text) => (text === '' || text.startsWith(' ') ? text : ` ${text}`) : identity,
    cutter,
    bytesOfText: byteLevelTokenBytes,
    // Llama 3 files before mid-2024 lack add_bos_token and expect it.
    addsBos: wholeWordsFirst,
    addsEos: false,
    stripsLeadingSpace: addsPrefix,
  }
}

function sentencePiecePipeline(values: GgufValues, vocabulary: Vocabulary): GgufPipeline {
  const scores = readScores(values, vocabulary)
  const characters = new CharacterSymbols(vocabulary)
  const addsPrefix = booleanKey(values, 'tokenizer.ggml.add_space_prefix') ?? true
  const encoder = new PieceBpeEncoder({
    vocabulary,
    merges: mergesFromScores(vocabulary, scores, characters),
    characters,
    fallback: new ByteFallback(vocabulary, { useBytes: true, unknownTokenId: unknownToken(values, vocabulary) }),
    wholeWordsFirst: false,
  })
  return {
    encoder,
    normalizer: sentencePieceSpaces(addsPrefix),
    cutter: cutterForPieces(vocabulary, WHOLE_TEXT),
    bytesOfText: pieceTokenBytes,
    addsBos: true,
    addsEos: false,
    stripsLeadingSpace: addsPrefix,
  }
}

function unigramPipeline(values: GgufValues, vocabulary: Vocabulary): GgufPipeline {
  if (values.has('tokenizer.ggml.precompiled_charsmap')) {
    throw unsupportedTokenizer('tokenizer.ggml.precompiled_charsmap', 'is not served here')
  }
  const scores = Float64Array.from(readScores(values, vocabulary))
  const addsPrefix = booleanKey(values, 'tokenizer.ggml.add_space_prefix') ?? true
  const pieces: TriePiece[] = []
  let minScore = 0
  for (let id = 0; id < vocabulary.size; id += 1) {
    if (!Number.isFinite(scores[id])) throw invalidTokenizer(`tokenizer.ggml.scores[${id}]`, 'is not a finite number')
    if (vocabulary.kind(id) !== 'normal' || !vocabulary.text(id).isWellFormed()) continue
    pieces.push({ text: vocabulary.text(id), id })
    minScore = Math.min(minScore, scores[id]!)
  }
  const fallback = new ByteFallback(vocabulary, { useBytes: true, unknownTokenId: unknownToken(values, vocabulary) })
  const removesSpaces = booleanKey(values, 'tokenizer.ggml.remove_extra_whitespaces') ?? false
  return {
    encoder: new UnigramEncoder({ trie: new CharTrie(pieces), scores, minScore, maxPieceLength: vocabulary.maxPieceLength, fallback }),
    normalizer: sequence([removesSpaces ? collapseSpaces : identity, sentencePieceSpaces(addsPrefix)]),
    cutter: WHOLE_TEXT,
    bytesOfText: pieceTokenBytes,
    addsBos: false,
    addsEos: true,
    stripsLeadingSpace: addsPrefix,
  }
}

const MAX_CHARACTERS_PER_WORD = 100

/** GGUF marks the tokens that begin a word with a space sign and drops the `##` of the others. */
function wordPiecePipeline(values: GgufValues, vocabulary: Vocabulary): GgufPipeline {
  const unknownTokenId = unknownToken(values, vocabulary)
  if (unknownTokenId === null) throw invalidTokenizer('tokenizer.ggml.unknown_token_id', 'is missing')
  const initial: TriePiece[] = []
  const continuing: TriePiece[] = []
  for (let id = 0; id < vocabulary.size; id += 1) {
    if (vocabulary.kind(id) !== 'normal') continue
    const text = vocabulary.text(id)
    if (text.startsWith(SPACE_SIGN)) initial.push({ text: text.slice(1), id })
    else continuing.push({ text, id })
  }
  const tries = { initial: new CharTrie(initial), continuing: new CharTrie(continuing) }
  return {
    encoder: new WordPieceEncoder({ ...tries, unknownTokenId, maxCharactersPerWord: MAX_CHARACTERS_PER_WORD }),
    normalizer: bertNormalizer({ cleanText: true, splitIdeographs: true, stripAccents: true, lowercase: true }),
    cutter: BERT_WORDS,
    bytesOfText: pieceTokenBytes,
    addsBos: true,
    addsEos: true,
    stripsLeadingSpace: true,
  }
}

function readScores(values: GgufValues, vocabulary: Vocabulary): ArrayLike<number> {
  const scores = values.get('tokenizer.ggml.scores')
  if (!(scores instanceof Float32Array || scores instanceof Float64Array)) {
    throw invalidTokenizer('tokenizer.ggml.scores', 'is missing or not an array of floats')
  }
  if (scores.length !== vocabulary.size) {
    throw invalidTokenizer('tokenizer.ggml.scores', `has ${scores.length} entries for ${vocabulary.size} tokens`)
  }
  return scores
}

function unknownToken(values: GgufValues, vocabulary: Vocabulary): number | null {
  const named = idKey(values, 'tokenizer.ggml.unknown_token_id', vocabulary)
  if (named !== null) return named
  for (let id = 0; id < vocabulary.size; id += 1) if (vocabulary.kind(id) === 'unknown') return id
  return null
}
