/** `inferd run MODEL "prompt"`: one answer on the terminal, streamed, with its speed. The engine runs in this process. */
import { addAbortSignal } from 'node:stream'
import { text as readAll } from 'node:stream/consumers'
import { systemClock } from '#base/clock'
import { randomId } from '#base/random'
import type { EngineConfig } from '#config/schema'
import { fromErrorRecord, InferdError } from '#contract/errors'
import { type GenerateEvent, type GenerateRequest, GREEDY_SAMPLING, PLAIN_REQUEST, type PromptInput, type Usage } from '#contract/generate'
import { generate, type Engine } from '#engine/engine'
import { loadEngine } from '#engine/load-engine'
import { engineOptions } from './engine-options.ts'
import { parseModelArgument } from './model-argument.ts'
import { ProgressBar } from './progress-bar.ts'

export interface RunArguments {
  readonly model: string
  /** null = read from standard input. */
  readonly prompt: string | null
  readonly system: string | null
  /** Send the prompt as it is, without the chat template. */
  readonly raw: boolean
  readonly maxTokens: number | null
  readonly temperature: number
  readonly seed: number | null
}

export async function run(args: RunArguments, config: EngineConfig, signal: AbortSignal): Promise<void> {
  const model = parseModelArgument(args.model, 'model')
  const prompt = args.prompt ?? (await readPrompt(signal))
  if (prompt === '') throw new InferdError('invalid_parameter', 'the prompt is empty', { param: 'prompt' })
  const bar = new ProgressBar(`loading ${model.name}`)
  const engine = await loadEngine(engineOptions(model.path, config), { onProgress: (loaded, total) => bar.update(loaded, total), signal })
  bar.end()
  try {
    await streamAnswer(engine, buildRequest(engine, args, prompt), signal)
  } finally {
    await engine.close()
  }
}

async function readPrompt(signal: AbortSignal): Promise<string> {
  const prompt = process.stdin.isTTY ? '' : (await readInput(signal)).trimEnd()
  if (prompt === '') throw new InferdError('invalid_parameter', 'give a prompt: inferd run MODEL "prompt", or pipe one in', { param: 'prompt' })
  return prompt
}

async function readInput(signal: AbortSignal): Promise<string> {
  try {
    return await readAll(addAbortSignal(signal, process.stdin))
  } catch (error) {
    signal.throwIfAborted()
    throw error
  }
}

function buildRequest(engine: Engine, args: RunArguments, prompt: string): GenerateRequest {
  const isChat = engine.facts.hasChatTemplate && !args.raw
  const system = args.system === null ? [] : [{ role: 'system' as const, content: args.system }]
  const input: PromptInput = isChat ? { kind: 'messages', messages: [...system, { role: 'user', content: prompt }] } : { kind: 'text', text: prompt }
  return {
    ...PLAIN_REQUEST,
    requestId: randomId('run'),
    input,
    sampling: { ...GREEDY_SAMPLING, temperature: args.temperature, seed: args.seed },
    maxTokens: args.maxTokens,
  }
}

async function streamAnswer(engine: Engine, request: GenerateRequest, signal: AbortSignal): Promise<void> {
  const sentMs = systemClock.nowMs()
  let firstMs: number | null = null
  for await (const event of generate(engine, request, signal)) {
    if (event.type === 'text-delta') {
      firstMs ??= systemClock.nowMs()
      process.stdout.write(event.text)
    }
    if (event.type === 'response-error') throw fromErrorRecord(event.error)
    if (event.type === 'response-end') reportSpeed(event, sentMs, firstMs ?? systemClock.nowMs())
  }
}

/** The answer goes to standard output alone, so that it can be piped on; figures go to standard error. */
function reportSpeed(event: Extract<GenerateEvent, { type: 'response-end' }>, sentMs: number, firstMs: number): void {
  const endMs = systemClock.nowMs()
  const { promptTokens, completionTokens }: Usage = event.usage
  const decodeRate = completionTokens > 1 ? ((completionTokens - 1) / (endMs - firstMs)) * 1000 : 0
  const prefillRate = (promptTokens / (firstMs - sentMs)) * 1000
  process.stdout.write('\n')
  const prompt = `${promptTokens} prompt tokens in ${(firstMs - sentMs).toFixed(0)} ms (${prefillRate.toFixed(0)} tokens/s)`
  process.stderr.write(`${prompt}, ${completionTokens} tokens at ${decodeRate.toFixed(1)} tokens/s\n`)
}
