/** The shipped model calls tools, uses their results, thinks and writes JSON: exact answers of the second closed set, greedy, each under the grammar that its tools ask for. */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import type { ChatMessage, GenerateRequest, JsonRecord, ToolDefinition } from '#contract/generate'
import { generate, type Engine } from '#engine/engine'
import { greedyRequest, PATIENT_CLOCK, smallEngine } from './greedy.ts'

/** As the training text has it: messages and tools in OpenAI's form, the answer as the model writes it. */
interface Row {
  readonly task: string
  readonly messages: readonly WireMessage[]
  readonly tools?: readonly { readonly function: { readonly name: string; readonly description?: string; readonly parameters?: JsonRecord } }[]
  readonly answer: string
  readonly enable_thinking?: boolean
}

interface WireMessage {
  readonly role: ChatMessage['role']
  readonly content: string | null
  readonly tool_calls?: readonly { readonly id: string; readonly function: { readonly name: string; readonly arguments: string } }[]
  readonly tool_call_id?: string
}

interface Answer {
  readonly reasoning: string
  readonly text: string
  readonly calls: readonly { readonly name: string; readonly arguments: string }[]
}

const MODELS = path.resolve(import.meta.dirname, '../../../models')
/** Exact-match floor of each form: coarser formats may lose a little. */
const FLOORS = {
  'inferd-chat/inferd-chat-Q8_0.gguf': 0.85,
  'inferd-chat/inferd-chat-Q4_K_M.gguf': 0.8,
  'inferd-chat/inferd-chat-Q4_0.gguf': 0.7,
  'inferd-chat/model.safetensors': 0.85,
} as const
/** Fewer than may wait for their grammars to be compiled. */
const CONCURRENCY = 48
/** Every kind of task is done at least so often. */
const TASK_FLOOR = 0.4

const rows: readonly Row[] = readFileSync(path.join(MODELS, 'training/closed-set-tools.jsonl'), 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line))

function messageOf({ role, content, tool_calls: calls, tool_call_id: toolCallId }: WireMessage): ChatMessage {
  const text = content ?? ''
  if (role === 'tool') return { role, content: text, toolCallId: toolCallId! }
  if (role !== 'assistant') return { role, content: text }
  const toolCalls = (calls ?? []).map((call) => ({ id: call.id, ...call.function }))
  return { role, content: text, ...(toolCalls.length > 0 ? { toolCalls } : {}) }
}

function requestOf({ messages, tools, enable_thinking: thinks = false }: Row): GenerateRequest {
  const plain = greedyRequest([])
  const definitions = (tools ?? []).map(({ function: { name, description, parameters } }): ToolDefinition => ({
    name,
    description: description ?? null,
    parameters: parameters ?? null,
    strict: false,
  }))
  return {
    ...plain,
    input: { kind: 'messages', messages: messages.map(messageOf) },
    output: {
      format: { kind: 'text' },
      tools: definitions.length === 0 ? null : { definitions, choice: 'auto', parallel: true },
      reasoning: { enabled: thinks ? true : null, effort: null, budgetTokens: null },
    },
    ignoreEos: false,
    maxTokens: 256,
    numTopLogprobs: null,
  }
}

/** In the order of the rows; each one that ends lets the next one in. */
async function askAll(engine: Engine): Promise<readonly Answer[]> {
  const answers: Answer[] = []
  let next = 0
  const takeTurns = async (): Promise<void> => {
    while (next < rows.length) {
      const index = next++
      answers[index] = await ask(engine, rows[index]!)
    }
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, takeTurns))
  return answers
}

async function ask(engine: Engine, row: Row): Promise<Answer> {
  let [reasoning, text] = ['', '']
  const calls: { name: string; arguments: string }[] = []
  for await (const event of generate(engine, requestOf(row), new AbortController().signal)) {
    if (event.type === 'reasoning-delta') reasoning += event.text
    if (event.type === 'text-delta') text += event.text
    if (event.type === 'tool-call-start') calls.push({ name: event.name, arguments: '' })
    if (event.type === 'tool-call-delta') calls.at(-1)!.arguments += event.argumentsText
    if (event.type === 'response-error') text += `<${event.error.message}>`
  }
  return { reasoning: reasoning.trim(), text: text.trim(), calls }
}

/** The answer of the training text, taken apart. */
function expectedOf({ answer, enable_thinking: thinks = false }: Row): Answer {
  const [reasoning, rest] = thinks ? (answer.split('</think>') as [string, string]) : ['', answer]
  const calls = [...rest.matchAll(/<tool_call>\n\{"name": "([^"]+)", "arguments": (.*)\}\n<\/tool_call>/g)]
  return {
    reasoning: reasoning.trim(),
    text: calls.length > 0 ? '' : rest.trim(),
    calls: calls.map(([, name, given]) => ({ name: name!, arguments: given! })),
  }
}

for (const [file, floor] of Object.entries(FLOORS)) {
  test(`${file} gives at least ${floor * 100} % of the held-out calls, results, thoughts and JSON exactly`, async () => {
    const engine = await smallEngine(path.join(MODELS, file), { contextLength: 2048 }, { clock: PATIENT_CLOCK })
    const answers = await askAll(engine)
    await engine.close()
    const tasks = new Map<string, { right: number; asked: number }>()
    const wrong: string[] = []
    for (const [index, row] of rows.entries()) {
      const [given, expected] = [JSON.stringify(answers[index]), JSON.stringify(expectedOf(row))]
      const task = tasks.get(row.task) ?? { right: 0, asked: 0 }
      tasks.set(row.task, { right: task.right + (given === expected ? 1 : 0), asked: task.asked + 1 })
      if (given !== expected) wrong.push(`${row.task}: ${given} instead of ${expected}`)
    }
    const report = `${[...tasks].map(([name, { right, asked }]) => `${name} ${right}/${asked}`).join(', ')}\n${wrong.join('\n')}`
    expect(1 - wrong.length / rows.length, report).toBeGreaterThanOrEqual(floor)
    const weak = [...tasks].filter(([, { right, asked }]) => right / asked < TASK_FLOOR)
    expect(weak, report).toEqual([])
  })
}
