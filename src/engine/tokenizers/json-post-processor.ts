/** The `post_processor` of tokenizer.json: which ids stand around a text. */
import { arrayAt, field, isObject, type JsonObject, objectAt, stringAt, tokenIdAt } from './json-fields.ts'
import { invalidTokenizer, quoteForMessage, unsupportedTokenizer, type Vocabulary } from './vocabulary.ts'

export interface SpecialFrame {
  readonly prefixIds: readonly number[]
  readonly suffixIds: readonly number[]
}

const NONE: SpecialFrame = { prefixIds: [], suffixIds: [] }
const MAX_STEPS = 16

/** Throws InferdError('invalid_model_file' | 'unsupported_model'). */
export function readPostProcessor(value: unknown, vocabulary: Vocabulary, path = 'post_processor'): SpecialFrame {
  if (value === null || value === undefined) return NONE
  const spec = objectAt(value, path)
  const type = stringAt(field(spec, 'type'), `${path}.type`)
  switch (type) {
    case 'ByteLevel':
      return NONE
    case 'TemplateProcessing':
      return readTemplate(spec, vocabulary, path)
    case 'BertProcessing':
    case 'RobertaProcessing':
      return { prefixIds: [pairId(spec, 'cls', vocabulary, path)], suffixIds: [pairId(spec, 'sep', vocabulary, path)] }
    case 'Sequence': {
      const steps = arrayAt(field(spec, 'processors'), `${path}.processors`)
      if (steps.length > MAX_STEPS) throw unsupportedTokenizer(path, `has ${steps.length} steps, at most ${MAX_STEPS} are allowed`)
      const frames = steps.map((step, index) => {
        if (isObject(step) && field(step, 'type') === 'Sequence') throw unsupportedTokenizer(`${path}.processors[${index}]`, 'is nested')
        return readPostProcessor(step, vocabulary, `${path}.processors[${index}]`)
      })
      return { prefixIds: frames.toReversed().flatMap((frame) => frame.prefixIds), suffixIds: frames.flatMap((frame) => frame.suffixIds) }
    }
    default:
      throw unsupportedTokenizer(path, `has type ${quoteForMessage(type)}, which is not known here`)
  }
}

function readTemplate(spec: JsonObject, vocabulary: Vocabulary, path: string): SpecialFrame {
  const items = arrayAt(field(spec, 'single'), `${path}.single`)
  if (items.length > MAX_STEPS) throw unsupportedTokenizer(`${path}.single`, `has ${items.length} items, at most ${MAX_STEPS} are allowed`)
  const specials = objectAt(field(spec, 'special_tokens') ?? {}, `${path}.special_tokens`)
  const prefixIds: number[] = []
  const suffixIds: number[] = []
  let sawText = false
  items.forEach((item, index) => {
    const itemPath = `${path}.single[${index}]`
    const entry = objectAt(item, itemPath)
    const special = field(entry, 'SpecialToken')
    if (special === undefined) {
      if (!isObject(field(entry, 'Sequence')) || sawText) throw unsupportedTokenizer(itemPath, 'is neither a special token nor the one text')
      sawText = true
      return
    }
    const name = stringAt(field(objectAt(special, itemPath), 'id'), `${itemPath}.SpecialToken.id`)
    const target = sawText ? suffixIds : prefixIds
    target.push(...specialIds(field(specials, name), { vocabulary, path: `${path}.special_tokens.${quoteForMessage(name)}` }))
  })
  return { prefixIds, suffixIds }
}

function specialIds(value: unknown, { vocabulary, path }: { readonly vocabulary: Vocabulary; readonly path: string }): number[] {
  const ids = arrayAt(field(objectAt(value, path), 'ids'), `${path}.ids`)
  if (ids.length > MAX_STEPS) throw unsupportedTokenizer(path, `has ${ids.length} ids, at most ${MAX_STEPS} are allowed`)
  return ids.map((id, index) => inVocabulary(tokenIdAt(id, `${path}.ids[${index}]`), vocabulary, `${path}.ids[${index}]`))
}

/** `["[CLS]", 101]` */
function pairId(spec: JsonObject, name: string, vocabulary: Vocabulary, path: string): number {
  const pair = arrayAt(field(spec, name), `${path}.${name}`)
  return inVocabulary(tokenIdAt(pair[1], `${path}.${name}[1]`), vocabulary, `${path}.${name}[1]`)
}

function inVocabulary(id: number, vocabulary: Vocabulary, path: string): number {
  if (id >= vocabulary.size) throw invalidTokenizer(path, `is ${id}, beyond the vocabulary of ${vocabulary.size} tokens`)
  return id
}
