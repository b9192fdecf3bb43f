/** A record of the ledger for tests, of which they say what matters. */
import type { UsageRecord } from '#contract/usage-record'

const RECORD: UsageRecord = {
  requestId: 'r',
  wallMs: 1_764_547_200_000,
  keyId: 'k',
  team: 'red',
  dialect: 'openai',
  operation: 'chat',
  requestedModel: 'm',
  model: 'm',
  tier: 'default',
  streamed: false,
  inputTokens: 1,
  cachedTokens: 0,
  cacheWriteTokens: 0,
  outputTokens: 2,
  reasoningTokens: 0,
  responseCache: 'none',
  ttftMs: null,
  tpotMs: null,
  queueMs: 0,
  durationMs: 1,
  billedMs: 0,
  price: '',
  cost: 0n,
  error: null,
  metadata: {},
}

export function usageRecord(words: Partial<UsageRecord> = {}): UsageRecord {
  return { ...RECORD, ...words }
}
