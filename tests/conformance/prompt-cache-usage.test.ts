/** Tokens read from and written to the prompt cache, with the shipped model: what each dialect says of them, and what they cost to the last digit. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { ConverseCommand, ConverseStreamCommand, InvokeModelCommand } from '@aws-sdk/client-bedrock-runtime'
import { InvokeEndpointCommand } from '@aws-sdk/client-sagemaker-runtime'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { InferdProcess } from '../e2e/inferd-process.ts'
import { anthropicClient, bedrockClient, sageMakerClient } from './dialect-asks.ts'
import { openAiClient } from './openai-suite.ts'

const MODEL = 'inferd-chat'
const QUESTION = 'What is the capital of France?'
const FILE = `
prices:
  ${MODEL}: { input: 0.137, cachedInput: 0.013701, cacheWrite: 0.171253, output: 1.911 }
`

interface Counts {
  /** Neither read nor written. */
  readonly plain: number
  readonly read: number
  readonly written: number
  readonly output: number
}

let server: InferdProcess
let folder: string

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'inferd-prompt-cache-'))
  const file = path.join(folder, 'platform.yaml')
  writeFileSync(file, FILE)
  server = await (await InferdProcess.start('--config', file, '--data-dir', path.join(folder, 'data'), '--log-level', 'warn')).ready()
})

