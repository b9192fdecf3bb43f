import { expect, test } from 'vitest'
import { benchArguments, type BenchFlags } from './bench-arguments.ts'

/** As commander fills them in. */
const DEFAULTS: BenchFlags = {
  url: 'http://127.0.0.1:8484',
  arrivals: 'poisson',
  maxConcurrency: '1024',
  promptTokens: '256',
  outputTokens: '128',
  prefixTokens: '0',
  ignoreEos: true,
  stream: true,
  warmup: '3',
  timeout: '600',
  seed: '1',
}

const planOf = (flags: Partial<BenchFlags>) => benchArguments({ ...DEFAULTS, ...flags }).plan

test('without options three levels of a closed loop', () => {
  expect(planOf({})).toMatchObject({
    target: { endpoint: 'chat', isStreamed: true, extraBody: { ignore_eos: true }, timeoutMs: 600_000, maxConnections: 16 },
    loads: [1, 4, 16].map((concurrency) => ({ kind: 'closed', concurrency })),
    numRequests: null,
    durationMs: null,
    promptIds: null,
    objective: null,
  })
})

test('a rate is an open loop, beside a closed one where both are given', () => {
  expect(planOf({ rate: '0.5,inf', arrivals: 'constant' }).loads).toEqual([
    { kind: 'open', ratePerS: 0.5, process: 'constant' },
    { kind: 'open', ratePerS: Infinity, process: 'constant' },
  ])
  const both = planOf({ rate: '2', concurrency: '8', maxConcurrency: '64' })
  expect(both.loads.map(({ kind }) => kind)).toEqual(['closed', 'open'])
  expect(both.target.maxConnections).toBe(64)
})

test('limits of an answer by their names, those of vLLM too', () => {
  expect(planOf({ slo: 'ttft:500,tpot:50' }).objective).toEqual({ ttftMs: 500, tpotMs: 50, e2eMs: null })
  expect(planOf({ slo: 'e2el:3000.5', stream: false }).objective).toEqual({ ttftMs: null, tpotMs: null, e2eMs: 3000.5 })
})

test('ids go to completions; lengths are numbers or ranges; the body can be added to', () => {
  expect(planOf({ promptIds: '300-1799', promptTokens: '64-256', extraBody: '{"top_k":1}', ignoreEos: false })).toMatchObject({
    target: { endpoint: 'completions', extraBody: { top_k: 1 } },
    promptIds: { min: 300, max: 1799 },
    shape: { promptTokens: { min: 64, max: 256 }, outputTokens: { min: 128, max: 128 } },
  })
})

test.each<readonly [Partial<BenchFlags>, string]>([
  [{ url: 'ftp://x' }, "--url must begin with http:// or https://, not 'ftp://x'"],
  [{ url: 'http://a/?b' }, '--url must hold no user, no query and no fragment'],
  [{ concurrency: '0' }, "--concurrency must be a whole number from 1 to 16384, not '0'"],
  [{ concurrency: '1,,2' }, "--concurrency must be a whole number from 1 to 16384, not ''"],
  [{ rate: '0' }, "--rate must be a number above 0 and at most 100000, not '0'"],
  [{ rate: 'fast' }, "--rate must be a number above 0 and at most 100000, not 'fast'"],
  [{ concurrency: Array.from({ length: 33 }, () => '1').join(',') }, '--concurrency and --rate make 33 levels; at most 32 are measured in one run'],
  [{ requests: '200001' }, "--requests must be a whole number from 1 to 200000, not '200001'"],
  [{ duration: '-1' }, "--duration must be a number above 0 and at most 86400, not '-1'"],
  [{ promptTokens: '9-3' }, "--prompt-tokens must be a number or a range as 64-256, from 1 to 10000000, not '9-3'"],
  [{ outputTokens: '' }, "--output-tokens must be a number or a range as 64-256, from 1 to 10000000, not ''"],
  [{ promptIds: '1-9', endpoint: 'chat' }, '--prompt-ids is for --endpoint completions: chat messages are text'],
  [{ slo: 'ttft=5' }, "--slo must be limits in milliseconds as ttft:500,tpot:50,e2e:3000, not 'ttft=5'"],
  [{ slo: 'toString:5' }, "--slo must be limits in milliseconds as ttft:500,tpot:50,e2e:3000, not 'toString:5'"],
  [{ slo: 'ttft:5,ttft:6' }, '--slo names ttft twice'],
  [{ slo: 'ttft:no' }, "--slo ttft must be a number above 0 and at most 1000000000, not 'no'"],
  [{ slo: 'tpot:5', stream: false }, '--slo has tpot, which --no-stream does not measure'],
  [{ extraBody: '[1]' }, "--extra-body must be a JSON object, not '[1]'"],
  [{ extraBody: '{"stream":false}' }, "--extra-body must not have 'stream', which the measurement decides"],
  [{ seed: '1e3' }, "--seed must be a whole number from 0 to 4294967295, not '1e3'"],
  [{ timeout: '0' }, "--timeout must be a number above 0 and at most 86400, not '0'"],
])('%o is refused by its flag', (flags, message) => {
  expect(() => planOf(flags)).toThrow(expect.objectContaining({ code: 'invalid_parameter', message }) as Error)
})
