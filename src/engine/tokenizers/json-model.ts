/** The `model` of tokenizer.json: vocabulary and merges, and the encoder that they make. */
import { ByteBpeEncoder } from './byte-bpe.ts'
import { ByteFallback } from './byte-fallback.ts'
import { CharTrie, type TriePiece } from './char-trie.ts'
import { arrayAt, booleanField, field, finiteAt, type JsonObject, objectAt, stringAt, stringField, tokenIdAt } from './json-fields.ts'
import { CharacterSymbols, PieceBpeEncoder } from './piece-bpe.ts'
import { cutterForPieces } from './piece-cutter.ts'
import { mergesFromPairs, type MergePair } from './piece-merges.ts'
import { UnigramEncoder } from './unigram.ts'
import { checkVocabularyTexts, invalidTokenizer, quoteForMessage, unsupportedTokenizer, type Vocabulary } from './vocabulary.ts'
import type { WordEncoder } from './word-encoder.ts'
import { WordPieceEncoder } from './wordpiece.ts'
import type { PreTokenizer } from './word-scanner.ts'

export interface EncoderPlan {
  readonly isByteLevel: boolean
  readonly cutter: PreTokenizer
}

export interface JsonModel {
  readonly type: 'BPE' | 'Unigram' | 'WordPiece'
  readonly ids: ReadonlyMap<string, number>
  readonly hasByteTokens: boolean
  readonly unknownToken: string | null
  /** WordPiece's `##`; '' elsewhere. */
  readonly continuingPrefix: string
  /** May replace the cutter by a faster one with the same result. */
  createEncoder(vocabulary: Vocabulary, plan: EncoderPlan): { readonly encoder: WordEncoder; readonly cutter: PreTokenizer }
}

/** Throws InferdError('invalid_model_file' | 'unsupported_model'). */
export function readModel(value: unknown): JsonModel {
  const spec = objectAt(value, 'model')
  const type = stringField(spec, 'type', 'model') ?? (field(spec, 'merges') === undefined ? 'WordPiece' : 'BPE')
  switch (type) {
    case 'BPE':
      return readBpe(spec)
    case 'Unigram':
      return readUnigram(spec)
    case 'WordPiece':
      return readWordPiece(spec)
    default:
      throw unsupportedTokenizer('model.type', `is ${quoteForMessage(type)}, which is not known here`)
  }
}

function readBpe(spec: JsonObject): JsonModel {
  for (const name of ['continuing_subword_prefix', 'end_of_word_suffix']) {
    if ((stringField(spec, name, 'model') ?? '') !== '') throw unsupportedTokenizer(`model.${name}`, 'is not served here')
  }
  if ((field(spec, 'dropout') ?? 0) !== 0) throw unsupportedTokenizer('model.dropout', 'makes ids random')
  const ids = readVocabularyObject(field(spec, 'vocab'))
  const merges = arrayAt(field(spec, 'merges'), 'model.merges').map(readMerge)
  const unknownToken = stringField(spec, 'unk_token', 'model')
  const useBytes = booleanField(spec, 'byte_fallback', 'model', false)
  const wholeWordsFirst = booleanField(spec, 'ignore_merges', 'model', false)
  return {
    type: 'BPE',
    ids,
    hasByteTokens: useBytes,
    unknownToken,
    continuingPrefix: '',
    createEncoder(vocabulary, plan) {
      const table = mergesFromPairs(vocabulary, merges)
      if (plan.isByteLevel) return { encoder: new ByteBpeEncoder(vocabulary, table, { wholeWordsFirst }), cutter: plan.cutter }
      const unknownTokenId = unknownToken === null ? null : vocabulary.id(unknownToken)
      const fallback = new ByteFallback(vocabulary, { useBytes, unknownTokenId })
      const characters = new CharacterSymbols(vocabulary)
      const encoder = new PieceBpeEncoder({ vocabulary, merges: table, characters, fallback, wholeWordsFirst })
      return { encoder, cutter: cutterForPieces(vocabulary, plan.cutter) }
    },
  }
}

/** Either `"a b"` or `["a", "b"]`. */
function readMerge(value: unknown, index: number): MergePair {
  const path = `model.merges[${index}]`
  if (typeof value !== 'string') {
    const pair = arrayAt(value, path)
    if (pair.length !== 2) throw invalidTokenizer(path, 'is not a pair')
    return [stringAt(pair[0], `${path}[0]`), stringAt(pair[1], `${path}[1]`)]
  }
  const space = value.indexOf(' ', 1)
  if (space < 0) throw invalidTokenizer(path, 'is not a pair')
  return [value.slice(0, space), value.slice(space + 1)]
}

