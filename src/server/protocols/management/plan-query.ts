/** `GET /inferd/v1/plan`: the query in, the plans out. */
import type { JsonRecord } from '#contract/generate'
import type { BreakEven, ModeCost, ModePlan } from '#contract/mode-plan'
import type { Principal } from '#contract/principal'
import type { UsageFilter } from '#contract/usage-record'
import { invalid } from '#server/fields'
import { readUsageQuery } from './usage-query.ts'

/** As of the usage report, but for its groups. */
export function readPlanQuery(query: URLSearchParams, principal: Principal): UsageFilter {
  if (query.has('group_by')) throw invalid('group_by', 'group_by is not known here: there is a plan for each model')
  return readUsageQuery(query, principal).filter
}

export function encodePlans(plans: readonly ModePlan[]): JsonRecord {
  return { object: 'list', data: plans.map(encodePlan) }
}

function encodePlan({ model, traffic, modes, cheapest, breakEvens, doubts }: ModePlan): JsonRecord {
  return {
    model,
    traffic: {
      from: new Date(traffic.fromMs).toISOString(),
      to: new Date(traffic.toMs).toISOString(),
      requests: traffic.numRequests,
      input_tokens: traffic.inputTokens,
      output_tokens: traffic.outputTokens,
      billed_ms: Math.round(traffic.billedMs),
      peak_input_tokens_per_minute: traffic.peakInputPerMinute,
      peak_output_tokens_per_minute: traffic.peakOutputPerMinute,
      patient_share: rounded(traffic.patientShare),
    },
    modes: modes.map(encodeMode),
    cheapest: cheapest === null ? null : encodeMode(cheapest),
    break_evens: breakEvens.map(encodeBreakEven),
    doubts,
  }
}

function encodeMode({ mode, commitment, usdPerMonth, missing, units, utilisation, spilledShare }: ModeCost): JsonRecord {
  return {
    mode,
    ...(commitment === 'none' ? {} : { commitment }),
    usd_per_month: usdPerMonth === null ? null : rounded(usdPerMonth),
    ...(missing === null ? {} : { missing }),
    ...(units === null ? {} : { units, utilisation: rounded(utilisation ?? 0), spilled_share: rounded(spilledShare ?? 0) }),
  }
}

function encodeBreakEven({ cheaperBelow, cheaperAbove, measure, at, measured }: BreakEven): JsonRecord {
  return {
    cheaper_below: cheaperBelow,
    cheaper_above: cheaperAbove,
    measure: measure.replaceAll('-', '_'),
    at: rounded(at),
    measured: rounded(measured),
  }
}

/** Estimates have few digits. */
function rounded(value: number): number {
  return Number(value.toPrecision(6))
}
