/** The `pre_tokenizer` of tokenizer.json: how text is cut into words, and what is done to it right before. */
import { arrayAt, booleanField, field, type JsonObject, objectAt, stringAt, stringField } from './json-fields.ts'
import { BYTE_LEVEL_WORDS, scannerForPattern } from './known-patterns.ts'
import { LiteralCutter, type LiteralBehavior } from './literal-cutter.ts'
import * as cutters from './pre-tokenizers.ts'
import { collapseSpaces, identity, metaspace, type Normalizer, sequence } from './normalizers.ts'
import { quoteForMessage, unsupportedTokenizer } from './vocabulary.ts'
import type { PreTokenizer } from './word-scanner.ts'

export interface CutterPlan {
  /** Runs after the normalizer. */
  readonly prepare: Normalizer
  readonly cutter: PreTokenizer
  readonly isByteLevel: boolean
  /** A space or a space sign is put in front of the text, so that decoding takes it away again. */
  readonly addsPrefix: boolean
}

const MAX_STEPS = 16
const WHOLE_TEXT_PLAN: CutterPlan = { prepare: identity, cutter: cutters.WHOLE_TEXT, isByteLevel: false, addsPrefix: false }
const BEHAVIORS: ReadonlyMap<string, LiteralBehavior> = new Map<string, LiteralBehavior>([
  ['Removed', 'removed'],
  ['Isolated', 'isolated'],
  ['MergedWithPrevious', 'merged-with-previous'],
  ['MergedWithNext', 'merged-with-next'],
])

/** `value` is the field of the file; null and absent mean none. Throws InferdError('invalid_model_file' | 'unsupported_model'). */
export function readPreTokenizer(value: unknown): CutterPlan {
  const path = 'pre_tokenizer'
  if (value === null || value === undefined) return WHOLE_TEXT_PLAN
  const spec = objectAt(value, path)
  if (field(spec, 'type') !== 'Sequence') return readStep(spec, path)
  const steps = arrayAt(field(spec, 'pretokenizers'), `${path}.pretokenizers`)
  if (steps.length > MAX_STEPS) throw unsupportedTokenizer(path, `has ${steps.length} steps, at most ${MAX_STEPS} are allowed`)
  return joinSteps(steps.map((step, index) => readStep(objectAt(step, `${path}.pretokenizers[${index}]`), `${path}.pretokenizers[${index}]`)))
}

/** A step that rewrites text must come first, or right after a plain cut at white space, which is then part of the rewriting. */
function joinSteps(steps: readonly CutterPlan[]): CutterPlan {
  const cutsAtSpaces = steps[0]?.cutter === cutters.WHITESPACE_SPLIT
  const rewriting = steps.findIndex((step) => step.prepare !== identity)
  const foldsSpaces = cutsAtSpaces && rewriting === 1
  if (rewriting > 0 && !foldsSpaces) throw unsupportedTokenizer('pre_tokenizer', 'rewrites text after cutting it')
  if (steps.filter((step) => step.prepare !== identity).length > 1) throw unsupportedTokenizer('pre_tokenizer', 'rewrites text twice')
  const kept = foldsSpaces ? steps.slice(1) : steps
  const cutting = kept.map((step) => step.cutter).filter((cutter) => cutter !== cutters.WHOLE_TEXT)
  const prepare = rewriting < 0 ? identity : steps[rewriting]!.prepare
  return {
    prepare: foldsSpaces ? sequence([collapseSpaces, prepare]) : prepare,
    cutter: cutting.length === 0 ? cutters.WHOLE_TEXT : cutting.length === 1 ? cutting[0]! : new cutters.CutterSequence(cutting),
    isByteLevel: steps.some((step) => step.isByteLevel),
    addsPrefix: steps.some((step) => step.addsPrefix),
  }
}

function readStep(spec: JsonObject, path: string): CutterPlan {
  const type = stringAt(field(spec, 'type'), `${path}.type`)
  switch (type) {
    case 'ByteLevel':
      return readByteLevel(spec, path)
    case 'Metaspace':
      return readMetaspace(spec, path)
    case 'Split':
      return plain(readSplit(spec, path))
    case 'Digits':
      return plain(booleanField(spec, 'individual_digits', path, false) ? cutters.INDIVIDUAL_DIGITS : cutters.CONTIGUOUS_DIGITS)
    case 'WhitespaceSplit':
      return plain(cutters.WHITESPACE_SPLIT)
    case 'Whitespace':
      return plain(cutters.WORDS_AND_SIGNS)
    case 'BertPreTokenizer':
      return plain(cutters.BERT_WORDS)
    case 'Punctuation':
      if ((field(spec, 'behavior') ?? 'Isolated') === 'Isolated') return plain(cutters.PUNCTUATION_ALONE)
  }
  throw unsupportedTokenizer(path, `has type ${quoteForMessage(type)} or a behavior that is not known here`)
}

function plain(cutter: PreTokenizer): CutterPlan {
  return { ...WHOLE_TEXT_PLAN, cutter }
}

function readByteLevel(spec: JsonObject, path: string): CutterPlan {
  const addsPrefix = booleanField(spec, 'add_prefix_space', path, true)
  return {
    prepare: addsPrefix ? (text) => (text === '' || text.startsWith(' ') ? text : ` ${text}`) : identity,
    cutter: booleanField(spec, 'use_regex', path, true) ? BYTE_LEVEL_WORDS : cutters.WHOLE_TEXT,
    isByteLevel: true,
    addsPrefix,
  }
}

function readMetaspace(spec: JsonObject, path: string): CutterPlan {
  const replacement = stringField(spec, 'replacement', path) ?? cutters.SPACE_SIGN
  if (replacement !== cutters.SPACE_SIGN) {
    throw unsupportedTokenizer(`${path}.replacement`, `is ${quoteForMessage(replacement)}, only U+2581 is known here`)
  }
  const legacy = booleanField(spec, 'add_prefix_space', path, true) ? 'always' : 'never'
  const scheme = stringField(spec, 'prepend_scheme', path) ?? legacy
  if (scheme !== 'always' && scheme !== 'first' && scheme !== 'never') {
    throw unsupportedTokenizer(`${path}.prepend_scheme`, `is ${quoteForMessage(scheme)}, which is not known here`)
  }
  const splits = booleanField(spec, 'split', path, true)
  return {
    prepare: metaspace(scheme, replacement),
    cutter: splits ? cutters.SPLIT_AT_SPACE_SIGN : cutters.WHOLE_TEXT,
    isByteLevel: false,
    addsPrefix: scheme !== 'never',
  }
}

function readSplit(spec: JsonObject, path: string): PreTokenizer {
  const behaviorName = stringAt(field(spec, 'behavior'), `${path}.behavior`)
  const behavior = BEHAVIORS.get(behaviorName)
  const invert = booleanField(spec, 'invert', path, false)
  const pattern = objectAt(field(spec, 'pattern'), `${path}.pattern`)
  const literal = stringField(pattern, 'String', `${path}.pattern`)
  if (literal !== null) {
    if (literal === '' || invert || behavior === undefined) throw unsupportedTokenizer(path, 'splits at a text in a way that is not known here')
    return new LiteralCutter(literal, behavior)
  }
  const regex = stringAt(field(pattern, 'Regex'), `${path}.pattern.Regex`)
  const keepsMatches = (behavior === 'isolated' && !invert) || (behavior === 'removed' && invert)
  if (!keepsMatches) throw unsupportedTokenizer(path, `splits with behavior ${quoteForMessage(behaviorName)}, unknown here for expressions`)
  return scannerForPattern(regex)
}