function readUnigram(spec: JsonObject): JsonModel {
  const list = arrayAt(field(spec, 'vocab'), 'model.vocab')
  const texts: string[] = []
  const scores = new Float64Array(list.length)
  let minScore = 0
  for (let id = 0; id < list.length; id += 1) {
    const entry = arrayAt(list[id], `model.vocab[${id}]`)
    texts.push(stringAt(entry[0], `model.vocab[${id}][0]`))
    scores[id] = finiteAt(entry[1], `model.vocab[${id}][1]`)
    minScore = Math.min(minScore, scores[id]!)
  }
  checkVocabularyTexts(texts, 'model.vocab')
  const ids = new Map<string, number>()
  texts.forEach((text, id) => {
    if (ids.has(text)) throw invalidTokenizer(`model.vocab[${id}]`, 'is there twice')
    ids.set(text, id)
  })
  const unknown = field(spec, 'unk_id') ?? null
  const unknownTokenId = unknown === null ? null : tokenIdAt(unknown, 'model.unk_id')
  if (unknownTokenId !== null && unknownTokenId >= texts.length) throw invalidTokenizer('model.unk_id', `is ${unknownTokenId}, beyond the vocabulary`)
  const useBytes = booleanField(spec, 'byte_fallback', 'model', false)
  return {
    type: 'Unigram',
    ids,
    hasByteTokens: useBytes,
    unknownToken: unknownTokenId === null ? null : texts[unknownTokenId]!,
    continuingPrefix: '',
    createEncoder(vocabulary, plan) {
      const isPiece = (text: string, id: number): boolean => id !== unknownTokenId && vocabulary.kind(id) === 'normal' && text.isWellFormed()
      const pieces = texts.flatMap((text, id): TriePiece[] => (isPiece(text, id) ? [{ text, id }] : []))
      const fallback = new ByteFallback(vocabulary, { useBytes, unknownTokenId })
      return {
        encoder: new UnigramEncoder({ trie: new CharTrie(pieces), scores, minScore, maxPieceLength: vocabulary.maxPieceLength, fallback }),
        cutter: plan.cutter,
      }
    },
  }
}

/** Longest word that WordPiece looks at, unless the file says less: longer ones are unknown. */
const MAX_CHARACTERS_PER_WORD = 100

function readWordPiece(spec: JsonObject): JsonModel {
  const ids = readVocabularyObject(field(spec, 'vocab'))
  const unknownToken = stringField(spec, 'unk_token', 'model') ?? '[UNK]'
  const unknownTokenId = ids.get(unknownToken)
  if (unknownTokenId === undefined) throw invalidTokenizer('model.unk_token', 'is not a token')
  const continuingPrefix = stringField(spec, 'continuing_subword_prefix', 'model') ?? '##'
  if (continuingPrefix === '') throw unsupportedTokenizer('model.continuing_subword_prefix', 'is empty')
  const limit = finiteAt(field(spec, 'max_input_chars_per_word') ?? MAX_CHARACTERS_PER_WORD, 'model.max_input_chars_per_word')
  if (limit > 1000) throw unsupportedTokenizer('model.max_input_chars_per_word', `is ${limit}, at most 1000 is allowed`)
  return {
    type: 'WordPiece',
    ids,
    hasByteTokens: false,
    unknownToken,
    continuingPrefix,
    createEncoder(vocabulary, plan) {
      const initial: TriePiece[] = []
      const continuing: TriePiece[] = []
      for (const [text, id] of ids) {
        if (vocabulary.kind(id) !== 'normal') continue
        initial.push({ text, id })
        if (text.startsWith(continuingPrefix)) continuing.push({ text: text.slice(continuingPrefix.length), id })
      }
      const tries = { initial: new CharTrie(initial), continuing: new CharTrie(continuing) }
      return { encoder: new WordPieceEncoder({ ...tries, unknownTokenId, maxCharactersPerWord: limit }), cutter: plan.cutter }
    },
  }
}

function readVocabularyObject(value: unknown): Map<string, number> {
  const spec = objectAt(value, 'model.vocab')
  const texts = Object.keys(spec)
  checkVocabularyTexts(texts, 'model.vocab')
  return new Map(texts.map((text) => [text, tokenIdAt(spec[text], `model.vocab[${quoteForMessage(text)}]`)]))
}
