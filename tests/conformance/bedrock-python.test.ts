/** boto3 and the aws CLI against the Bedrock dialect, unchanged; only where this machine has them. */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { InferdError } from '#contract/errors'
import { AWS_ENVIRONMENT, COMMAND_TIMEOUT_MS, hasCommand } from './aws-commands.ts'
import { FakeModel, sayWords, type Script } from './fake-model.ts'
import { startTestServer, type TestServer } from './test-server.ts'

const run = promisify(execFile)
const CLIENT = join(import.meta.dirname, 'python/bedrock_runtime.py')

/** The prompt says what goes wrong. */
const script: Script = async function* (request, signal) {
  const prompt = request.input.kind === 'messages' ? request.input.messages.at(-1)!.content : ''
  if (prompt === 'overload') throw new InferdError('overloaded', 'in words')
  if (prompt === 'load') throw new InferdError('model_loading', 'in words')
  for await (const event of sayWords(['Hello', ' 🦊'])(request, signal)) {
    yield event
    if (prompt === 'break' && event.type === 'text-delta') throw new InferdError('replica_lost', 'in words')
  }
}

let target: TestServer

beforeAll(async () => {
  target = await startTestServer({ model: new FakeModel({ script }) })
})

afterAll(() => target.server.close({ graceMs: 0 }))

test.runIf(hasCommand('python3', '-c', 'import boto3'))(
  'boto3 reads answers, streams, counts and errors',
  async () => {
    const { stdout } = await run('python3', [CLIENT, target.url], { env: AWS_ENVIRONMENT, timeout: COMMAND_TIMEOUT_MS })
    const seen = JSON.parse(stdout) as Record<string, unknown>
    expect(seen).toMatchObject({
      text: [{ text: 'Hello 🦊' }],
      stop: 'end_turn',
      usage: { inputTokens: 5, outputTokens: 2, totalTokens: 9, cacheReadInputTokens: 2, cacheWriteInputTokens: 0 },
      stream: 'Hello 🦊',
      order: ['messageStart', 'contentBlockDelta', 'contentBlockDelta', 'contentBlockStop', 'messageStop', 'metadata'],
      anthropic: { body: { content: [{ type: 'text', text: 'Hello 🦊' }] }, tokens: '2' },
      llama: { body: { generation: 'Hello 🦊', stop_reason: 'stop' } },
      mistral: { body: { outputs: [{ text: 'Hello 🦊', stop_reason: 'stop' }] } },
      titan: 8,
      llama_text: 'Hello 🦊',
      llama_metrics: 2,
      count: 7,
      count_native: 7,
      models: ['fake/model'],
      fault: { class: 'ValidationException', status: 400, message: expect.stringContaining('inferenceConfig.temperature') },
      nobody: { class: 'ResourceNotFoundException', status: 404 },
      overloaded: { class: 'ServiceUnavailableException', status: 503 },
      loading: { class: 'ModelNotReadyException', status: 429 },
      broken: { class: 'EventStreamError', code: 'modelStreamErrorException' },
      guardrail: { class: 'ResourceNotFoundException', status: 404 },
    })
    expect((seen['anthropic_types'] as string[]).slice(-2)).toEqual(['message_delta', 'message_stop'])
  },
  COMMAND_TIMEOUT_MS,
)

test.runIf(hasCommand('aws', '--version'))(
  'the aws CLI converses and invokes',
  async () => {
    const call = async (...args: readonly string[]): Promise<unknown> => {
      const all = ['bedrock-runtime', ...args, '--model-id', 'fake/model', '--endpoint-url', target.url, '--output', 'json']
      const { stdout } = await run('aws', all, { env: AWS_ENVIRONMENT, timeout: COMMAND_TIMEOUT_MS })
      return JSON.parse(stdout)
    }
    const folder = await mkdtemp(join(tmpdir(), 'inferd-'))
    const file = join(folder, 'answer.json')
    const converse = await call('converse', '--messages', '[{"role":"user","content":[{"text":"hi"}]}]')
    expect(converse).toMatchObject({ output: { message: { content: [{ text: 'Hello 🦊' }] } }, stopReason: 'end_turn' })
    // Version 2 has to be told that the body is plain; version 1 does not know the word.
    const invoke = await call('invoke-model', '--cli-binary-format', 'raw-in-base64-out', '--body', '{"prompt":"hi","max_gen_len":9}', file).catch(
      async () => call('invoke-model', '--body', '{"prompt":"hi","max_gen_len":9}', file),
    )
    expect(invoke).toMatchObject({ contentType: 'application/json' })
    expect(JSON.parse(await readFile(file, 'utf8'))).toMatchObject({ generation: 'Hello 🦊' })
    await rm(folder, { recursive: true })
  },
  COMMAND_TIMEOUT_MS,
)