afterAll(async () => {
  await server[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

/** Long enough for several blocks of the cache; nobody else's. */
function rulesOf(name: string): string {
  const rules = Array.from({ length: 24 }, (_, index) => `Rule ${index} of ${name}: answer in one short sentence.`)
  return rules.join(' ')
}

const at = (): { readonly url: string } => ({ url: server.baseUrl })
const MESSAGES = [{ role: 'user' as const, content: QUESTION }]

/** Of a dialect in which the caller says up to where the prompt is kept. */
const MARKED: Readonly<Record<string, (system: string) => Promise<Counts>>> = {
  Anthropic: async (system) => countsOfAnthropic((await anthropicClient(at()).messages.create(anthropicBody(system))).usage),
  'Anthropic, streamed': async (system) =>
    countsOfAnthropic((await anthropicClient(at()).messages.stream(anthropicBody(system)).finalMessage()).usage),
  'Bedrock InvokeModel': async (system) => {
    const body = JSON.stringify({ ...anthropicBody(system), model: undefined, anthropic_version: 'bedrock-2023-05-31' })
    const answer = await bedrockClient(at()).send(new InvokeModelCommand({ modelId: MODEL, body }))
    return countsOfAnthropic((JSON.parse(answer.body.transformToString()) as { readonly usage: AnthropicUsage }).usage)
  },
  'Bedrock Converse': async (system) => countsOfBedrock((await bedrockClient(at()).send(new ConverseCommand(converseOf(system)))).usage),
  'Bedrock ConverseStream': async (system) => {
    const { stream } = await bedrockClient(at()).send(new ConverseStreamCommand(converseOf(system)))
    return countsOfBedrock((await Array.fromAsync(stream!)).at(-1)?.metadata?.usage)
  },
}

/** Of a dialect that tells reads only. */
const UNMARKED: Readonly<Record<string, (system: string) => Promise<Counts>>> = {
  OpenAI: async (system) => {
    const messages = [{ role: 'system' as const, content: system }, ...MESSAGES]
    return countsOfOpenAi(
      (await openAiClient(server.baseUrl).chat.completions.create({ model: MODEL, messages, temperature: 0, max_tokens: 20 })).usage,
    )
  },
  SageMaker: async (system) => {
    const Body = JSON.stringify({ messages: [{ role: 'system', content: system }, ...MESSAGES], temperature: 0, max_tokens: 20 })
    const answer = await sageMakerClient(at()).send(new InvokeEndpointCommand({ EndpointName: MODEL, ContentType: 'application/json', Body }))
    return countsOfOpenAi((JSON.parse(new TextDecoder().decode(answer.Body)) as { readonly usage: OpenAiUsage }).usage)
  },
}

interface AnthropicBody {
  model: string
  max_tokens: number
  temperature: number
  system: { type: 'text'; text: string; cache_control: { type: 'ephemeral' } }[]
  messages: { role: 'user'; content: string }[]
}

function anthropicBody(system: string): AnthropicBody {
  const blocks = [{ type: 'text' as const, text: system, cache_control: { type: 'ephemeral' as const } }]
  return { model: MODEL, max_tokens: 20, temperature: 0, system: blocks, messages: MESSAGES }
}

function converseOf(system: string): ConstructorParameters<typeof ConverseCommand>[0] {
  return {
    modelId: MODEL,
    system: [{ text: system }, { cachePoint: { type: 'default' } }],
    messages: [{ role: 'user', content: [{ text: QUESTION }] }],
    inferenceConfig: { maxTokens: 20, temperature: 0 },
  }
}

interface AnthropicUsage {
  readonly input_tokens: number
  readonly output_tokens: number
  readonly cache_read_input_tokens?: number | null
  readonly cache_creation_input_tokens?: number | null
}

function countsOfAnthropic(usage: AnthropicUsage): Counts {
  const { input_tokens: plain, cache_read_input_tokens: read, cache_creation_input_tokens: written, output_tokens: output } = usage
  return { plain, read: read ?? 0, written: written ?? 0, output }
}

interface BedrockUsage {
  readonly inputTokens?: number | undefined
  readonly outputTokens?: number | undefined
  readonly totalTokens?: number | undefined
  readonly cacheReadInputTokens?: number | undefined
  readonly cacheWriteInputTokens?: number | undefined
}

function countsOfBedrock(usage: BedrockUsage | undefined): Counts {
  const counts = {
    plain: usage?.inputTokens ?? -1,
    read: usage?.cacheReadInputTokens ?? 0,
    written: usage?.cacheWriteInputTokens ?? 0,
    output: usage?.outputTokens ?? -1,
  }
  expect(usage?.totalTokens).toBe(counts.plain + counts.read + counts.written + counts.output)
  return counts
}

interface OpenAiUsage {
  readonly prompt_tokens: number
  readonly completion_tokens: number
  readonly prompt_tokens_details?: { readonly cached_tokens?: number }
}

function countsOfOpenAi(usage: OpenAiUsage | undefined): Counts {
  const read = usage?.prompt_tokens_details?.cached_tokens ?? 0
  return { plain: (usage?.prompt_tokens ?? -1) - read, read, written: 0, output: usage?.completion_tokens ?? -1 }
}

interface Bill extends Counts {
  /** Picodollars. */
  readonly cost: bigint
}

async function bill(): Promise<Bill> {
  const { data } = (await (await fetch(`${server.baseUrl}/inferd/v1/usage`)).json()) as { readonly data: readonly Record<string, number | string>[] }
  const count = (name: string): number => Number(data[0]?.[name] ?? 0)
  const [whole = '0', digits = ''] = String(data[0]?.['cost_usd'] ?? '0').split('.')
  const [read, written] = [count('cached_tokens'), count('cache_write_tokens')]
  const cost = BigInt(whole) * 10n ** 12n + BigInt(digits.padEnd(12, '0'))
  return { plain: count('input_tokens') - read - written, read, written, output: count('output_tokens'), cost }
}

/** Asks once: what the dialect says is what the ledger has, at the price of each kind. */
async function billed(ask: () => Promise<Counts>): Promise<Counts> {
  const before = await bill()
  const told = await ask()
  const after = await bill()
  const cost = BigInt(told.plain) * 137_000n + BigInt(told.read) * 13_701n + BigInt(told.written) * 171_253n + BigInt(told.output) * 1_911_000n
  expect({
    plain: after.plain - before.plain,
    read: after.read - before.read,
    written: after.written - before.written,
    output: after.output - before.output,
    cost: after.cost - before.cost,
  }).toEqual({ ...told, cost })
  return told
}

test.each(Object.entries(MARKED))('%s: written at first, read then; every prompt token is of one kind, at its own price', async (name, ask) => {
  const system = rulesOf(name)
  const { input_tokens: promptTokens } = await anthropicClient(at()).messages.countTokens({ model: MODEL, system, messages: MESSAGES })
  const first = await billed(() => ask(system))
  const again = await billed(() => ask(system))
  expect(first.plain + first.read + first.written).toBe(promptTokens)
  expect(again.plain + again.read + again.written).toBe(promptTokens)
  expect(first.written).toBeGreaterThan(200)
  expect(again.read).toBeGreaterThan(200)
  expect(again.read).toBeGreaterThanOrEqual(first.read + first.written - 1)
  expect(again.written).toBe(0)
})

test.each(Object.entries(UNMARKED))('%s: read the second time, at the price of cached tokens; nobody asked to write', async (name, ask) => {
  const system = rulesOf(name)
  const first = await billed(() => ask(system))
  const again = await billed(() => ask(system))
  expect(again.read).toBeGreaterThan(first.read + 200)
  expect(again.plain + again.read).toBe(first.plain + first.read)
})
