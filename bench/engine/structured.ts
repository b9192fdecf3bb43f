/**
 * Throughput with a JSON schema on every stream against the same streams without: MODEL [STREAMS PROMPT OUTPUT THREADS ROUNDS]. Rounds
 * alternate in one process; prompts and salts are new each time, so that no prefix is warm; the grammar is compiled before. Prints one JSON
 * line per round. Forced tokens count as output: they are what the caller gets.
 */
import path from 'node:path'
import { GREEDY_SAMPLING, type OutputOptions, PLAIN_OUTPUT, PLAIN_REQUEST } from '#contract/generate'
import { generate } from '#engine/engine'
import { loadEngine } from '#engine/load-engine'
import { emit, recordOf } from '../record.ts'

const [modelPath = '', numStreams = '32', numPrompt = '64', numOutput = '128', numThreads = '2', numRounds = '5'] = process.argv.slice(2)
const streams = Number(numStreams)
const promptLength = Number(numPrompt)
const outputLength = Number(numOutput)

/** Never complete within the output: what is compared is as long with it as without. */
const SCHEMA = {
  type: 'array',
  minItems: 1000,
  items: {
    type: 'object',
    properties: {
      name: { type: 'string', minLength: 20, maxLength: 60 },
      age: { type: 'integer', minimum: 0, maximum: 130 },
      email: { type: 'string' },
      role: { enum: ['admin', 'editor', 'reader'] },
      tags: { type: 'array', items: { type: 'string' }, maxItems: 5 },
    },
    required: ['name', 'age', 'email', 'role', 'tags'],
    additionalProperties: false,
  },
} as const

const CONSTRAINED: OutputOptions = { ...PLAIN_OUTPUT, format: { kind: 'json-schema', schema: SCHEMA, whitespace: 'flexible' } }

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

let numRequests = 0

/** Output tokens of one stream. */
async function oneStream(output: OutputOptions, maxTokens: number, salt: string): Promise<number> {
  const request = numRequests++
  const tokenIds = Array.from({ length: promptLength }, (_, index) => 300 + ((index * 7919 + request * 104_729) % 1500))
  for await (const event of generate(
    engine,
    {
      ...PLAIN_REQUEST,
      requestId: `bench-${request}`,
      input: { kind: 'tokens', tokenIds },
      sampling: { ...GREEDY_SAMPLING, temperature: 1, seed: request },
      maxTokens,
      output,
      ignoreEos: true,
      // One tenant: its grammar is compiled once. Prompts differ from their first token on.
      cacheSalt: salt,
    },
    new AbortController().signal,
  )) {
    if (event.type === 'response-end') return event.usage.completionTokens
    if (event.type === 'response-error') throw new Error(event.error.message)
  }
  throw new Error('a stream without an end')
}

/** Output tokens a second of all streams together, from the first request to the last token. */
async function throughput(output: OutputOptions): Promise<number> {
  const start = performance.now()
  const counts = await Promise.all(Array.from({ length: streams }, () => oneStream(output, outputLength, 'bench')))
  return (counts.reduce((sum, count) => sum + count, 0) / (performance.now() - start)) * 1000
}

const compileStart = performance.now()
await oneStream(CONSTRAINED, 1, 'bench')
const firstRequestMs = performance.now() - compileStart

const rounds: { readonly plain: number; readonly constrained: number; readonly ratio: number }[] = []
for (let round = 0; round < Number(numRounds); round++) {
  const before = engine.stats()
  const plain = await throughput(PLAIN_OUTPUT)
  const constrained = await throughput(CONSTRAINED)
  const after = engine.stats()
  const numMasks = after.numMasks - before.numMasks
  const maskUs = ((after.maskMsSum - before.maskMsSum) / numMasks) * 1000
  const forced = after.numForcedTokens - before.numForcedTokens
  rounds.push({ plain, constrained, ratio: constrained / plain })
  console.log(JSON.stringify({ round, plain, constrained, ratio: constrained / plain, numMasks, maskUs, forced }))
}
await engine.close()
const name = `${path.basename(modelPath)}, ${streams} streams of ${promptLength} + ${outputLength} tokens, ${numThreads} threads`
for (const [metric, unit, values] of [
  ['without a schema', 'tokens/s', rounds.map(({ plain }) => plain)],
  ['with the schema', 'tokens/s', rounds.map(({ constrained }) => constrained)],
  ['with / without', '', rounds.map(({ ratio }) => ratio)],
  ['first request with a new schema', 'ms', [firstRequestMs]],
] as const)
  emit(recordOf({ suite: 'structured', case: name, metric, unit }, values))
