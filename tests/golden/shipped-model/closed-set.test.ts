/** The shipped model truly answers: at least 95 % exact match on the held-out questions of its closed set, greedy, Q8_0. */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import type { ChatMessage } from '#contract/generate'
import { generate, type Engine } from '#engine/engine'
import { greedyRequest, smallEngine } from './greedy.ts'

interface Question {
  readonly task: string
  readonly messages: readonly ChatMessage[]
  readonly answer: string
}

const MODELS = path.resolve(import.meta.dirname, '../../../models')

/** Exact-match floor of each form: coarser formats may lose a little. */
const FLOORS = {
  'inferd-chat/inferd-chat-Q8_0.gguf': 0.95,
  'inferd-chat/inferd-chat-Q4_K_M.gguf': 0.9,
  'inferd-chat/inferd-chat-Q4_0.gguf': 0.8,
  'inferd-chat/model.safetensors': 0.95,
} as const

const questions: readonly Question[] = readFileSync(path.join(MODELS, 'training/closed-set.jsonl'), 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line))

async function ask(engine: Engine, { messages }: Question): Promise<string> {
  let text = ''
  const request = greedyRequest([], { input: { kind: 'messages', messages }, ignoreEos: false, maxTokens: 160, numTopLogprobs: null })
  for await (const event of generate(engine, request, new AbortController().signal)) if (event.type === 'text-delta') text += event.text
  return text
}

for (const [file, floor] of Object.entries(FLOORS)) {
  test(`${file} answers at least ${floor * 100} % of the held-out questions exactly`, async () => {
    const engine = await smallEngine(path.join(MODELS, file))
    const answers = await Promise.all(questions.map((question) => ask(engine, question)))
    await engine.close()
    const wrong = questions.flatMap(({ task, answer }, index) =>
      answers[index] === answer ? [] : [`${task}: '${answers[index]}' instead of '${answer}'`],
    )
    const share = 1 - wrong.length / questions.length
    expect(share, `${(share * 100).toFixed(1)} % right\n${wrong.join('\n')}`).toBeGreaterThanOrEqual(floor)
  })
}
