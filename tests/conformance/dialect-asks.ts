/** One question through every dialect by its official client, whole and streamed, and what each says of the answer in the same words. */
import Anthropic from '@anthropic-ai/sdk'
import {
  BedrockRuntimeClient,
  ConverseCommand,
  ConverseStreamCommand,
  InvokeModelCommand,
  InvokeModelWithResponseStreamCommand,
} from '@aws-sdk/client-bedrock-runtime'
import { InvokeEndpointCommand, InvokeEndpointWithResponseStreamCommand, SageMakerRuntimeClient } from '@aws-sdk/client-sagemaker-runtime'
import { openAiClient } from './openai-suite.ts'

export interface Asked {
  readonly url: string
  readonly model: string
  readonly prompt: string
  readonly headers?: Readonly<Record<string, string>>
}

export interface Told {
  readonly text: string
  /** As the dialect calls it. */
  readonly reason: string | null | undefined
  /** All tokens of the prompt, read from the cache or not. */
  readonly promptTokens: number
  readonly outputTokens: number
}

export type Ask = (asked: Asked) => Promise<Told>

const CREDENTIALS = { accessKeyId: 'unused', secretAccessKey: 'unused' }
const MAX_TOKENS = 500

interface Middlewares {
  add(handler: (next: (args: never) => unknown) => (args: never) => unknown, options: { readonly step: 'build' }): void
}

/** Headers that the commands have no field for. */
function withHeaders<Client extends { readonly middlewareStack: object }>(client: Client, headers: Asked['headers'] = {}): Client {
  const stack = client.middlewareStack as Middlewares
  stack.add(
    (next) => (args) => {
      Object.assign((args as { readonly request: { readonly headers: object } }).request.headers, headers)
      return next(args)
    },
    { step: 'build' },
  )
  return client
}

export function bedrockClient({ url, headers }: Pick<Asked, 'url' | 'headers'>): BedrockRuntimeClient {
  return withHeaders(new BedrockRuntimeClient({ endpoint: url, region: 'us-east-1', credentials: CREDENTIALS, maxAttempts: 1 }), headers)
}

export function sageMakerClient({ url, headers }: Pick<Asked, 'url' | 'headers'>): SageMakerRuntimeClient {
  return withHeaders(new SageMakerRuntimeClient({ endpoint: url, region: 'us-east-1', credentials: CREDENTIALS, maxAttempts: 1 }), headers)
}

export function anthropicClient({ url, headers = {} }: Pick<Asked, 'url' | 'headers'>): Anthropic {
  return new Anthropic({ baseURL: url, apiKey: 'unused', maxRetries: 0, defaultHeaders: headers })
}

const chatOf = ({
  model,
  prompt,
}: Asked): { model: string; messages: { role: 'user'; content: string }[]; max_tokens: number; temperature: number } => ({
  model,
  messages: [{ role: 'user', content: prompt }],
  max_tokens: MAX_TOKENS,
  temperature: 0,
})
const converseOf = ({ model, prompt }: Asked): ConstructorParameters<typeof ConverseCommand>[0] => ({
  modelId: model,
  messages: [{ role: 'user', content: [{ text: prompt }] }],
  inferenceConfig: { maxTokens: MAX_TOKENS, temperature: 0 },
})
const invokeOf = (asked: Asked): ConstructorParameters<typeof InvokeModelCommand>[0] => ({
  modelId: asked.model,
  body: JSON.stringify({ ...chatOf(asked), model: undefined, anthropic_version: 'bedrock-2023-05-31' }),
})
const endpointOf = (asked: Asked, more: object = {}): ConstructorParameters<typeof InvokeEndpointCommand>[0] => ({
  EndpointName: 'any',
  ContentType: 'application/json',
  Body: JSON.stringify({ ...chatOf(asked), ...more }),
})

interface OpenAiAnswer {
  readonly choices: readonly {
    readonly message?: { readonly content?: string | null }
    readonly delta?: { readonly content?: string | null }
    readonly finish_reason?: string | null
  }[]
  readonly usage?: { readonly prompt_tokens: number; readonly completion_tokens: number } | null
}

function toldByOpenAi(chunks: readonly OpenAiAnswer[]): Told {
  const usage = chunks.findLast((chunk) => chunk.usage)?.usage
  return {
    text: chunks.map(({ choices }) => choices[0]?.message?.content ?? choices[0]?.delta?.content ?? '').join(''),
    reason: chunks.findLast(({ choices }) => choices[0]?.finish_reason)?.choices[0]?.finish_reason,
    promptTokens: usage?.prompt_tokens ?? -1,
    outputTokens: usage?.completion_tokens ?? -1,
  }
}

