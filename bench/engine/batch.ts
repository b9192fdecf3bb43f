/**
 * Total throughput of concurrent streams: MODEL [STREAMS NUM_PROMPT NUM_OUTPUT THREADS]. All arrive at once, prompts differ, so that no
 * prefix is shared.
 */
import path from 'node:path'
import { GREEDY_SAMPLING, PLAIN_REQUEST } from '#contract/generate'
import { generate } from '#engine/engine'
import { loadEngine } from '#engine/load-engine'
import { emit, recordOf } from '../record.ts'

const [modelPath = '', numStreams = '8', numPrompt = '128', numOutput = '128', numThreads = '2'] = process.argv.slice(2)
const streams = Number(numStreams)
const promptLength = Number(numPrompt)
const outputLength = Number(numOutput)

const engine = await loadEngine({
  modelPath,
  kernels: 'native',
  isa: null,
  contextLength: promptLength + outputLength + 8,
  kvCacheBytes: 4 * 2 ** 30,
  kvDType: 'f16',
  packedWeights: null,
  blockSize: 16,
  maxTokensPerStep: 512,
  maxSequences: streams,
  maxWaitingRequests: 1024,
  numThreads: Number(numThreads),
})

async function oneStream(stream: number): Promise<{ readonly firstMs: number; readonly numTokens: number }> {
  const tokenIds = Array.from({ length: promptLength }, (_, index) => 300 + ((index * 7919 + stream * 104_729) % 1500))
  let firstMs = 0
  let numTokens = 0
  const request = {
    ...PLAIN_REQUEST,
    requestId: `bench-${stream}`,
    input: { kind: 'tokens', tokenIds },
    sampling: { ...GREEDY_SAMPLING, seed: 1 },
    maxTokens: outputLength,
    ignoreEos: true,
    numTopLogprobs: 0,
    cacheSalt: `stream-${stream}`,
  } as const
  for await (const event of generate(engine, request, new AbortController().signal)) {
    if (event.type !== 'text-delta') continue
    if (numTokens++ === 0) firstMs = performance.now() - start
  }
  return { firstMs, numTokens }
}

const start = performance.now()
const results = await Promise.all(Array.from({ length: streams }, (_, stream) => oneStream(stream)))
const totalMs = performance.now() - start
await engine.close()

const outputTokens = results.reduce((sum, result) => sum + result.numTokens, 0)
const name = `${path.basename(modelPath)}, ${streams} streams of ${promptLength} + ${outputLength} tokens, ${numThreads} threads`
for (const [metric, unit, value] of [
  ['output', 'tokens/s', (outputTokens / totalMs) * 1000],
  ['prompt and output', 'tokens/s', ((outputTokens + streams * promptLength) / totalMs) * 1000],
  ['first token, median', 'ms', results.map((result) => result.firstMs).toSorted((a, b) => a - b)[streams >> 1]!],
] as const)
  emit(recordOf({ suite: 'batch', case: name, metric, unit }, [value]))
