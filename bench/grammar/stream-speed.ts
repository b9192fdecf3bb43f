/**
 * Our decode rate of one stream without (`plain`) and with (`grammar`) bench/peers/people-schema.json: MODEL NUM_PROMPT NUM_OUTPUT THREADS MODE SEED.
 * Prints one JSON line. The grammar is compiled before; a prompt of its own each time. The time of a request for one plain token is taken
 * off, so that forced tokens, which cost no step, are timed with the rest.
 */
import { readFileSync } from 'node:fs'
import { type JsonRecord, type OutputOptions, PLAIN_OUTPUT } from '#contract/generate'
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
  blockSize: 16,
  maxTokensPerStep: 512,
  maxSequences: 1,
  maxWaitingRequests: 4,
  numThreads: Number(numThreads),
})

let numRequests = 0

async function run(options: OutputOptions, maxTokens: number): Promise<{ readonly ms: number; readonly text: string; readonly numTokens: number }> {
  const request = numRequests++
  const start = performance.now()
  let text = ''
  for await (const event of generate(
    engine,
    {
      requestId: `bench-${request}`,
      input: { kind: 'tokens', tokenIds: Array.from({ length: promptLength }, (_, index) => 300 + ((index * 7919 + request * 104_729) % 1500)) },
      sampling: {
        temperature: 1,
        topK: 0,
        topP: 1,
        minP: 0,
        repetitionPenalty: 1,
        presencePenalty: 0,
        frequencyPenalty: 0,
        logitBias: [],
        seed: Number(seed),
      },
      maxTokens,
      minTokens: 0,
      output: options,
      stopStrings: [],
      stopTokenIds: [],
      ignoreEos: true,
      includeStopString: false,
      numTopLogprobs: null,
      numChoices: 1,
      echo: false,
      priority: 0,
      cacheSalt: '',
    },
    new AbortController().signal,
  )) {
    if (event.type === 'text-delta') text += event.text
    if (event.type === 'response-end') return { ms: performance.now() - start, text, numTokens: event.usage.completionTokens }
    if (event.type === 'response-error') throw new Error(event.error.message)
  }
  throw new Error('a stream without an end')
}

await run(output, 4)
const { ms: oneTokenMs } = await run(PLAIN_OUTPUT, 1)
const forcedBefore = engine.stats().numForcedTokens
const { ms, text, numTokens } = await run(output, outputLength + 1)
const numForced = engine.stats().numForcedTokens - forcedBefore
await engine.close()
console.log(
  JSON.stringify({
    decodeTokensPerS: ((numTokens - 1) / (ms - oneTokenMs)) * 1000,
    numTokens: numTokens - 1,
    numForced,
    text,
  } satisfies GrammarSpeed),
)
