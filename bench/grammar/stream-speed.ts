/**
 * Our decode rate of one stream without (`plain`) and with (`grammar`) bench/peers/people-schema.json: MODEL NUM_PROMPT NUM_OUTPUT THREADS MODE SEED.
 * Prints one JSON line. The grammar is compiled before; a prompt of its own each time: from the first text to the
 * end, less the tokens that were there with the first text. Forced tokens count.
 */
import { readFileSync } from 'node:fs'
import { GREEDY_SAMPLING, type JsonRecord, type OutputOptions, PLAIN_OUTPUT, PLAIN_REQUEST } from '#contract/generate'
import { generate } from '#engine/engine'
import { loadEngine } from '#engine/load-engine'
import type { GrammarSpeed } from '../peers/compare-grammar.ts'

const [modelPath = '', numPrompt = '16', numOutput = '64', numThreads = '2', mode = 'plain', seed = '1'] = process.argv.slice(2)
const promptLength = Number(numPrompt)
const outputLength = Number(numOutput)
const schema = JSON.parse(readFileSync(new URL('../peers/people-schema.json', import.meta.url), 'utf8')) as JsonRecord
const CONSTRAINED: OutputOptions = { ...PLAIN_OUTPUT, format: { kind: 'json-schema', schema, whitespace: 'flexible' } }
const output = mode === 'grammar' ? CONSTRAINED : PLAIN_OUTPUT

const engine = await loadEngine({
  modelPath,
  kernels: 'native',
  isa: null,
  contextLength: promptLength + outputLength + 8,
  kvCacheBytes: null,
  kvDType: 'f16',
  packedWeights: null,
  blockSize: 16,
  maxTokensPerStep: 512,
  maxSequences: 1,
  maxWaitingRequests: 4,
  numThreads: Number(numThreads),
})

let numRequests = 0

async function run(options: OutputOptions, maxTokens: number): Promise<GrammarSpeed> {
  const request = numRequests++
  const before = engine.stats()
  let firstMs = 0
  let numFirst = 0
  let text = ''
  for await (const event of generate(
    engine,
    {
      ...PLAIN_REQUEST,
      requestId: `bench-${request}`,
      input: { kind: 'tokens', tokenIds: Array.from({ length: promptLength }, (_, index) => 300 + ((index * 7919 + request * 104_729) % 1500)) },
      sampling: { ...GREEDY_SAMPLING, temperature: 1, seed: Number(seed) },
      maxTokens,
      output: options,
      ignoreEos: true,
    },
    new AbortController().signal,
  )) {
    if (event.type === 'text-delta') {
      if (firstMs === 0) {
        firstMs = performance.now()
        numFirst = engine.stats().completionTokens - before.completionTokens
      }
      text += event.text
    }
    if (event.type === 'response-end') {
      const numTokens = event.usage.completionTokens - numFirst
      const numForced = engine.stats().numForcedTokens - before.numForcedTokens
      return { decodeTokensPerS: (numTokens / (performance.now() - firstMs)) * 1000, numTokens, numForced, text }
    }
    if (event.type === 'response-error') throw new Error(event.error.message)
  }
  throw new Error('a stream without an end')
}

await run(output, 4)
const speed = await run(output, outputLength + 1)
await engine.close()
console.log(JSON.stringify(speed))
