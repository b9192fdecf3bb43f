import { expect, test } from 'vitest'
import { planText, type WirePlan } from './plan-text.ts'

const PLAN: WirePlan = {
  model: 'chat',
  traffic: {
    from: '2026-12-01T00:00:00.000Z',
    to: '2026-12-02T00:00:00.000Z',
    requests: 1200,
    input_tokens: 1_500_000,
    output_tokens: 90_000,
    billed_ms: 60_000,
    peak_input_tokens_per_minute: 40_000,
    peak_output_tokens_per_minute: 900,
    patient_share: 0.25,
  },
  modes: [
    { mode: 'serverless', usd_per_month: 3.456 },
    { mode: 'provisioned', commitment: 'one-month', usd_per_month: 146, units: 1, utilisation: 0.042, spilled_share: 0.5 },
    { mode: 'on-demand', usd_per_month: null, missing: 'prices.chat.input' },
  ],
  cheapest: { mode: 'serverless', usd_per_month: 3.456 },
  break_evens: [
    { cheaper_below: 'on-demand', cheaper_above: 'provisioned', measure: 'tokens_per_month', at: 2_000_000.4, measured: 1000 },
    { cheaper_below: 'serverless', cheaper_above: 'on-demand', measure: 'ms_per_request', at: 12.34, measured: 50 },
  ],
  doubts: ['only 3 requests were measured'],
}

test('a plan is read from the top: what was, what it would cost, where it turns, what to doubt', () => {
  expect(planText([PLAN])).toBe(`chat: 1,200 requests, 1,500,000 input and 90,000 output tokens, from 2026-12-01T00:00 to 2026-12-02T00:00 UTC
  fullest minute 40,000 input, 900 output tokens; 25 % of the tokens could wait
  > serverless                          $3.46 a month
    provisioned, one-month            $146.00 a month  1 unit, 4.2 % used, 50 % of the tokens spill over
    on-demand                  no price: prices.chat.input is not set
  on-demand is cheaper than one unit below 2,000,000 tokens a month; it was 1,000
  serverless is cheaper than on-demand below 12.3 ms of computing a request; it was 50.0
  careful: only 3 requests were measured
`)
  expect(planText([])).toBe('no model had traffic in that time\n')
})
