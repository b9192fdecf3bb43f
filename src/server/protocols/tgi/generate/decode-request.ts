/** A text generation body becomes a TextGenerationCall, or an InferdError that names the field at fault. */
import { type GenerateRequest, type OutputFormat, PLAIN_OUTPUT, type SamplingOptions } from '#contract/generate'
import { checkItemCount, type FieldRules, Fields, invalid, isJsonObject, typeMismatch, unsupported } from '#server/fields'
import { parseJsonText } from '#server/json-text'
import type { DecodeContext, JsonObject } from '#server/operation'
import type { TextGenerationCall } from './wire-types.ts'

const INT32_MAX = 2 ** 31 - 1

const BODY_RULES: FieldRules = { inputs: 'read', parameters: 'read', stream: 'read' }

const PARAMETER_RULES: FieldRules = {
  max_new_tokens: 'read',
  do_sample: 'read',
  temperature: 'read',
  top_k: 'read',
  top_p: 'read',
  repetition_penalty: 'read',
  frequency_penalty: 'read',
  seed: 'read',
  stop: 'read',
  stop_sequences: 'read',
  return_full_text: 'read',
  details: 'read',
  top_n_tokens: 'read',
  grammar: 'read',
  best_of: (value) => value === 1,
  typical_p: (value) => value === 1,
  watermark: (value) => value === false,
  decoder_input_details: (value) => value === false,
  truncate: () => false,
  adapter_id: () => false,
}

export function decodeTextGeneration(body: JsonObject, context: DecodeContext): TextGenerationCall {
  const fields = new Fields(body)
  fields.check(BODY_RULES)
  const { inputs, isList } = readInputs(fields, context)
  const stream = fields.boolean('stream') ?? false
  if (stream && inputs.length > 1) throw unsupported('stream', 'a stream has one text as inputs')
  const parameters = fields.nestedFields('parameters') ?? new Fields({}, 'parameters')
  parameters.check(PARAMETER_RULES)
  const numTopTokens = parameters.integer('top_n_tokens', { min: 0, max: context.limits.maxTopLogprobs }) ?? 0
  const details = parameters.boolean('details') ?? false
  const maxTokens = parameters.integer('max_new_tokens', { min: 1, max: INT32_MAX })
  const request: Omit<GenerateRequest, 'requestId' | 'input'> = {
    sampling: readSampling(parameters),
    output: { ...PLAIN_OUTPUT, format: readGrammar(parameters) },
    maxTokens,
    minTokens: 0,
    stopStrings: readStopStrings(parameters, context),
    stopTokenIds: [],
    ignoreEos: false,
    // The text keeps the stop sequence, as it does in the original.
    includeStopString: true,
    // Each frame of a stream has a token.
    numTopLogprobs: stream || details || numTopTokens > 0 ? numTopTokens : null,
    numChoices: 1,
    echo: false,
    priority: 0,
    cacheSalt: '',
  }
  if (request.numTopLogprobs !== null && !stream) checkHeldTokens(inputs.length, numTopTokens, maxTokens, context)
  return {
    stream,
    inputs,
    hasInputList: isList,
    details,
    returnFullText: parameters.boolean('return_full_text') ?? false,
    numTopTokens,
    seed: readSeed(parameters),
    requests: inputs.map((text, index) => ({
      requestId: inputs.length === 1 ? context.responseId : `${context.responseId}-${index}`,
      input: { kind: 'text', text },
      ...request,
    })),
  }
}

function readInputs(fields: Fields, { limits }: DecodeContext): { readonly inputs: readonly string[]; readonly isList: boolean } {
  const value = fields.value('inputs')
  if (value === undefined) throw fields.missing('inputs')
  const isList = Array.isArray(value)
  const items: readonly unknown[] = isList ? value : [value]
  checkItemCount(items, 'inputs', { minItems: 1, maxItems: limits.maxPrompts })
  const inputs = items.map((item, index) => {
    const path = isList ? `inputs[${index}]` : 'inputs'
    if (typeof item !== 'string') throw typeMismatch(path, isList ? 'a string' : 'a string or an array of strings', item)
    if (item === '') throw invalid(path, `${path} must not be empty`)
    return item
  })
  return { inputs, isList }
}

