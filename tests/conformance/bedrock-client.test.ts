/** The official Bedrock Runtime client, unchanged and over HTTP/2 in clear text as it comes, against a scripted model. */
import {
  BedrockRuntimeClient,
  ConverseCommand,
  type ConverseCommandInput,
  ConverseStreamCommand,
  type ConverseStreamOutput,
  CountTokensCommand,
} from '@aws-sdk/client-bedrock-runtime'
import { NodeHttpHandler } from '@smithy/node-http-handler'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type ChatMessage, NO_USAGE } from '#contract/generate'
import { doActs, type FakeModel, play, sayWords } from './fake-model.ts'
import { startTestServer, type TestServer } from './test-server.ts'

const TEXT = 'Hello wörld 🦊'
const ASK: ConverseCommandInput = { modelId: 'fake/model', messages: [{ role: 'user', content: [{ text: 'hi' }] }] }
const USAGE = { inputTokens: 5, outputTokens: 4, totalTokens: 11, cacheReadInputTokens: 2, cacheWriteInputTokens: 0 }
const TOOL = {
  toolSpec: { name: 'weather', description: 'Tells.', inputSchema: { json: { type: 'object', properties: { city: { type: 'string' } } } } },
}

let target: TestServer
let client: BedrockRuntimeClient
let model: FakeModel

beforeAll(async () => {
  target = await startTestServer()
  client = clientOf(target.url)
  model = target.model
})

beforeEach(() => {
  model.script = sayWords(['Hello', ' ', 'wörld', ' 🦊'])
  model.requests.length = 0
})

afterAll(async () => {
  client.destroy()
  await target.server.close({ graceMs: 0 })
})

function clientOf(endpoint: string, more: { readonly requestHandler?: NodeHttpHandler } = {}): BedrockRuntimeClient {
  const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret' }
  return new BedrockRuntimeClient({ endpoint, region: 'us-east-1', maxAttempts: 1, credentials, ...more })
}

async function streamOf(more: Partial<ConverseCommandInput> = {}): Promise<readonly ConverseStreamOutput[]> {
  const { stream } = await client.send(new ConverseStreamCommand({ ...ASK, ...more }))
  return Array.fromAsync(stream!)
}

async function messagesOf(more: Partial<ConverseCommandInput>): Promise<readonly ChatMessage[]> {
  await client.send(new ConverseCommand({ ...ASK, ...more }))
  const input = model.requests.at(-1)!.input
  return input.kind === 'messages' ? input.messages : []
}

