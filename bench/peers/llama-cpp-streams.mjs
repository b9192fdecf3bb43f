// Many requests at once on sequences of one node-llama-cpp context; a sequence that gets its next request keeps what the two have in common.
// Standard input: a LoadOrder of subject.ts with `contextPerSlot`, as JSON; prints a LoadResult as one JSON line.
import { readFileSync } from 'node:fs'
import { getLlama } from 'node-llama-cpp'

const { modelPath, numThreads, prompts, numOutput, numSlots, contextPerSlot } = JSON.parse(readFileSync(0, 'utf8'))
const llama = await getLlama({ gpu: false, build: 'never', progressLogs: false, logLevel: 'error', maxThreads: numThreads })
const model = await llama.loadModel({ modelPath, gpuLayers: 0 })
const context = await model.createContext({
  sequences: numSlots,
  contextSize: contextPerSlot,
  batchSize: 512,
  threads: { ideal: numThreads, min: numThreads },
})
const sequences = Array.from({ length: numSlots }, () => context.getSequence())

/** Times of the tokens, milliseconds. */
async function complete(sequence, prompt, numTokens) {
  await sequence.adaptStateToTokens(prompt, false)
  const times = []
  for await (const _ of sequence.evaluate(prompt.slice(sequence.nextTokenIndex), { temperature: 0, yieldEogToken: true })) {
    times.push(performance.now())
    if (times.length === numTokens) break
  }
  if (times.length !== numTokens) throw new Error(`${times.length} tokens instead of ${numTokens}`)
  return times
}

await complete(
  sequences[0],
  Array.from({ length: 32 }, (_, index) => 1900 + index),
  2,
)
const waiting = [...prompts]
const firstTimes = []
const startMs = performance.now()
await Promise.all(
  sequences.map(async (sequence) => {
    for (let prompt = waiting.shift(); prompt !== undefined; prompt = waiting.shift())
      firstTimes.push((await complete(sequence, prompt, numOutput))[0])
  }),
)
const result = {
  totalMs: performance.now() - startMs,
  numPromptTokens: prompts.reduce((sum, prompt) => sum + prompt.length, 0),
  numOutputTokens: prompts.length * numOutput,
  firstTokenMs: firstTimes.toSorted((a, b) => a - b)[firstTimes.length >> 1] - startMs,
}
console.log(JSON.stringify(result))
process.exit(0)
