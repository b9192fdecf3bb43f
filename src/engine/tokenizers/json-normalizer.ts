/** The `normalizer` of tokenizer.json. */
import { arrayAt, booleanField, field, type JsonObject, objectAt, stringAt, stringField } from './json-fields.ts'
import * as normalizers from './normalizers.ts'
import type { Normalizer } from './normalizers.ts'
import { quoteForMessage, unsupportedTokenizer } from './vocabulary.ts'

const MAX_STEPS = 32
const MAX_DEPTH = 4

/** `value` is the field of the file; null and absent mean none. Throws InferdError('invalid_model_file' | 'unsupported_model'). */
export function readNormalizer(value: unknown, path = 'normalizer', depth = 0): Normalizer {
  if (value === null || value === undefined) return normalizers.identity
  if (depth > MAX_DEPTH) throw unsupportedTokenizer(path, 'is nested too deep')
  const spec = objectAt(value, path)
  const type = stringAt(field(spec, 'type'), `${path}.type`)
  switch (type) {
    case 'Sequence': {
      const steps = arrayAt(field(spec, 'normalizers'), `${path}.normalizers`)
      if (steps.length > MAX_STEPS) throw unsupportedTokenizer(path, `has ${steps.length} steps, at most ${MAX_STEPS} are allowed`)
      return normalizers.sequence(steps.map((step, index) => readNormalizer(step, `${path}.normalizers[${index}]`, depth + 1)))
    }
    case 'NFC':
    case 'NFD':
    case 'NFKC':
    case 'NFKD':
      return normalizers.unicodeForm(type)
    case 'Lowercase':
      return normalizers.lowercase
    case 'StripAccents':
      return normalizers.stripAccents
    case 'Strip':
      return normalizers.strip(booleanField(spec, 'strip_left', path, true), booleanField(spec, 'strip_right', path, true))
    case 'Prepend':
      return normalizers.prepend(boundedText(field(spec, 'prepend'), `${path}.prepend`))
    case 'Replace':
      return readReplace(spec, path)
    case 'BertNormalizer':
      return readBert(spec, path)
    default:
      throw unsupportedTokenizer(path, `has type ${quoteForMessage(type)}, which is not known here`)
  }
}

function readReplace(spec: JsonObject, path: string): Normalizer {
  const pattern = objectAt(field(spec, 'pattern'), `${path}.pattern`)
  const content = boundedText(field(spec, 'content'), `${path}.content`)
  const literal = stringField(pattern, 'String', `${path}.pattern`)
  if (literal !== null) return normalizers.replaceText(boundedText(literal, `${path}.pattern.String`), content)
  const regex = stringAt(field(pattern, 'Regex'), `${path}.pattern.Regex`)
  if (regex === ' {2,}') return normalizers.replaceSpaceRuns(content)
  throw unsupportedTokenizer(`${path}.pattern`, `is an expression that is not known here: ${quoteForMessage(regex)}`)
}

function readBert(spec: JsonObject, path: string): Normalizer {
  const lowercase = booleanField(spec, 'lowercase', path, true)
  return normalizers.bertNormalizer({
    cleanText: booleanField(spec, 'clean_text', path, true),
    splitIdeographs: booleanField(spec, 'handle_chinese_chars', path, true),
    stripAccents: booleanField(spec, 'strip_accents', path, lowercase),
    lowercase,
  })
}

/** Longest text that one character may become: it bounds memory by the text's own size. */
const MAX_REPLACEMENT_LENGTH = 16

function boundedText(value: unknown, path: string): string {
  const text = stringAt(value, path)
  if (text.length > MAX_REPLACEMENT_LENGTH) {
    throw unsupportedTokenizer(path, `is ${text.length} characters long, at most ${MAX_REPLACEMENT_LENGTH} are allowed`)
  }
  return text
}
