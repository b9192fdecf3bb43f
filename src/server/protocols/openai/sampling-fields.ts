/**
 * The sampling, stopping and scheduling fields that chat and text completions have in common: OpenAI's own and the
 * extensions that open servers agree on (top_k, min_p, repetition_penalty, min_tokens, ignore_eos, stop_token_ids,
 * include_stop_str_in_output, priority, cache_salt). docs/reference/openai.md is the user's copy of these ranges.
 */
import { type GenerateRequest, MAX_PRIORITY, type SamplingOptions } from '#contract/generate'
import type { DecodeContext } from '#server/operation'
import { checkedInteger, checkedNumber, checkItemCount, type FieldRules, type Fields, invalid, typeMismatch } from '#server/fields'

const INT32_MAX = 2 ** 31 - 1

/** Rules of the fields read here, to be spread into an operation's own table. */
export const SAMPLING_RULES = {
  temperature: 'read',
  top_p: 'read',
  top_k: 'read',
  min_p: 'read',
  repetition_penalty: 'read',
  presence_penalty: 'read',
  frequency_penalty: 'read',
  logit_bias: 'read',
  seed: 'read',
  n: 'read',
  stop: 'read',
  stop_token_ids: 'read',
  include_stop_str_in_output: 'read',
  ignore_eos: 'read',
  min_tokens: 'read',
  priority: 'read',
  cache_salt: 'read',
  stream: 'read',
  stream_options: 'read',
} as const satisfies FieldRules

const STREAM_OPTION_RULES: FieldRules = { include_usage: 'read', include_obfuscation: (value) => value === false }

export type SharedRequestFields = Omit<GenerateRequest, 'requestId' | 'input' | 'output' | 'maxTokens' | 'numTopLogprobs' | 'echo'>

/** `maxTokens` is the already decoded limit, so that `min_tokens` can be held against it. */
export function readSharedFields(fields: Fields, context: DecodeContext, maxTokens: number | null): SharedRequestFields {
  const minTokens = fields.integer('min_tokens', { min: 0, max: INT32_MAX }) ?? 0
  if (maxTokens !== null && minTokens > maxTokens) {
    throw invalid('min_tokens', `min_tokens (${minTokens}) must not be above the output limit (${maxTokens})`)
  }
  return {
    sampling: readSampling(fields, context),
    minTokens,
    stopStrings: readStopStrings(fields, context),
    stopTokenIds: readStopTokenIds(fields, context),
    ignoreEos: fields.boolean('ignore_eos') ?? false,
    includeStopString: fields.boolean('include_stop_str_in_output') ?? false,
    numChoices: fields.integer('n', { min: 1, max: context.limits.maxChoices }) ?? 1,
    priority: fields.integer('priority', { min: -MAX_PRIORITY, max: MAX_PRIORITY }) ?? 0,
    cacheSalt: fields.text('cache_salt', { maxLength: 256 }) ?? '',
  }
}

/** null = no limit of its own. */
export function readTokenLimit(fields: Fields, key: string): number | null {
  return fields.integer(key, { min: 1, max: INT32_MAX })
}

export interface StreamFields {
  readonly stream: boolean
  readonly includeUsage: boolean
}

export function readStreamFields(fields: Fields): StreamFields {
  const stream = fields.boolean('stream') ?? false
  const options = fields.nestedFields('stream_options')
  if (options === null) return { stream, includeUsage: false }
  if (!stream) throw invalid('stream_options', 'stream_options is only allowed when stream is true')
  options.check(STREAM_OPTION_RULES)
  return { stream, includeUsage: options.boolean('include_usage') ?? false }
}

function readSampling(fields: Fields, context: DecodeContext): SamplingOptions {
  return {
    temperature: fields.number('temperature', { min: 0, max: 2 }) ?? 1,
    topK: Math.max(0, fields.integer('top_k', { min: -1, max: INT32_MAX }) ?? 0),
    topP: fields.number('top_p', { min: 0, max: 1, aboveMin: true }) ?? 1,
    minP: fields.number('min_p', { min: 0, max: 1 }) ?? 0,
    repetitionPenalty: fields.number('repetition_penalty', { min: 0.01, max: 10 }) ?? 1,
    presencePenalty: fields.number('presence_penalty', { min: -2, max: 2 }) ?? 0,
    frequencyPenalty: fields.number('frequency_penalty', { min: -2, max: 2 }) ?? 0,
    logitBias: readLogitBias(fields, context),
    seed: readSeed(fields),
  }
}

/** Any safe integer; its low 32 bits seed the sampler. */
function readSeed(fields: Fields): number | null {
  const seed = fields.integer('seed', { min: Number.MIN_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER })
  return seed === null ? null : seed >>> 0
}

function readLogitBias(fields: Fields, { facts, limits }: DecodeContext): SamplingOptions['logitBias'] {
  const biases = fields.nested('logit_bias')
  if (biases === null) return []
  const keys = Object.keys(biases)
  checkItemCount(keys, 'logit_bias', { maxItems: limits.maxLogitBiasEntries })
  return keys.map((key) => {
    const path = `logit_bias.${key.slice(0, 16)}`
    if (!/^(0|[1-9]\d{0,9})$/.test(key) || Number(key) >= facts.vocabSize) {
      throw invalid(path, `keys of logit_bias must be token ids from 0 to ${facts.vocabSize - 1}`)
    }
    return { tokenId: Number(key), bias: checkedNumber(biases[key], path, { min: -100, max: 100 }) }
  })
}

function readStopStrings(fields: Fields, { limits }: DecodeContext): readonly string[] {
  const value = fields.value('stop')
  if (value === undefined) return []
  const items: readonly unknown[] = Array.isArray(value) ? value : [value]
  checkItemCount(items, 'stop', { maxItems: limits.maxStopStrings })
  return items.map((item, index) => {
    const path = Array.isArray(value) ? `stop[${index}]` : 'stop'
    if (typeof item !== 'string') throw typeMismatch(path, Array.isArray(value) ? 'a string' : 'a string or an array of strings', item)
    const numBytes = Buffer.byteLength(item)
    if (numBytes === 0 || numBytes > limits.maxStopStringBytes) {
      throw invalid(path, `${path} must have 1 to ${limits.maxStopStringBytes} bytes of UTF-8, got ${numBytes}`)
    }
    return item
  })
}

function readStopTokenIds(fields: Fields, { facts, limits }: DecodeContext): readonly number[] {
  const items = fields.list('stop_token_ids', { maxItems: limits.maxStopTokenIds }) ?? []
  return items.map((item, index) => checkedInteger(item, `stop_token_ids[${index}]`, { min: 0, max: facts.vocabSize - 1 }))
}
