/**
 * Prefill and decode speed of one stream: MODEL NUM_PROMPT NUM_OUTPUT THREADS. Prints one JSON line. A fresh process and a fresh
 * prompt each time: no cache is warm but the page cache.
 */
import { GREEDY_SAMPLING, PLAIN_REQUEST } from '#contract/generate'
import { generate } from '#engine/engine'
import { loadEngine } from '#engine/load-engine'

const [modelPath = '', numPrompt = '512', numOutput = '64', numThreads = '2'] = process.argv.slice(2)
const promptLength = Number(numPrompt)
const outputLength = Number(numOutput)

const loadStart = performance.now()
const engine = await loadEngine({
  modelPath,
  kernels: 'native',
  isa: null,
  contextLength: Math.max(promptLength + outputLength + 8, 64),
  kvCacheBytes: null,
  kvDType: 'f16',
  blockSize: 16,
  maxTokensPerStep: 512,
  maxSequences: 1,
  maxWaitingRequests: 4,
  numThreads: Number(numThreads),
})
const loadMs = performance.now() - loadStart

const request = {
  ...PLAIN_REQUEST,
  requestId: 'bench',
  input: { kind: 'tokens', tokenIds: Array.from({ length: promptLength }, (_, index) => 300 + ((index * 7919) % 1500)) },
  sampling: { ...GREEDY_SAMPLING, seed: 1 },
  maxTokens: outputLength + 1,
  ignoreEos: true,
  numTopLogprobs: 0,
} as const

const start = performance.now()
const tokenTimes: number[] = []
for await (const event of generate(engine, request, new AbortController().signal)) if (event.type === 'text-delta') tokenTimes.push(performance.now())
await engine.close()

const prefillMs = tokenTimes[0]! - start
const decodeMs = tokenTimes.at(-1)! - tokenTimes[0]!
console.log(
  JSON.stringify({
    prefillTokensPerS: (promptLength / prefillMs) * 1000,
    decodeTokensPerS: ((tokenTimes.length - 1) / decodeMs) * 1000,
    loadMs,
    residentBytes: process.memoryUsage.rss(),
  }),
)
