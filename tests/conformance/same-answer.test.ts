/**
 * One prompt, greedy and then with a cache hit, through every dialect of a real server, streamed and whole: the same text, the same token
 * counts, and the same cost to the last digit in the answer, the ledger and the metric.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import Anthropic from '@anthropic-ai/sdk'
import { BedrockRuntimeClient, ConverseCommand, ConverseStreamCommand } from '@aws-sdk/client-bedrock-runtime'
import { InvokeEndpointCommand, InvokeEndpointWithResponseStreamCommand, SageMakerRuntimeClient } from '@aws-sdk/client-sagemaker-runtime'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { InferdProcess } from '../e2e/inferd-process.ts'
import { openAiClient } from './openai-suite.ts'

const MODEL = 'inferd-chat'
const PROMPT = 'What is the capital of France?'
const TEXT = 'The capital of France is Paris.'
const MESSAGES = [{ role: 'user' as const, content: PROMPT }]
const BLOCKS = [{ role: 'user' as const, content: [{ text: PROMPT }] }]
const CREDENTIALS = { accessKeyId: 'unused', secretAccessKey: 'unused' }
const MAX_TOKENS = 64

/** What a dialect says of one answer; every prompt token counts, read from the cache or not. */
interface Told {
  readonly text: string
  readonly promptTokens: number
  readonly outputTokens: number
}

interface UsageRow {
  readonly dialect?: string
  readonly requests: number
  readonly input_tokens: number
  readonly output_tokens: number
  readonly cost_usd: string
}

let server: InferdProcess
let folder: string

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'inferd-same-'))
  const file = path.join(folder, 'platform.yaml')
  // Prices whose products have many digits: a rounding on the way would show.
  writeFileSync(file, `prices:\n  ${MODEL}:\n    input: 0.137\n    cachedInput: 0.137\n    output: 1.911\n    perRequest: '0.000000000007'\n`)
  server = await (await InferdProcess.start('--config', file, '--data-dir', path.join(folder, 'data'), '--log-level', 'warn')).ready()
})

