/** The ledger's one record per request, whatever the dialect and whether it was streamed. */
import type { Picodollars, ServiceTier } from '#contract/call'
import type { ErrorCode } from '#contract/errors'

export interface UsageRecord {
  readonly requestId: string
  readonly wallMs: number
  readonly keyId: string
  readonly team: string
  readonly dialect: string
  /** provisioned_throughput: no call, but hours of it; its time is `durationMs`, and ends at `wallMs`. */
  readonly operation: 'chat' | 'text_completion' | 'embeddings' | 'provisioned_throughput'
  /** As the caller named it. */
  readonly requestedModel: string
  /** The model that answered; null when none did. */
  readonly model: string | null
  readonly tier: ServiceTier
  readonly streamed: boolean
  /** Of all prompt tokens: cached and written ones are subsets. */
  readonly inputTokens: number
  readonly cachedTokens: number
  readonly cacheWriteTokens: number
  readonly outputTokens: number
  readonly reasoningTokens: number
  readonly responseCache: 'none' | 'exact' | 'semantic'
  readonly ttftMs: number | null
  /** (last - first piece) / (output tokens - 1). */
  readonly tpotMs: number | null
  readonly queueMs: number | null
  readonly durationMs: number
  /** Its share of the time in which its model ran: what an hourly price is for. Without what it waited, also for a model that slept. */
  readonly billedMs: number
  /** Name of the price row that was applied; '' = free. */
  readonly price: string
  readonly cost: Picodollars
  /** null = answered. */
  readonly error: ErrorCode | null
  readonly metadata: Readonly<Record<string, string>>
}

export interface UsageFilter {
  readonly team: string | null
  readonly keyId: string | null
  readonly model: string | null
  /** Inclusive, epoch milliseconds. */
  readonly fromMs: number | null
  /** Exclusive. */
  readonly toMs: number | null
}

export interface UsageTotal {
  readonly group: Readonly<Partial<Record<'key' | 'team' | 'model' | 'day', string>>>
  readonly numRequests: number
  readonly numErrors: number
  readonly inputTokens: number
  readonly cachedTokens: number
  readonly cacheWriteTokens: number
  readonly outputTokens: number
  readonly reasoningTokens: number
  readonly billedMs: number
  readonly cost: Picodollars
}

/** Reports over the ledger, for the usage API and `inferd usage`. */
export interface UsageReports {
  totals(filter: UsageFilter, groupBy: readonly ('key' | 'team' | 'model' | 'day')[]): Promise<readonly UsageTotal[]>
}
