/**
 * The word-cutting regular expressions that are in use, by their text in tokenizer.json and by their name in GGUF, as rules of our own scanner. A
 * stranger's regular expression is never run: it may take exponential time.
 */
import { CasedWordScanner } from './cased-word-scanner.ts'
import { quoteForMessage, unsupportedTokenizer } from './vocabulary.ts'
import { INDIVIDUAL_DIGITS, CutterSequence } from './pre-tokenizers.ts'
import { type PreTokenizer, type WordRules, WordScanner } from './word-scanner.ts'

const GPT2_RULES: WordRules = {
  contractions: 'exact',
  letterPrefix: 'space',
  marksAreLetters: false,
  maxNumbers: Infinity,
  numberTakesSpace: true,
  newlineRules: false,
}
const LLAMA3_RULES: WordRules = {
  contractions: 'ignore-case',
  letterPrefix: 'any',
  marksAreLetters: false,
  maxNumbers: 3,
  numberTakesSpace: false,
  newlineRules: true,
}

const gpt2 = new WordScanner(GPT2_RULES)
const llama3 = new WordScanner(LLAMA3_RULES)
const qwen2 = new WordScanner({ ...LLAMA3_RULES, maxNumbers: 1 })
const qwen35 = new WordScanner({ ...LLAMA3_RULES, maxNumbers: 1, marksAreLetters: true })
const tekken = new CasedWordScanner({ takesContraction: false, maxNumbers: 1 })
const o200k = new CasedWordScanner({ takesContraction: true, maxNumbers: 3 })
const digitsThenGpt2 = new CutterSequence([INDIVIDUAL_DIGITS, gpt2])

/** What ByteLevel cuts with when it is asked to. */
export const BYTE_LEVEL_WORDS: PreTokenizer = gpt2

const GPT2_TAIL = String.raw`| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
const LETTERS = String.raw`[^\r\n\p{L}\p{N}]?\p{L}+`
const SIGNS_AND_SPACES = String.raw`| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
const CASELESS = String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|`

const CAPITALS = String.raw`[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`
const SMALL = String.raw`[\p{Ll}\p{Lm}\p{Lo}\p{M}]`
const CASED_TAIL = String.raw`| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`

function casedPattern(contraction: string, numbers: string): string {
  const prefix = String.raw`[^\r\n\p{L}\p{N}]?`
  return `${prefix}${CAPITALS}*${SMALL}+${contraction}|${prefix}${CAPITALS}+${SMALL}*${contraction}|${numbers}${CASED_TAIL}`
}

const SCANNERS: ReadonlyMap<string, PreTokenizer> = new Map<string, PreTokenizer>([
  [`'s|'t|'re|'ve|'m|'ll|'d${GPT2_TAIL}`, gpt2],
  [`'(?:[sdmt]|ll|ve|re)${GPT2_TAIL}`, gpt2],
  [String.raw`${CASELESS}${LETTERS}|\p{N}{1,3}${SIGNS_AND_SPACES}`, llama3],
  [String.raw`'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+`, llama3],
  [String.raw`${CASELESS}${LETTERS}|\p{N}${SIGNS_AND_SPACES}`, qwen2],
  [String.raw`${CASELESS}[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`, qwen35],
  [casedPattern('', String.raw`\p{N}`), tekken],
  [casedPattern("(?i:'s|'t|'re|'ve|'m|'ll|'d)?", String.raw`\p{N}{1,3}`), o200k],
])

/** Throws InferdError('unsupported_model') for any other expression. */
export function scannerForPattern(pattern: string): PreTokenizer {
  const scanner = SCANNERS.get(pattern)
  if (scanner === undefined) throw unsupportedTokenizer('pre_tokenizer', `cuts with a pattern that is not known here: ${quoteForMessage(pattern)}`)
  return scanner
}

export interface GgufPreTokenizer {
  readonly cutter: PreTokenizer
  readonly wholeWordsFirst: boolean
}

const GGUF_GROUPS: readonly { readonly names: readonly string[]; readonly cutter: PreTokenizer; readonly wholeWordsFirst: boolean }[] = [
  { names: ['llama-bpe', 'llama3', 'llama-v3', 'falcon3', 'falcon-h1', 'pixtral'], cutter: llama3, wholeWordsFirst: true },
  { names: ['dbrx', 'smaug-bpe', 'chatglm-bpe'], cutter: llama3, wholeWordsFirst: false },
  { names: ['qwen2', 'deepseek-r1-qwen', 'stablelm2', 'megrez'], cutter: qwen2, wholeWordsFirst: false },
  { names: ['qwen35'], cutter: qwen35, wholeWordsFirst: false },
  { names: ['tekken'], cutter: tekken, wholeWordsFirst: true },
  { names: ['gpt-4o', 'llama4'], cutter: o200k, wholeWordsFirst: false },
  { names: ['default', 'gpt-2', 'gpt2', 'phi-2', 'mpt', 'olmo', 'jais', 'roberta-bpe'], cutter: gpt2, wholeWordsFirst: false },
  { names: ['smollm', 'starcoder', 'refact', 'command-r', 'codeshell'], cutter: digitsThenGpt2, wholeWordsFirst: false },
]

/** By the value of `tokenizer.ggml.pre`. Throws InferdError('unsupported_model') for a name that is not known here. */
export function preTokenizerForGgufName(name: string): GgufPreTokenizer {
  const group = GGUF_GROUPS.find((candidate) => candidate.names.includes(name))
  if (group === undefined) throw unsupportedTokenizer('tokenizer.ggml.pre', `is ${quoteForMessage(name)}, which is not known here`)
  return group
}
