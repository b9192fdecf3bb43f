import { expect, test } from 'vitest'
import { comparisonText, type WireComparison } from './comparison-text.ts'

const FOUND: WireComparison = {
  endpoint: 'chat',
  from: '2026-12-01T00:00:00.000Z',
  to: '2026-12-02T00:00:00.000Z',
  baseline: { name: 'main@2', shadow: false, calls: 41_000, errors: 12, sampled: 20_000 },
  comparisons: [
    {
      candidate: { name: 'trial@2', shadow: false, calls: 4500, errors: 90, sampled: 4410 },
      metrics: [
        { metric: 'ttft', baseline: 120, candidate: 150, scale: 'ratio', estimate: 1.25, low: 1.2, high: 1.301, verdict: 'worse', calls_needed: 900 },
        {
          metric: 'error-rate',
          baseline: 0.0003,
          candidate: 0.02,
          scale: 'difference',
          estimate: 0.0197,
          low: 0.01,
          high: 0.03,
          verdict: 'worse',
          calls_needed: 9000,
        },
        {
          metric: 'cost',
          baseline: 0.001,
          candidate: 0.0009,
          scale: 'difference',
          estimate: -0.0001,
          low: -0.0003,
          high: 0.0001,
          verdict: 'no-difference-shown',
          calls_needed: 12_345,
        },
        {
          metric: 'tpot',
          baseline: 8.5,
          candidate: null,
          scale: 'ratio',
          estimate: null,
          low: null,
          high: null,
          verdict: 'too-little-data',
          calls_needed: null,
        },
      ],
    },
  ],
  confidence: 0.95,
  verdicts: 7,
}

test('a comparison says who, how much, how sure, and what is missing', () => {
  expect(comparisonText(FOUND)).toBe(
    [
      'chat, 2026-12-01T00:00 to 2026-12-02T00:00 UTC',
      'baseline main@2: 41,000 calls, 12 of them failed, times of the newest 20,000',
      '',
      'against it trial@2: 4,500 calls, 90 of them failed',
      '  first token          120 ms -> 150 ms         +25.0 % (+20.0 % to +30.1 %)       WORSE',
      '  errors               0.03 % -> 2.00 %         +1.97 % (+1.00 % to +3.00 %)       WORSE',
      '  cost of a call       $0.00100 -> $0.000900    -$0.000100 (-$0.000300 to +$0.000100) no difference shown; 12,345 calls a side would show 10 %',
      '  time per token       8.50 ms -> -                                                too little data',
      '',
      'Intervals are so wide that all 7 verdicts together are right 95 times in 100. Times are geometric means, but for p95.',
      '',
    ].join('\n'),
  )
})