afterAll(async () => {
  await server[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

type Ask = () => Promise<Told>

const DIALECTS: Readonly<Record<string, Ask>> = {
  'OpenAI chat, whole': async () => {
    const answer = await openAiClient(server.baseUrl).chat.completions.create({
      model: MODEL,
      messages: MESSAGES,
      temperature: 0,
      max_tokens: MAX_TOKENS,
    })
    return told(answer.choices[0]?.message.content, answer.usage?.prompt_tokens, answer.usage?.completion_tokens)
  },
  'OpenAI chat, streamed': async () => {
    const stream = await openAiClient(server.baseUrl).chat.completions.create({
      model: MODEL,
      messages: MESSAGES,
      temperature: 0,
      max_tokens: MAX_TOKENS,
      stream: true,
      stream_options: { include_usage: true },
    })
    let text = ''
    let usage
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? ''
      usage = chunk.usage ?? usage
    }
    return told(text, usage?.prompt_tokens, usage?.completion_tokens)
  },
  'OpenAI responses, whole': async () => {
    const answer = await openAiClient(server.baseUrl).responses.create({ model: MODEL, input: PROMPT, temperature: 0, max_output_tokens: MAX_TOKENS })
    return told(answer.output_text, answer.usage?.input_tokens, answer.usage?.output_tokens)
  },
  'OpenAI responses, streamed': async () => {
    const request = { model: MODEL, input: PROMPT, temperature: 0, max_output_tokens: MAX_TOKENS, stream: true as const }
    let text = ''
    let usage
    for await (const event of await openAiClient(server.baseUrl).responses.create(request)) {
      if (event.type === 'response.output_text.delta') text += event.delta
      if (event.type === 'response.completed') usage = event.response.usage
    }
    return told(text, usage?.input_tokens, usage?.output_tokens)
  },
  'Anthropic, whole': async () => {
    const answer = await anthropic().messages.create(ANTHROPIC_REQUEST as Anthropic.MessageCreateParamsNonStreaming)
    return toldByAnthropic(answer)
  },
  'Anthropic, streamed': async () =>
    toldByAnthropic(
      await anthropic()
        .messages.stream(ANTHROPIC_REQUEST as Anthropic.MessageStreamParams)
        .finalMessage(),
    ),
  'Bedrock Converse': async () => {
    const { output, usage } = await bedrock().send(new ConverseCommand(CONVERSE))
    return told(output?.message?.content?.[0]?.text, toldInput(usage), usage?.outputTokens)
  },
  'Bedrock ConverseStream': async () => {
    const { stream } = await bedrock().send(new ConverseStreamCommand(CONVERSE))
    let text = ''
    let usage
    for await (const event of stream ?? []) {
      text += event.contentBlockDelta?.delta?.text ?? ''
      usage = event.metadata?.usage ?? usage
    }
    return told(text, toldInput(usage), usage?.outputTokens)
  },
  'SageMaker, whole': async () => {
    const command = new InvokeEndpointCommand({ EndpointName: MODEL, ContentType: 'application/json', Body: SAGEMAKER_BODY })
    const { Body } = await sageMaker().send(command)
    const answer = JSON.parse(new TextDecoder().decode(Body)) as OpenAiAnswer
    return told(answer.choices[0]?.message?.content, answer.usage?.prompt_tokens, answer.usage?.completion_tokens)
  },
  'SageMaker, streamed': async () => {
    const body = JSON.stringify({ ...(JSON.parse(SAGEMAKER_BODY) as object), stream: true, stream_options: { include_usage: true } })
    const command = new InvokeEndpointWithResponseStreamCommand({ EndpointName: MODEL, ContentType: 'application/json', Body: body })
    const { Body } = await sageMaker().send(command)
    let wire = ''
    for await (const event of Body ?? []) wire += new TextDecoder().decode(event.PayloadPart?.Bytes)
    const chunks = [...wire.matchAll(/^data: (\{.*\})$/gm)].map(([, json]) => JSON.parse(json!) as OpenAiAnswer)
    const usage = chunks.findLast((chunk) => chunk.usage != null)?.usage
    return told(chunks.map(({ choices }) => choices[0]?.delta?.content ?? '').join(''), usage?.prompt_tokens, usage?.completion_tokens)
  },
}

interface OpenAiAnswer {
  readonly choices: readonly { readonly message?: { readonly content?: string }; readonly delta?: { readonly content?: string } }[]
  readonly usage?: { readonly prompt_tokens: number; readonly completion_tokens: number }
}

const ANTHROPIC_REQUEST = { model: MODEL, max_tokens: MAX_TOKENS, temperature: 0, messages: MESSAGES }
const CONVERSE = { modelId: MODEL, messages: BLOCKS, inferenceConfig: { temperature: 0, maxTokens: MAX_TOKENS } }
const SAGEMAKER_BODY = JSON.stringify({ messages: MESSAGES, temperature: 0, max_tokens: MAX_TOKENS })

const anthropic = (): Anthropic => new Anthropic({ baseURL: server.baseUrl, apiKey: 'unused', maxRetries: 0 })
const bedrock = (): BedrockRuntimeClient =>
  new BedrockRuntimeClient({ endpoint: server.baseUrl, region: 'us-east-1', credentials: CREDENTIALS, maxAttempts: 1 })
const sageMaker = (): SageMakerRuntimeClient =>
  new SageMakerRuntimeClient({ endpoint: server.baseUrl, region: 'us-east-1', credentials: CREDENTIALS, maxAttempts: 1 })

function told(text: string | null | undefined, promptTokens: number | undefined, outputTokens: number | undefined): Told {
  return { text: text ?? '', promptTokens: promptTokens ?? -1, outputTokens: outputTokens ?? -1 }
}

function toldInput(
  usage: { inputTokens?: number | undefined; cacheReadInputTokens?: number | undefined; cacheWriteInputTokens?: number | undefined } | undefined,
): number {
  return (usage?.inputTokens ?? -1) + (usage?.cacheReadInputTokens ?? 0) + (usage?.cacheWriteInputTokens ?? 0)
}

function toldByAnthropic({ content, usage }: Anthropic.Message): Told {
  const promptTokens = usage.input_tokens + (usage.cache_read_input_tokens ?? 0) + (usage.cache_creation_input_tokens ?? 0)
  return told(content[0]?.type === 'text' ? content[0].text : '', promptTokens, usage.output_tokens)
}

async function totals(): Promise<UsageRow> {
  const report = (await (await fetch(`${server.baseUrl}/inferd/v1/usage?group_by=model`)).json()) as { readonly data: readonly UsageRow[] }
  return report.data[0] ?? { requests: 0, input_tokens: 0, output_tokens: 0, cost_usd: '0' }
}

/** Picodollars, exact. */
function picos(usd: string): bigint {
  const [whole = '0', digits = ''] = usd.split('.')
  return BigInt(whole) * 10n ** 12n + BigInt(digits.padEnd(12, '0'))
}

test.each(Object.entries(DIALECTS))('%s says, counts and costs the same, the first time and again', async (_name, ask) => {
  for (let round = 0; round < 2; round++) {
    const before = await totals()
    expect(await ask()).toEqual({ text: TEXT, promptTokens: 15, outputTokens: 9 })
    const after = await totals()
    expect([after.requests - before.requests, after.input_tokens - before.input_tokens, after.output_tokens - before.output_tokens]).toEqual([
      1, 15, 9,
    ])
    expect(picos(after.cost_usd) - picos(before.cost_usd)).toBe(15n * 137_000n + 9n * 1_911_000n + 7n)
  }
})

test('the cost in a header and in a trailer is that of the ledger, and the metric has the sum of all', async () => {
  const send = (stream: boolean): Promise<Response> =>
    fetch(`${server.baseUrl}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: MODEL, messages: MESSAGES, temperature: 0, stream }),
    })
  const whole = await send(false)
  await whole.text()
  expect(picos(whole.headers.get('x-inferd-cost-usd') ?? '0')).toBe(15n * 137_000n + 9n * 1_911_000n + 7n)
  const streamed = await send(true)
  expect(streamed.headers.get('trailer')).toContain('x-inferd-cost-usd')
  await streamed.text()
  const { cost_usd: ledger } = await totals()
  const page = await (await fetch(`${server.baseUrl}/metrics`)).text()
  const metric = [...page.matchAll(/^inferd_cost_usd_total\{.*\} (\S+)$/gm)].map(([, value]) => value!)
  expect(metric).toEqual([ledger])
})
