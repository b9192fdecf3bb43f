// node-llama-cpp's greedy tokens of each prompt (token ids) up to its end, each with the two best logprobs, as one JSON line:
// greedy MODEL PROMPTS.json NUM_TOKENS.
import { readFileSync } from 'node:fs'
import { getLlama } from 'node-llama-cpp'

const [, modelPath, promptsPath, numTokensText] = process.argv.slice(2)
const threads = 2
const llama = await getLlama({ gpu: false, build: 'never', progressLogs: false, logLevel: 'error', maxThreads: threads })
const model = await llama.loadModel({ modelPath, gpuLayers: 0 })

async function greedy(prompts, numTokens) {
  const answers = []
  for (const prompt of prompts) {
    const context = await model.createContext({
      contextSize: prompt.length + numTokens + 1,
      batchSize: 512,
      threads,
      flashAttention: false,
      experimentalKvCacheKeyType: 'F32',
      experimentalKvCacheValueType: 'F32',
    })
    const sequence = context.getSequence()
    const steps = []
    let input = prompt.slice(0, -1).map((token) => [token, {}])
    let next = prompt.at(-1)
    while (steps.length < numTokens) {
      const results = await sequence.controlledEvaluate([
        ...input,
        [next, { generateNext: { token: true, probabilities: true, options: { temperature: 0 } } }],
      ])
      const { token, probabilities } = results.at(-1).next
      const best = [...probabilities.entries()].slice(0, 2).map(([id, probability]) => [id, Math.log(probability)])
      if (model.isEogToken(token)) break
      steps.push({ token, best })
      input = []
      next = token
    }
    answers.push(steps)
    await context.dispose()
  }
  return answers
}

console.log(JSON.stringify(await greedy(JSON.parse(readFileSync(promptsPath, 'utf8')), Number(numTokensText))))
process.exit(0)
