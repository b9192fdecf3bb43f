/** The terms of a call that no dialect has words for, as headers that every dialect takes. docs/reference/http.md is the user's copy. */
import { type CallOptions, DEFAULT_CALL_OPTIONS } from '#contract/call'
import { invalid } from '#server/fields'
import type { Incoming } from '#server/operation'

const TIERS = ['reserved', 'priority', 'default', 'flex'] as const
const STRATEGIES = ['none', 'oldest-turns', 'middle-out'] as const
const CACHE = /^(off|exact|semantic)(?:;\s*max-age=(\d{1,9}))?$/
const GUARDRAIL = /^([\w:/.-]{1,512}?)(?:;\s*version=(DRAFT|[1-9]\d{0,7}))?(;\s*trace)?(;\s*async)?$/
const MAX_METADATA_LENGTH = 4096
const MAX_METADATA_ENTRIES = 16

/** Throws invalid_parameter with the header's name. */
export function readCallOptions(headers: Incoming['headers']): CallOptions {
  return {
    tier: wordOf(headers, 'x-inferd-tier', TIERS) ?? DEFAULT_CALL_OPTIONS.tier,
    truncation: wordOf(headers, 'x-inferd-truncation', STRATEGIES) ?? DEFAULT_CALL_OPTIONS.truncation,
    guardrail: readGuardrail(headers['x-inferd-guardrail']),
    responseCache: readCache(headers['x-inferd-cache']),
    metadata: readMetadata(headers['x-inferd-metadata']),
  }
}

function wordOf<Word extends string>(headers: Incoming['headers'], name: string, words: readonly Word[]): Word | null {
  const value = headers[name]
  if (value === undefined) return null
  const word = words.find((each) => each === value.trim())
  if (word === undefined) throw invalid(name, `${name} must be one of ${words.join(', ')}`)
  return word
}

function readGuardrail(value: string | undefined): CallOptions['guardrail'] {
  if (value === undefined) return null
  const [, guardrail, version = 'DRAFT', trace, async] = GUARDRAIL.exec(value.trim()) ?? []
  if (guardrail === undefined) throw invalid('x-inferd-guardrail', 'x-inferd-guardrail must be ID[;version=N][;trace][;async]')
  return { guardrail, version, trace: trace !== undefined, streaming: async === undefined ? 'sync' : 'async', content: null }
}

function readCache(value: string | undefined): CallOptions['responseCache'] {
  if (value === undefined) return null
  const [, mode, maxAge] = CACHE.exec(value.trim()) ?? []
  if (mode !== 'off' && mode !== 'exact' && mode !== 'semantic') {
    throw invalid('x-inferd-cache', 'x-inferd-cache must be off, exact or semantic, with ;max-age=SECONDS behind it if wanted')
  }
  return { mode, maxAgeS: maxAge === undefined ? null : Number(maxAge) }
}

/** `key=value` pairs, as in a query. */
function readMetadata(value: string | undefined): Readonly<Record<string, string>> {
  if (value === undefined) return {}
  const pairs = [...new URLSearchParams(value)]
  if (value.length > MAX_METADATA_LENGTH || pairs.length > MAX_METADATA_ENTRIES) {
    throw invalid('x-inferd-metadata', `x-inferd-metadata must have at most ${MAX_METADATA_ENTRIES} pairs and ${MAX_METADATA_LENGTH} characters`)
  }
  return Object.fromEntries(pairs)
}