describe('Converse', () => {
  test('answers with message, stop reason, usage and latency', async () => {
    const answer = await client.send(new ConverseCommand(ASK))
    expect(answer).toMatchObject({ output: { message: { role: 'assistant', content: [{ text: TEXT }] } }, stopReason: 'end_turn', usage: USAGE })
    expect(answer.metrics!.latencyMs).toBeGreaterThanOrEqual(0)
    expect(answer.$metadata.requestId).toMatch(/^req-/)
    expect(answer.trace).toBeUndefined()
  })

  test('speaks HTTP/1.1 as well', async () => {
    const other = clientOf(target.url, { requestHandler: new NodeHttpHandler() })
    const { stream } = await other.send(new ConverseStreamCommand(ASK))
    const texts = (await Array.fromAsync(stream!)).map(({ contentBlockDelta }) => contentBlockDelta?.delta?.text ?? '')
    expect(texts.join('')).toBe(TEXT)
    other.destroy()
  })

  test('takes every field of inference, and those of the model beside them', async () => {
    await client.send(
      new ConverseCommand({
        ...ASK,
        inferenceConfig: { maxTokens: 3, temperature: 0.25, topP: 0.5, stopSequences: ['END', '\n'] },
        additionalModelRequestFields: { top_k: 7, seed: 42, min_p: 0.1, thinking: { type: 'enabled', budget_tokens: 2 } },
      }),
    )
    expect(model.requests[0]).toMatchObject({
      maxTokens: 3,
      stopStrings: ['END', '\n'],
      sampling: { temperature: 0.25, topP: 0.5, topK: 7, seed: 42, minP: 0.1 },
      output: { reasoning: { enabled: true, budgetTokens: 2, effort: null } },
    })
  })

  test.each([
    ['stop', null, 'end_turn'],
    ['stop', 'END', 'stop_sequence'],
    ['length', null, 'max_tokens'],
    ['content-filter', null, 'guardrail_intervened'],
    ['degenerate', null, 'malformed_model_output'],
  ] as const)('says of %s with the stop string %j: %s', async (finishReason, stopString, stopReason) => {
    model.script = play([
      { type: 'response-start', promptTokens: 7, cachedTokens: 0 },
      { type: 'text-delta', choice: 0, text: 'x', logprobs: null },
      { type: 'choice-end', choice: 0, finishReason, stopString },
      { type: 'response-end', usage: NO_USAGE },
    ])
    const additionalModelResponseFieldPaths = ['/stop_sequence']
    const whole = await client.send(new ConverseCommand({ ...ASK, additionalModelResponseFieldPaths }))
    const events = await streamOf({ additionalModelResponseFieldPaths })
    const ending = { stopReason, additionalModelResponseFields: { stop_sequence: stopString } }
    expect(whole).toMatchObject(ending)
    expect(events.at(-2)!.messageStop).toEqual(ending)
  })

  test('ends with max_tokens when it was cut', async () => {
    const { stopReason } = await client.send(new ConverseCommand({ ...ASK, inferenceConfig: { maxTokens: 2 } }))
    expect(stopReason).toBe('max_tokens')
  })

  test('reads a whole conversation with system, tools, thoughts and cache points', async () => {
    const messages = await messagesOf({
      system: [{ text: 'Be brief.' }, { text: 'Be kind.' }, { cachePoint: { type: 'default' } }],
      toolConfig: { tools: [TOOL, { cachePoint: { type: 'default', ttl: '1h' } }], toolChoice: { any: {} } },
      messages: [
        { role: 'user', content: [{ text: 'Rome?' }] },
        {
          role: 'assistant',
          content: [
            { reasoningContent: { reasoningText: { text: 'ask', signature: 'any' } } },
            { toolUse: { toolUseId: 'call-1', name: 'weather', input: { city: 'Rome' } } },
          ],
        },
        {
          role: 'user',
          content: [
            { toolResult: { toolUseId: 'call-1', content: [{ json: { sky: 'blue' } }, { text: 'warm' }], status: 'error' } },
            { text: 'And?' },
            { cachePoint: { type: 'default' } },
          ],
        },
      ],
    })
    expect(messages).toEqual([
      { role: 'system', content: 'Be brief.\nBe kind.', cachePoint: true },
      { role: 'user', content: 'Rome?' },
      { role: 'assistant', content: '', reasoning: 'ask', toolCalls: [{ id: 'call-1', name: 'weather', arguments: '{"city":"Rome"}' }] },
      { role: 'tool', content: 'Error: {"sky":"blue"}\nwarm', toolCallId: 'call-1', name: 'weather' },
      { role: 'user', content: 'And?', cachePoint: true },
    ])
    expect(model.requests[0]!.output.tools).toMatchObject({ choice: 'required', definitions: [{ name: 'weather', strict: false }] })
  })

  test('says tool calls and thoughts in blocks of their own', async () => {
    model.script = doActs([{ reasoning: 'hm', text: 'Wait.', calls: [{ name: 'weather', arguments: '{"city":"Rome"}' }] }])
    const { output, stopReason } = await client.send(new ConverseCommand({ ...ASK, toolConfig: { tools: [TOOL] } }))
    expect(stopReason).toBe('tool_use')
    expect(output!.message!.content).toMatchObject([
      { reasoningContent: { reasoningText: { text: 'hm' } } },
      { text: 'Wait.' },
      { toolUse: { name: 'weather', input: { city: 'Rome' } } },
    ])
  })

  test('holds the answer to the schema of outputConfig', async () => {
    const schema = { type: 'object', properties: { a: { type: 'integer' } } }
    await client.send(
      new ConverseCommand({
        ...ASK,
        outputConfig: { textFormat: { type: 'json_schema', structure: { jsonSchema: { schema: JSON.stringify(schema), name: 'n' } } } },
      }),
    )
    expect(model.requests[0]!.output.format).toEqual({ kind: 'json-schema', schema, whitespace: 'flexible' })
  })

  test('tells tier, latency and stop sequence to who named them', async () => {
    const answer = await client.send(
      new ConverseCommand({
        ...ASK,
        serviceTier: { type: 'default' },
        performanceConfig: { latency: 'standard' },
        additionalModelResponseFieldPaths: ['/stop_sequence', '/nowhere/0'],
        requestMetadata: { team: 'a b' },
      }),
    )
    expect(answer).toMatchObject({
      serviceTier: { type: 'default' },
      performanceConfig: { latency: 'standard' },
      additionalModelResponseFields: { stop_sequence: null },
    })
  })
})

