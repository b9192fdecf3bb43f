// node-llama-cpp as a peer. Commands, each printing one JSON line:
//   greedy MODEL PROMPTS.json NUM_TOKENS        greedy tokens of each prompt (token ids) up to its end, each with the two best logprobs
//   speed  MODEL NUM_PROMPT NUM_OUTPUT THREADS  prefill and decode rates on fixed pseudo-random tokens
import { readFileSync } from 'node:fs'
import { getLlama } from 'node-llama-cpp'

const [command, modelPath, ...rest] = process.argv.slice(2)
const threads = Number(rest[2] ?? 2)
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

async function speed(numPrompt, numOutput) {
  const context = await model.createContext({ contextSize: numPrompt + numOutput + 8, batchSize: 512, threads: { ideal: threads, min: threads } })
  const sequence = context.getSequence()
  const prompt = Array.from({ length: numPrompt }, (_, index) => 300 + ((index * 7919) % 1500))
  const prefillStart = performance.now()
  await sequence.evaluateWithoutGeneratingNewTokens(prompt)
  const prefillMs = performance.now() - prefillStart
  let numTokens = 0
  let firstMs = 0
  const start = performance.now()
  for await (const _ of sequence.evaluate([5], { temperature: 0, yieldEogToken: true })) {
    if (numTokens++ === 0) firstMs = performance.now()
    if (numTokens > numOutput) break
  }
  const decodeMs = performance.now() - firstMs
  await context.dispose()
  return { prefillTokensPerS: (numPrompt / prefillMs) * 1000, decodeTokensPerS: ((numTokens - 1) / decodeMs) * 1000, startMs: firstMs - start }
}

const answer =
  command === 'greedy' ? await greedy(JSON.parse(readFileSync(rest[0], 'utf8')), Number(rest[1])) : await speed(Number(rest[0]), Number(rest[1]))
console.log(JSON.stringify(answer))
process.exit(0)
