/** Tier, latency, labels and guardrail of a call, as Converse has them in its body and InvokeModel in its headers. */
import type { CallOptions, GuardrailChoice, ServiceTier } from '#contract/call'
import type { GuardContent } from '#contract/guardrail'
import { checkItemCount, type Fields, invalid, unsupported } from '#server/fields'

const TIERS = ['priority', 'default', 'flex', 'reserved'] as const
const LATENCIES = ['standard', 'optimized'] as const
const GUARDRAIL_ID = /^(?:[\w-]{1,128}|arn:aws[\w-]*:bedrock:[a-z0-9-]{1,20}:\d{12}:guardrail\/[\w-]{1,128})$/
const GUARDRAIL_VERSION = /^(?:DRAFT|[1-9]\d{0,7})$/
const LABEL = /^[a-zA-Z0-9\s:_@$#=/+,.-]*$/
const MAX_LABELS = 16
const MAX_LABEL_LENGTH = 256

export function tierOf(word: string, path: string): ServiceTier {
  const tier = TIERS.find((each) => each === word)
  if (tier === undefined) throw invalid(path, `${path} must be one of ${TIERS.join(', ')}`)
  return tier
}

/** As the service refuses it for models that have no second form. */
export function checkLatency(word: string, path: string): void {
  if (!LATENCIES.some((each) => each === word)) throw invalid(path, `${path} must be one of ${LATENCIES.join(', ')}`)
  if (word === 'optimized') throw unsupported(path, `${path}: this model has no latency-optimized form; use standard, or the priority tier`)
}

export interface GuardrailWords {
  readonly identifier: string | null
  readonly version: string | null
  /** In lower case. */
  readonly trace: string | null
  readonly streaming: 'sync' | 'async' | null
  readonly content: readonly GuardContent[] | null
}

/** `paths`: the caller's names of identifier and version. Empty ones are as absent ones. */
export function guardrailOf(words: GuardrailWords, paths: { readonly identifier: string; readonly version: string }): GuardrailChoice | null {
  const identifier = words.identifier === '' ? null : words.identifier
  const version = words.version === '' ? null : words.version
  if (identifier === null && version === null) return null
  if (identifier === null) throw invalid(paths.identifier, `${paths.identifier} is missing: a guardrail is named by identifier and version`)
  if (version === null) throw invalid(paths.version, `${paths.version} is missing: a guardrail is named by identifier and version`)
  checkGuardrailId(identifier, paths.identifier)
  checkGuardrailVersion(version, paths.version)
  const { trace, streaming, content } = words
  return { guardrail: identifier, version, trace: trace === 'enabled' || trace === 'enabled_full', streaming: streaming ?? 'sync', content }
}

export function checkGuardrailId(identifier: string, path: string): void {
  if (!GUARDRAIL_ID.test(identifier)) throw invalid(path, `${path} must be the name, the id or the ARN of a guardrail`)
}

export function checkGuardrailVersion(version: string, path: string): void {
  if (!GUARDRAIL_VERSION.test(version)) throw invalid(path, `${path} must be DRAFT or a number from 1`)
}

export function readLabels(fields: Fields, key: string): CallOptions['metadata'] {
  const labels = fields.nested(key)
  if (labels === null) return {}
  const path = fields.pathOf(key)
  const rows = Object.entries(labels)
  checkItemCount(rows, path, { minItems: 1, maxItems: MAX_LABELS })
  return Object.fromEntries(
    rows.map(([name, value]) => {
      const isSound =
        typeof value === 'string' && name.length > 0 && [name, value].every((text) => text.length <= MAX_LABEL_LENGTH && LABEL.test(text))
      if (!isSound)
        throw invalid(path, `${path}: keys and values must be texts of at most ${MAX_LABEL_LENGTH} letters, digits, spaces and :_@$#=/+,-.`)
      return [name, value]
    }),
  )
}
