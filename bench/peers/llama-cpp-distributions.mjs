// node-llama-cpp's distribution of the next token after every token of each sequence, on an F32 KV cache. Standard input:
// {modelPath, numThreads, sequences (token ids), outPath} as JSON; writes f32 log-probabilities (tokens of all sequences, vocabulary) to outPath and
// prints the size of the vocabulary.
import { readFileSync, writeFileSync } from 'node:fs'
import { getLlama } from 'node-llama-cpp'

const { modelPath, numThreads, sequences, outPath } = JSON.parse(readFileSync(0, 'utf8'))
const llama = await getLlama({ gpu: false, build: 'never', progressLogs: false, logLevel: 'error', maxThreads: numThreads })
const model = await llama.loadModel({ modelPath, gpuLayers: 0 })
/** Every token as the model has it: nothing is cut, nothing sharpened. */
const generateNext = { probabilities: true, options: { temperature: 1, topK: 0, topP: 1, minP: 0, seed: 1 } }

async function distributions(tokens) {
  const context = await model.createContext({
    contextSize: tokens.length + 8,
    batchSize: 512,
    threads: numThreads,
    flashAttention: false,
    experimentalKvCacheKeyType: 'F32',
    experimentalKvCacheValueType: 'F32',
  })
  const results = await context.getSequence().controlledEvaluate(tokens.map((token) => [token, { generateNext }]))
  await context.dispose()
  return results.map(({ next }) => next.probabilities)
}

const rows = []
for (const tokens of sequences) rows.push(...(await distributions(tokens)))
const vocabSize = rows[0].size
const logProbs = new Float32Array(rows.length * vocabSize)
for (const [index, probabilities] of rows.entries()) {
  if (probabilities.size !== vocabSize) throw new Error(`${probabilities.size} probabilities instead of ${vocabSize}`)
  for (const [token, probability] of probabilities) logProbs[index * vocabSize + token] = Math.log(Math.max(probability, 1e-38))
}
writeFileSync(outPath, logProbs)
console.log(JSON.stringify({ vocabSize }))
process.exit(0)
