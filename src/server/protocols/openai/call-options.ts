/**
 * The terms of a call in a body: OpenAI's `service_tier` and `metadata`, and ours (`guardrail`, `truncation`, `cache`). A term that the
 * body leaves out is what its header says. docs/reference/openai.md is the user's copy.
 */
import type { CallOptions, ServiceTier, TruncationStrategy } from '#contract/call'
import { readCallOptions } from '#server/call-option-headers'
import { type FieldRules, type Fields, invalid, unsupported } from '#server/fields'
import type { Incoming } from '#server/operation'

/** Rules of the fields read here. */
export const OPTION_RULES = {
  service_tier: 'read',
  metadata: 'read',
  guardrail: 'read',
  truncation: 'read',
  cache: 'read',
} as const satisfies FieldRules

/** What OpenAI calls scale is throughput that was bought before. */
const TIERS = { auto: null, default: 'default', flex: 'flex', priority: 'priority', scale: 'reserved' } as const
/** Tiers that OpenAI sells and this server does not have. */
const OTHER_TIERS: readonly unknown[] = ['fast', 'ultrafast']
const STRATEGIES = ['none', 'oldest-turns', 'middle-out'] as const
/** OpenAI's words of the Responses API. */
const RESPONSES_STRATEGIES: Readonly<Record<string, TruncationStrategy>> = { auto: 'oldest-turns', disabled: 'none' }
const GUARDRAIL_ID = /^[\w:/.-]{1,512}$/
const GUARDRAIL_VERSION = /^(?:DRAFT|[1-9]\d{0,7})$/
const MAX_AGE_S = 999_999_999
const MAX_METADATA_PAIRS = 16
const MAX_METADATA_KEY_LENGTH = 64
const MAX_METADATA_VALUE_LENGTH = 512

export function readOptionFields(fields: Fields, headers: Incoming['headers']): CallOptions {
  const said = readCallOptions(headers)
  return {
    tier: readTier(fields) ?? said.tier,
    truncation: readTruncation(fields) ?? said.truncation,
    guardrail: readGuardrail(fields) ?? said.guardrail,
    responseCache: readCache(fields) ?? said.responseCache,
    metadata: { ...said.metadata, ...readMetadata(fields) },
  }
}

/** null = the field is not there, or leaves it to the server. */
function readTier(fields: Fields): CallOptions['tier'] | null {
  if (OTHER_TIERS.includes(fields.value('service_tier'))) {
    throw unsupported('service_tier', 'service_tier with this value is not supported by this server')
  }
  const tier = fields.word('service_tier', ['auto', 'default', 'flex', 'priority', 'scale'])
  return tier === null ? null : TIERS[tier]
}

export type WireTier = Exclude<ServiceTier, 'reserved'> | 'scale'

export function encodeTier(tier: ServiceTier): WireTier {
  return tier === 'reserved' ? 'scale' : tier
}

function readTruncation(fields: Fields): TruncationStrategy | null {
  const value = fields.value('truncation')
  if (typeof value === 'string' && Object.hasOwn(RESPONSES_STRATEGIES, value)) return RESPONSES_STRATEGIES[value] ?? null
  return fields.word('truncation', STRATEGIES)
}

function readGuardrail(fields: Fields): CallOptions['guardrail'] {
  const guardrail = fields.nestedFields('guardrail')
  if (guardrail === null) return null
  guardrail.check({ id: 'read', version: 'read', trace: 'read', streaming: 'read' })
  const id = guardrail.requiredText('id', { minLength: 1, maxLength: 512 })
  if (!GUARDRAIL_ID.test(id)) throw invalid('guardrail.id', 'guardrail.id must be the name, the id or the ARN of a guardrail')
  const version = guardrail.text('version') ?? 'DRAFT'
  if (!GUARDRAIL_VERSION.test(version)) throw invalid('guardrail.version', "guardrail.version must be 'DRAFT' or a number as text")
  return {
    guardrail: id,
    version,
    trace: guardrail.boolean('trace') ?? false,
    streaming: guardrail.word('streaming', ['sync', 'async']) ?? 'sync',
    content: null,
  }
}

function readCache(fields: Fields): CallOptions['responseCache'] {
  const cache = fields.nestedFields('cache')
  if (cache === null) return null
  cache.check({ mode: 'read', max_age: 'read' })
  const mode = cache.word('mode', ['off', 'exact', 'semantic'])
  if (mode === null) throw cache.missing('mode')
  return { mode, maxAgeS: cache.integer('max_age', { min: 0, max: MAX_AGE_S }) }
}

/** As OpenAI limits it. */
export function readMetadata(fields: Fields): Readonly<Record<string, string>> {
  const entries = Object.entries(fields.nested('metadata') ?? {})
  if (entries.length > MAX_METADATA_PAIRS) throw invalid('metadata', `metadata must have at most ${MAX_METADATA_PAIRS} pairs, got ${entries.length}`)
  const pairs = entries.map(([key, value]): [string, string] => {
    const path = `metadata.${key.slice(0, MAX_METADATA_KEY_LENGTH)}`
    if (key.length > MAX_METADATA_KEY_LENGTH) throw invalid(path, `keys of metadata must have at most ${MAX_METADATA_KEY_LENGTH} characters`)
    if (typeof value !== 'string') throw invalid(path, `${path} must be a string`)
    if (value.length > MAX_METADATA_VALUE_LENGTH) throw invalid(path, `${path} must have at most ${MAX_METADATA_VALUE_LENGTH} characters`)
    return [key, value]
  })
  return Object.fromEntries(pairs)
}