/** The original samples when it is told to, or when anything that shapes sampling is given; otherwise it takes the likeliest token. */
function readSampling(parameters: Fields): SamplingOptions {
  const temperature = parameters.number('temperature', { min: 0, max: 2 })
  const topK = parameters.integer('top_k', { min: 0, max: INT32_MAX })
  const topP = parameters.number('top_p', { min: 0, max: 1, aboveMin: true })
  const isSampled = (parameters.boolean('do_sample') ?? false) || [temperature, topK, topP].some((value) => value !== null)
  return {
    temperature: isSampled ? (temperature ?? 1) : 0,
    topK: topK ?? 0,
    topP: topP ?? 1,
    minP: 0,
    repetitionPenalty: parameters.number('repetition_penalty', { min: 0.01, max: 10 }) ?? 1,
    presencePenalty: 0,
    frequencyPenalty: parameters.number('frequency_penalty', { min: -2, max: 2 }) ?? 0,
    logitBias: [],
    seed: seedOf(readSeed(parameters)),
  }
}

function readSeed(parameters: Fields): number | null {
  return parameters.integer('seed', { min: 0, max: Number.MAX_SAFE_INTEGER })
}

/** The low 32 bits seed the sampler. */
function seedOf(seed: number | null): number | null {
  return seed === null ? null : seed >>> 0
}

/** `stop_sequences` is the older name of `stop`. */
function readStopStrings(parameters: Fields, { limits }: DecodeContext): readonly string[] {
  const key = parameters.value('stop') === undefined ? 'stop_sequences' : 'stop'
  const items = parameters.list(key, { maxItems: limits.maxStopStrings }) ?? []
  return items.map((item, index) => {
    const path = `${parameters.pathOf(key)}[${index}]`
    if (typeof item !== 'string') throw typeMismatch(path, 'a string', item)
    const numBytes = Buffer.byteLength(item)
    if (numBytes >= 1 && numBytes <= limits.maxStopStringBytes) return item
    throw invalid(path, `${path} must have 1 to ${limits.maxStopStringBytes} bytes of UTF-8, got ${numBytes}`)
  })
}

/** `{"type": "json" | "json_schema" | "regex", "value"}`. */
function readGrammar(parameters: Fields): OutputFormat {
  const grammar = parameters.nestedFields('grammar')
  if (grammar === null) return { kind: 'text' }
  grammar.check({ type: 'read', value: 'read' })
  const kind = grammar.word('type', ['json', 'json_schema', 'regex'])
  if (kind === null) throw grammar.missing('type')
  if (kind === 'regex') return { kind: 'regex', pattern: grammar.requiredText('value', { minLength: 1 }) }
  const value = grammar.value('value')
  const path = grammar.pathOf('value')
  const schema = typeof value === 'string' ? parseJsonText(value, path) : value
  if (!isJsonObject(schema)) throw typeMismatch(path, 'a JSON schema as an object or as its JSON text', schema)
  const isWrapped = kind === 'json_schema' && isJsonObject(schema['schema'])
  return { kind: 'json-schema', schema: (isWrapped ? schema['schema'] : schema) as OutputSchema, whitespace: 'flexible' }
}

type OutputSchema = Extract<OutputFormat, { readonly kind: 'json-schema' }>['schema']

/** Tokens of an answer that is held until it is whole. */
function checkHeldTokens(numInputs: number, numTop: number, maxTokens: number | null, { facts, limits }: DecodeContext): void {
  const numTokens = Math.min(maxTokens ?? facts.contextLength, facts.contextLength)
  const numEntries = numInputs * numTokens * (1 + numTop)
  if (numEntries <= limits.maxLogprobEntries) return
  throw invalid(
    'parameters.details',
    `inputs x max_new_tokens x (1 + top_n_tokens) must be at most ${limits.maxLogprobEntries} with details, got ${numEntries}`,
  )
}
