/** What can happen to a stream, in every dialect and through its official client: a worker that dies, silence, a client that leaves. */
import Anthropic from '@anthropic-ai/sdk'
import { BedrockRuntimeClient, ConverseStreamCommand } from '@aws-sdk/client-bedrock-runtime'
import { InvokeEndpointWithResponseStreamCommand, SageMakerRuntimeClient } from '@aws-sdk/client-sagemaker-runtime'
import { setTimeout as delay } from 'node:timers/promises'
import OpenAI from 'openai'
import { afterEach, describe, expect, test } from 'vitest'
import { systemClock } from '#base/clock'
import type { GenerateEvent } from '#contract/generate'
import type { EngineOptions } from '#engine/engine'
import { ModelRegistry } from '#platform/registry/model-registry'
import type { SpawnWorker, WorkerListeners } from '#platform/replicas/worker-process'
import { FAKE_FACTS, FakeModel, type Script } from './fake-model.ts'
import { startTestServer, type TestServer, type TestServerArguments } from './test-server.ts'

const MODEL = 'fake-model'
const CREDENTIALS = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret' }

interface Dialect {
  readonly name: string
  /** Reads one stream to its end and gives its text; throws what the client throws. `onText` sees the text so far. */
  readonly read: (url: string, onText: (text: string) => void, signal: AbortSignal) => Promise<string>
  /** What the client throws when the worker has died. */
  readonly lost: object
}

const DIALECTS: readonly Dialect[] = [
  {
    name: 'openai',
    lost: { code: 'replica_lost' },
    read: async (url, onText, signal) => {
      const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'unused', maxRetries: 0 })
      const ask = { model: MODEL, stream: true as const, messages: [{ role: 'user' as const, content: 'hi' }] }
      let text = ''
      for await (const chunk of await client.chat.completions.create(ask, { signal })) onText((text += chunk.choices[0]?.delta.content ?? ''))
      return text
    },
  },
  {
    name: 'anthropic',
    lost: { error: { error: { type: 'api_error' } } },
    read: async (url, onText, signal) => {
      const client = new Anthropic({ baseURL: url, apiKey: 'unused', maxRetries: 0 })
      const ask = { model: MODEL, max_tokens: 500, stream: true as const, messages: [{ role: 'user' as const, content: 'hi' }] }
      let text = ''
      for await (const event of await client.messages.create(ask, { signal })) {
        if (event.type === 'content_block_delta' && event.delta.type === 'text_delta') onText((text += event.delta.text))
      }
      return text
    },
  },
  {
    name: 'bedrock, over HTTP/2',
    lost: { name: 'ModelStreamErrorException' },
    read: async (url, onText, signal) => {
      const client = new BedrockRuntimeClient({ endpoint: url, region: 'us-east-1', maxAttempts: 1, credentials: CREDENTIALS })
      const ask = new ConverseStreamCommand({ modelId: MODEL, messages: [{ role: 'user', content: [{ text: 'hi' }] }] })
      let text = ''
      const { stream } = await client.send(ask, { abortSignal: signal })
      for await (const event of stream ?? []) {
        onText((text += event.contentBlockDelta?.delta?.text ?? ''))
        if (signal.aborted) break
      }
      client.destroy()
      return text
    },
  },
  {
    name: 'sagemaker',
    lost: { name: 'ModelStreamError', ErrorCode: 'StreamBroken' },
    read: async (url, onText, signal) => {
      const client = new SageMakerRuntimeClient({ endpoint: url, region: 'us-east-1', maxAttempts: 1, credentials: CREDENTIALS })
      const Body = Buffer.from(JSON.stringify({ inputs: 'hi', stream: true }))
      const ask = new InvokeEndpointWithResponseStreamCommand({ EndpointName: MODEL, ContentType: 'application/json', Body })
      let text = ''
      const answer = await client.send(ask, { abortSignal: signal })
      for await (const event of answer.Body ?? []) {
        const [, json] = /^data: (.*)$/m.exec(Buffer.from(event.PayloadPart?.Bytes ?? []).toString()) ?? []
        if (json !== undefined) onText((text += (JSON.parse(json) as { token: { text: string } }).token.text))
        if (signal.aborted) break
      }
      client.destroy()
      return text
    },
  },
]

