// node-llama-cpp's prefill and decode rates of one stream. Standard input: a SpeedOrder of subject.ts as JSON; prints a Speed as one JSON line.
import { readFileSync } from 'node:fs'
import { getLlama } from 'node-llama-cpp'

const { modelPath, numThreads, prefillLengths, depths, numOutput } = JSON.parse(readFileSync(0, 'utf8'))
const llama = await getLlama({ gpu: false, build: 'never', progressLogs: false, logLevel: 'error', maxThreads: numThreads })
const model = await llama.loadModel({ modelPath, gpuLayers: 0 })
const lengths = [...new Set([...prefillLengths, ...depths])].toSorted((a, b) => a - b)
const context = await model.createContext({
  contextSize: lengths.at(-1) + numOutput + 8,
  batchSize: 512,
  threads: { ideal: numThreads, min: numThreads },
})
const sequence = context.getSequence()

/** Tokens a second of prefill and, where asked for, of the decode after it. */
async function measure(length, numDecoded) {
  const prompt = Array.from({ length }, (_, index) => 300 + ((index * 7919 + length) % 1500))
  await sequence.clearHistory()
  const startMs = performance.now()
  await sequence.evaluateWithoutGeneratingNewTokens(prompt)
  const prefill = (length * 1000) / (performance.now() - startMs)
  let numTokens = 0
  let firstMs = 0
  if (numDecoded > 0)
    for await (const _ of sequence.evaluate([5], { temperature: 0, yieldEogToken: true })) {
      if (numTokens++ === 0) firstMs = performance.now()
      if (numTokens > numDecoded) break
    }
  return { prefill, decode: ((numTokens - 1) * 1000) / (performance.now() - firstMs), numDecoded: numTokens - 1 }
}

await measure(32, 2)
const speed = { prefill: {}, decode: {} }
for (const length of lengths) {
  const isDepth = depths.includes(length)
  const { prefill, decode, numDecoded } = await measure(length, isDepth ? numOutput : 0)
  if (isDepth && numDecoded !== numOutput) throw new Error(`${numDecoded} tokens instead of ${numOutput}`)
  if (prefillLengths.includes(length)) speed.prefill[length] = prefill
  if (isDepth) speed.decode[length] = decode
}
console.log(JSON.stringify(speed))
process.exit(0)
