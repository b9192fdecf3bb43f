// node-llama-cpp's decode rate of one stream without (`plain`) and with (`grammar`) people-schema.json, one JSON line:
// MODEL NUM_PROMPT NUM_OUTPUT THREADS MODE SEED. The grammar is made before; the sampler's settings are those of bench/grammar/stream-speed.ts.
import { readFileSync } from 'node:fs'
import { getLlama, LlamaGrammarEvaluationState } from 'node-llama-cpp'

const [modelPath, numPrompt, numOutput, numThreads, mode, seed] = process.argv.slice(2)
const [promptLength, outputLength, threads] = [numPrompt, numOutput, numThreads].map(Number)
const llama = await getLlama({ gpu: false, build: 'never', progressLogs: false, logLevel: 'error', maxThreads: threads })
const model = await llama.loadModel({ modelPath, gpuLayers: 0 })
const context = await model.createContext({
  contextSize: promptLength + outputLength + 24,
  batchSize: 512,
  threads: { ideal: threads, min: threads },
})
const sequence = context.getSequence()
const schema = JSON.parse(readFileSync(new URL('people-schema.json', import.meta.url), 'utf8'))
const grammar = mode === 'grammar' ? await llama.createGrammarForJsonSchema(schema) : null
const sampling = { temperature: 1, topK: 0, topP: 1, minP: 0, seed: Number(seed), repeatPenalty: false, yieldEogToken: true }

/** Tokens of one generation, and the time from the first to the last. */
async function decode(numTokens) {
  const prompt = Array.from({ length: promptLength }, (_, index) => 300 + ((index * 7919) % 1500))
  await sequence.clearHistory()
  await sequence.evaluateWithoutGeneratingNewTokens(prompt)
  const options = grammar === null ? sampling : { ...sampling, grammarEvaluationState: new LlamaGrammarEvaluationState({ model, grammar }) }
  const tokens = []
  let firstMs = 0
  for await (const token of sequence.evaluate([5], options)) {
    if (tokens.length === 0) firstMs = performance.now()
    tokens.push(token)
    if (tokens.length > numTokens) break
  }
  return { tokens, ms: performance.now() - firstMs }
}

await decode(3)
const { tokens, ms } = await decode(outputLength)
const numTokens = tokens.length - 1
console.log(JSON.stringify({ decodeTokensPerS: (numTokens / ms) * 1000, numTokens, numForced: 0, text: model.detokenize(tokens) }))
process.exit(0)