const cleanups: (() => Promise<unknown>)[] = []

async function start(args: TestServerArguments): Promise<TestServer> {
  const target = await startTestServer(args)
  cleanups.unshift(() => target.server.close({ graceMs: 0 }))
  return target
}

afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

/** A worker that says one word to whoever asks, and then waits to be killed. */
class DoomedWorker {
  listeners: WorkerListeners | null = null

  readonly spawn: SpawnWorker = (listeners) => {
    this.listeners = listeners
    setImmediate(() => listeners.onMessage({ type: 'ready', facts: FAKE_FACTS }))
    return {
      pid: 1,
      send: (message) => {
        if (message.type === 'close') setImmediate(() => listeners.onExit('closed'))
        if (message.type !== 'generate') return
        const events: readonly GenerateEvent[] = [
          { type: 'response-start', promptTokens: 1, cachedTokens: 0 },
          { type: 'text-delta', choice: 0, text: 'word', logprobs: null },
        ]
        listeners.onMessage({ type: 'events', calls: events.map(() => message.call), events })
      },
      kill: () => listeners.onExit('killed'),
    }
  }
}

/** Six words with a pause before each. */
function speakSlowly(waitMs: number): Script {
  return async function* (_request, signal) {
    yield { type: 'response-start', promptTokens: 7, cachedTokens: 0 }
    for (let word = 0; word < 6; word++) {
      await delay(waitMs, undefined, { signal })
      yield { type: 'text-delta', choice: 0, text: `w${word} `, logprobs: null }
    }
    yield { type: 'choice-end', choice: 0, finishReason: 'stop', stopString: null }
    yield { type: 'response-end', usage: { promptTokens: 7, cachedTokens: 0, cacheWriteTokens: 0, completionTokens: 6, reasoningTokens: 0 } }
  }
}

describe.each(DIALECTS)('$name', ({ read, lost }) => {
  test('87: a worker that dies ends the stream with the dialect’s error within a second, and not as whole', async () => {
    const worker = new DoomedWorker()
    const registry = new ModelRegistry()
    registry.add(MODEL, { engine: { modelPath: 'none' } as EngineOptions, spawn: worker.spawn, clock: systemClock })
    const target = await start({ models: registry })
    cleanups.push(() => registry.stop())
    let killedMs = Number.NaN
    const onText = (text: string): void => {
      if (text === '' || !Number.isNaN(killedMs)) return
      killedMs = systemClock.nowMs()
      worker.listeners?.onExit('killed by a test')
    }
    const outcome = await read(target.url, onText, new AbortController().signal).then(
      (text) => ({ text }),
      (error: unknown) => error,
    )
    expect(outcome).toMatchObject(lost)
    expect(systemClock.nowMs() - killedMs).toBeLessThan(1000)
  })

  test('90, 92: heartbeats before and between the words change nothing that the client reads', async () => {
    const target = await start({
      model: new FakeModel({ name: MODEL, script: speakSlowly(60) }),
      options: { heartbeatMs: 10, streamOpenAfterMs: 10 },
    })
    expect(await read(target.url, () => {}, new AbortController().signal)).toBe('w0 w1 w2 w3 w4 w5 ')
  })

  test.each(['before the first word', 'at the first word', 'in the middle', 'at the last word'])(
    '84: a client that leaves %s ends its work, and nobody else’s',
    async (when) => {
      const model = new FakeModel({ name: MODEL, script: speakSlowly(30) })
      const target = await start({ model })
      const leaving = new AbortController()
      const last = { 'at the first word': 'w0', 'in the middle': 'w2', 'at the last word': 'w5' }[when]
      const onText = (text: string): void => {
        if (last !== undefined && text.includes(last)) leaving.abort()
      }
      const left = read(target.url, onText, leaving.signal).catch(() => {})
      const stayed = read(target.url, () => {}, new AbortController().signal)
      if (last === undefined) {
        await expect.poll(() => model.numRunning).toBe(2)
        leaving.abort()
      }
      await left
      expect(await stayed).toBe('w0 w1 w2 w3 w4 w5 ')
      await expect.poll(() => model.numRunning).toBe(0)
      expect(target.lines.filter(({ level }) => level !== 'info')).toEqual([])
    },
  )
})