function toldByAnthropic({ content, stop_reason: reason, usage }: Anthropic.Message): Told {
  const promptTokens = usage.input_tokens + (usage.cache_read_input_tokens ?? 0) + (usage.cache_creation_input_tokens ?? 0)
  return { text: content.map((block) => (block.type === 'text' ? block.text : '')).join(''), reason, promptTokens, outputTokens: usage.output_tokens }
}

interface AwsUsage {
  readonly inputTokens?: number | undefined
  readonly outputTokens?: number | undefined
  readonly cacheReadInputTokens?: number | undefined
  readonly cacheWriteInputTokens?: number | undefined
}

function toldByBedrock(text: string, reason: string | undefined, usage: AwsUsage | undefined): Told {
  const promptTokens = (usage?.inputTokens ?? -1) + (usage?.cacheReadInputTokens ?? 0) + (usage?.cacheWriteInputTokens ?? 0)
  return { text, reason, promptTokens, outputTokens: usage?.outputTokens ?? -1 }
}

interface NativeEvent {
  readonly message?: { readonly usage?: { readonly input_tokens: number; readonly cache_read_input_tokens?: number } }
  readonly delta?: { readonly text?: string; readonly stop_reason?: string }
  readonly usage?: { readonly output_tokens: number }
}

export const WHOLE: Readonly<Record<string, Ask>> = {
  OpenAI: async (asked) => toldByOpenAi([await openAiClient(asked.url).chat.completions.create(chatOf(asked), { headers: asked.headers ?? {} })]),
  Anthropic: async (asked) => toldByAnthropic(await anthropicClient(asked).messages.create(chatOf(asked))),
  'Bedrock Converse': async (asked) => {
    const { output, stopReason, usage } = await bedrockClient(asked).send(new ConverseCommand(converseOf(asked)))
    return toldByBedrock(output?.message?.content?.map(({ text }) => text ?? '').join('') ?? '', stopReason, usage)
  },
  'Bedrock InvokeModel': async (asked) => {
    const { body } = await bedrockClient(asked).send(new InvokeModelCommand(invokeOf(asked)))
    return toldByAnthropic(JSON.parse(body.transformToString()) as Anthropic.Message)
  },
  SageMaker: async (asked) => {
    const command = new InvokeEndpointCommand({ ...endpointOf(asked), EndpointName: asked.model })
    const { Body } = await sageMakerClient(asked).send(command)
    return toldByOpenAi([JSON.parse(new TextDecoder().decode(Body)) as OpenAiAnswer])
  },
}

export const STREAMED: Readonly<Record<string, Ask>> = {
  OpenAI: async (asked) => {
    const request = { ...chatOf(asked), stream: true as const, stream_options: { include_usage: true } }
    return toldByOpenAi(await Array.fromAsync(await openAiClient(asked.url).chat.completions.create(request, { headers: asked.headers ?? {} })))
  },
  Anthropic: async (asked) => toldByAnthropic(await anthropicClient(asked).messages.stream(chatOf(asked)).finalMessage()),
  'Bedrock Converse': async (asked) => {
    const { stream } = await bedrockClient(asked).send(new ConverseStreamCommand(converseOf(asked)))
    const events = await Array.fromAsync(stream ?? [])
    return toldByBedrock(
      events.map((event) => event.contentBlockDelta?.delta?.text ?? '').join(''),
      events.find((event) => event.messageStop !== undefined)?.messageStop?.stopReason,
      events.at(-1)?.metadata?.usage,
    )
  },
  'Bedrock InvokeModel': async (asked) => {
    const { body } = await bedrockClient(asked).send(new InvokeModelWithResponseStreamCommand(invokeOf(asked)))
    const parts = await Array.fromAsync(body ?? [])
    const events = parts.map(({ chunk }) => JSON.parse(new TextDecoder().decode(chunk?.bytes)) as NativeEvent)
    const started = events.find(({ message }) => message !== undefined)?.message?.usage
    const ended = events.findLast(({ usage }) => usage !== undefined)
    return {
      text: events.map(({ delta }) => delta?.text ?? '').join(''),
      reason: ended?.delta?.stop_reason,
      promptTokens: (started?.input_tokens ?? -1) + (started?.cache_read_input_tokens ?? 0),
      outputTokens: ended?.usage?.output_tokens ?? -1,
    }
  },
  SageMaker: async (asked) => {
    const body = endpointOf(asked, { stream: true, stream_options: { include_usage: true } })
    const { Body } = await sageMakerClient(asked).send(new InvokeEndpointWithResponseStreamCommand({ ...body, EndpointName: asked.model }))
    let wire = ''
    const decoder = new TextDecoder()
    for await (const event of Body ?? []) wire += decoder.decode(event.PayloadPart?.Bytes, { stream: true })
    return toldByOpenAi([...wire.matchAll(/^data: (\{.*\})$/gm)].map(([, json]) => JSON.parse(json!) as OpenAiAnswer))
  },
}