describe('ConverseStream', () => {
  test('frames the answer as the service does', async () => {
    const events = await streamOf()
    expect(events.map((event) => Object.keys(event)[0])).toEqual([
      'messageStart',
      'contentBlockDelta',
      'contentBlockDelta',
      'contentBlockDelta',
      'contentBlockDelta',
      'contentBlockStop',
      'messageStop',
      'metadata',
    ])
    expect(events[0]).toEqual({ messageStart: { role: 'assistant' } })
    expect(events[1]).toEqual({ contentBlockDelta: { delta: { text: 'Hello' }, contentBlockIndex: 0 } })
    expect(events.at(-2)).toEqual({ messageStop: { stopReason: 'end_turn' } })
    expect(events.at(-1)).toMatchObject({ metadata: { usage: USAGE } })
  })

  test('gives each thought, text and call an index', async () => {
    model.script = doActs([{ reasoning: 'hm', text: 'Wait.', calls: [{ name: 'weather', arguments: '{"city":"Rome"}' }] }])
    const events = await streamOf({ toolConfig: { tools: [TOOL] } })
    const starts = events.flatMap(({ contentBlockStart }) => (contentBlockStart === undefined ? [] : [contentBlockStart]))
    expect(starts).toMatchObject([{ contentBlockIndex: 2, start: { toolUse: { name: 'weather' } } }])
    const inputs = events.map(({ contentBlockDelta }) => contentBlockDelta?.delta?.toolUse?.input ?? '')
    expect(inputs.join('')).toBe('{"city":"Rome"}')
    expect(events.flatMap(({ contentBlockStop }) => contentBlockStop?.contentBlockIndex ?? [])).toEqual([0, 1, 2])
    expect(events.at(-2)).toEqual({ messageStop: { stopReason: 'tool_use' } })
  })
})

describe('model ids', () => {
  test.each([
    'fake/model',
    'arn:aws:bedrock:us-east-1::foundation-model/fake/model',
    'arn:aws:bedrock:eu-central-1:123456789012:imported-model/fake/model',
    'arn:aws-us-gov:bedrock:us-gov-west-1:123456789012:provisioned-model/fake/model',
    'arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/fake/model',
    'arn:aws:sagemaker:us-east-1:123456789012:endpoint/fake/model',
  ])('%s names a model of this server', async (modelId) => {
    const { stopReason } = await client.send(new ConverseCommand({ ...ASK, modelId }))
    expect(stopReason).toBe('end_turn')
  })
})

describe('CountTokens', () => {
  test('counts a Converse body', async () => {
    const { messages } = ASK
    const { inputTokens } = await client.send(
      new CountTokensCommand({ modelId: 'fake/model', input: { converse: { messages, system: [{ text: 'Hi.' }], toolConfig: { tools: [TOOL] } } } }),
    )
    expect(inputTokens).toBe(7)
  })

  test.each([
    { anthropic_version: 'bedrock-2023-05-31', max_tokens: 5, messages: [{ role: 'user', content: 'hi' }] },
    { messages: [{ role: 'user', content: 'hi' }] },
    { prompt: 'hi', max_gen_len: 5 },
    { prompt: 'hi', max_tokens: 5 },
    { inputText: 'hi' },
  ])('counts a native body: %o', async (native) => {
    const body = Buffer.from(JSON.stringify(native))
    const { inputTokens } = await client.send(new CountTokensCommand({ modelId: 'fake/model', input: { invokeModel: { body } } }))
    expect(inputTokens).toBe(7)
  })
})
