/**
 * Prefill and decode speed of one stream: MODEL [PROMPT[,PROMPT] [OUTPUT [THREADS [DEPTH[,DEPTH]]]]]. Prefill of each PROMPT, decode of OUTPUT
 * tokens after each DEPTH of context (the first PROMPT where none is given). Prints one JSON line. A fresh process, and prompts that share
 * nothing: no cache is warm but the page cache; a few tokens go before what is timed.
 */
import path from 'node:path'
import { GREEDY_SAMPLING, PLAIN_REQUEST } from '#contract/generate'
import { generate } from '#engine/engine'
import { loadEngine } from '#engine/load-engine'
import { keep, recordOf } from '../record.ts'

const [modelPath = '', prompts = '512', output = '64', threads = '2', depthList = prompts.split(',')[0]!] = process.argv.slice(2)
const [prefillLengths, depths] = [prompts, depthList].map((list) => list.split(',').map(Number)) as [number[], number[]]
const numOutput = Number(output)
const lengths = [...new Set([...prefillLengths, ...depths])].toSorted((a, b) => a - b)

const loadStart = performance.now()
const engine = await loadEngine({
  modelPath,
  kernels: 'native',
  isa: null,
  contextLength: Math.max(lengths.at(-1)! + numOutput + 8, 64),
  kvCacheBytes: null,
  kvDType: 'f16',
  packedWeights: null,
  blockSize: 16,
  maxTokensPerStep: 512,
  maxSequences: 1,
  maxWaitingRequests: 4,
  numThreads: Number(threads),
})
const loadMs = performance.now() - loadStart

/** Tokens a second of prefill, and of the decode after it where more than one token is asked for. */
async function measure(promptLength: number, maxTokens: number): Promise<{ readonly prefill: number; readonly decode: number }> {
  const tokenIds = Array.from({ length: promptLength }, (_, index) => 300 + ((index * 7919 + promptLength) % 1500))
  const request = {
    ...PLAIN_REQUEST,
    requestId: 'bench',
    input: { kind: 'tokens', tokenIds },
    sampling: { ...GREEDY_SAMPLING, seed: 1 },
    maxTokens,
    ignoreEos: true,
    numTopLogprobs: 0,
  } as const
  const start = performance.now()
  let [firstMs, lastMs, numTokens] = [0, 0, 0]
  for await (const event of generate(engine, request, new AbortController().signal)) {
    if (event.type === 'response-end') numTokens = event.usage.completionTokens
    if (event.type !== 'text-delta') continue
    lastMs = performance.now()
    if (firstMs === 0) firstMs = lastMs
  }
  if (numTokens !== maxTokens) throw new Error(`${numTokens} tokens instead of ${maxTokens}`)
  return { prefill: (promptLength * 1000) / (firstMs - start), decode: ((numTokens - 1) * 1000) / (lastMs - firstMs) }
}

await measure(32, 2)
const prefill: Record<number, number> = {}
const decode: Record<number, number> = {}
for (const length of lengths) {
  const isDepth = depths.includes(length)
  const rates = await measure(length, isDepth ? numOutput + 1 : 1)
  if (prefillLengths.includes(length)) prefill[length] = rates.prefill
  if (isDepth) decode[length] = rates.decode
}
await engine.close()

for (const [phase, rates] of Object.entries({ prefill, 'decode after': decode })) {
  for (const [length, rate] of Object.entries(rates)) {
    const name = `${path.basename(modelPath)} ${phase} ${length} tokens, ${threads} threads`
    keep(recordOf({ suite: 'speed', case: name, metric: 'rate', unit: 'tokens/s' }, [rate]))
  }
}
console.log(
  JSON.stringify({
    prefillTokensPerS: prefill[prefillLengths[0]!],
    decodeTokensPerS: decode[depths[0]!],
    prefill,
    decode,
    loadMs,
    residentBytes: process.memoryUsage.rss(),
  }),
)
