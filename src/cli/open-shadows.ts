/** Copies of calls for models that are only watched, with what is written down of them: figures, and records that cost nobody anything. */
import type { Clock } from '#base/clock'
import type { OnlineCall } from '#contract/call'
import type { UsageRecord } from '#contract/usage-record'
import type { Ledger } from '#platform/metering/ledger'
import { DEFAULT_SHADOW_OPTIONS, ShadowCalls, type ShadowResult } from '#platform/routing/shadow-calls'
import type { Metrics } from '#telemetry/metrics'
import { ShadowMetrics } from '#telemetry/shadow-metrics'

export interface ShadowParts {
  readonly metrics: Metrics
  readonly ledger: Pick<Ledger, 'add' | 'hasRoom'>
  readonly maxLabelValues: number
  readonly clock: Clock
}

/** Key and team of the records: what a shadow takes is the operator's, and in nobody's sums. */
const SHADOW = 'inferd-shadow'

export function openShadows({ metrics, ledger, maxLabelValues, clock }: ShadowParts): ShadowCalls {
  const counts = new ShadowMetrics(metrics.registry, maxLabelValues)
  return new ShadowCalls({
    ...DEFAULT_SHADOW_OPTIONS,
    clock,
    onResult: (result, call) => {
      counts.onResult(result)
      const wasSeen = result.error === null || result.usage.promptTokens > 0
      if (wasSeen && ledger.hasRoom) ledger.add({ record: shadowRecord(result, call, clock.wallMs()), reservationId: null })
    },
    onDropped: (model) => counts.onDropped(model),
  })
}

function shadowRecord({ model, ttftMs, durationMs, usage, error }: ShadowResult, call: OnlineCall, wallMs: number): UsageRecord {
  return {
    requestId: call.requestId,
    wallMs,
    keyId: SHADOW,
    team: SHADOW,
    dialect: call.dialect,
    operation: call.operation,
    requestedModel: call.model,
    model,
    tier: call.report.tier,
    streamed: true,
    inputTokens: usage.promptTokens,
    cachedTokens: usage.cachedTokens,
    cacheWriteTokens: usage.cacheWriteTokens,
    outputTokens: usage.completionTokens,
    reasoningTokens: usage.reasoningTokens,
    responseCache: 'none',
    ttftMs,
    tpotMs: null,
    queueMs: null,
    durationMs,
    billedMs: 0,
    price: '',
    cost: 0n,
    error,
    metadata: { shadowOf: call.report.servedBy ?? '' },
  }
}
