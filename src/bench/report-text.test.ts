import { expect, test } from 'vitest'
import type { BenchReport, LevelReport } from './bench-report.ts'
import { distributionOf } from './distribution.ts'
import { figure, reportText } from './report-text.ts'
import { reportPage, reportSvg } from './report-page.ts'

const LEVEL: LevelReport = {
  load: { kind: 'closed', concurrency: 1 },
  isPartial: false,
  numAnswered: 4,
  numFailed: 1,
  numCancelled: 0,
  errors: [{ kind: 'http 429', count: 1, words: 'slow\ndown\u001b[31m' }],
  elapsedMs: 2000,
  numPromptTokens: 40,
  numOutputTokens: 20,
  isUsageTold: true,
  requestsPerS: 2,
  outputTokensPerS: 10,
  totalTokensPerS: 30,
  goodputPerS: 1.5,
  goodShare: 0.6,
  ttftMs: distributionOf([10, 20, 30, 40]),
  tpotMs: distributionOf([5]),
  itlMs: distributionOf([4, 6]),
  e2eMs: distributionOf([100, 200, 300, 400]),
  clientQueueMs: distributionOf([0, 0, 0, 0]),
}
const REPORT: BenchReport = {
  url: 'http://127.0.0.1:8484',
  model: 'chat',
  endpoint: 'chat',
  isStreamed: true,
  startedAt: '2026-12-01T00:00:00.000Z',
  seed: 7,
  shape: { promptTokens: { min: 10, max: 10 }, outputTokens: { min: 1, max: 5 }, prefixTokens: 100 },
  source: { kind: 'ids', range: { min: 1, max: 2 } },
  objective: { ttftMs: 500, tpotMs: 50, e2eMs: null },
  numWarmUps: 3,
  partialReason: null,
  levels: [LEVEL, { ...LEVEL, load: { kind: 'open', ratePerS: 2.5, process: 'poisson' }, isPartial: true, numCancelled: 2, errors: [] }],
}

test('the table says what was measured, how, and what failed', () => {
  expect(reportText({ ...REPORT, partialReason: 'stopped by SIGINT' }, { isExplained: false }))
    .toBe(`chat at http://127.0.0.1:8484 (chat), 2026-12-01T00:00:00.000Z
100 shared + 10 prompt and at most 1 to 5 output tokens, streamed, 3 requests of warm-up, seed 7
PARTIAL: stopped by SIGINT

load             answered  failed  requests/s  output tokens/s  total tokens/s  prompt  output  good/s    good
1 at a time             4       1           2               10              30      10       5     1.5  60.0 %
2.5/s (partial)         4       1           2               10              30      10       5     1.5  60.0 %

load             ms            mean  p50  p90   p95   p99  max
1 at a time      TTFT            25   25   37  38.5  39.7   40
                 TPOT             5    5    5     5     5    5
                 ITL              5    5  5.8   5.9  5.98    6
                 E2E            250  250  370   385   397  400
2.5/s (partial)  TTFT            25   25   37  38.5  39.7   40
                 TPOT             5    5    5     5     5    5
                 ITL              5    5  5.8   5.9  5.98    6
                 E2E            250  250  370   385   397  400
                 client queue     0    0    0     0     0    0

SLO: TTFT at most 500 ms, TPOT at most 50 ms

1 at a time: 1 x http 429, the first: slow down [31m
2.5/s: 2 taken back
`)
})

test('with the formulas when they are asked for', () => {
  expect(reportText(REPORT, { isExplained: true })).toContain('\nTPOT             (E2E - TTFT) / (output tokens - 1), one value per request')
})

test('whole answers have one latency, and a level without answers has dashes', () => {
  const empty = { ...LEVEL, numAnswered: 0, ttftMs: null, tpotMs: null, itlMs: null, e2eMs: null, goodputPerS: null, goodShare: null }
  const text = reportText({ ...REPORT, isStreamed: false, objective: null, levels: [empty] }, { isExplained: false })
  expect(text).toContain('\n1 at a time  E2E     -    -    -    -    -    -\n')
  expect(text).not.toMatch(/TTFT|SLO|good/)
})

test('figures have four digits at most', () => {
  expect([0, 0.12345, 1.23456, 12.3456, 123.456, 12_345.6, -0.25, Infinity].map(figure)).toEqual([
    '0',
    '0.123',
    '1.235',
    '12.35',
    '123.5',
    '12346',
    '-0.25',
    '-',
  ])
})

test('the page holds table, charts and formulas, and asks for nothing from anywhere', () => {
  const page = reportPage({ ...REPORT, model: '<b>', levels: [LEVEL, { ...LEVEL, load: { kind: 'closed', concurrency: 4 } }] })
  expect(page.match(/<svg /g)).toHaveLength(1)
  expect(page).toContain('<th class="word">load</th><th>answered</th>')
  expect(page).toContain('<h1>&lt;b&gt; at http://127.0.0.1:8484')
  expect(page).toContain('Time to first token (TTFT) by load, ms')
  expect(page).toContain('Whole answer (E2E), cumulative, %')
  expect(page).toContain('<dt>goodput</dt>')
  expect(page).not.toMatch(/<script|\ssrc=|\shref=|url\(|@import/)
})

test('charts by load are drawn where a kind of load has several levels', () => {
  expect(reportSvg(REPORT)).not.toContain('by load')
  const svg = reportSvg({ ...REPORT, levels: [LEVEL, { ...LEVEL, load: { kind: 'closed', concurrency: 4 } }] })
  expect(svg.match(/by load, /g)).toHaveLength(6)
  expect(svg.match(/cumulative, %/g)).toHaveLength(4)
  expect(svg).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" [^>]+>.*<\/svg>\n$/s)
})
