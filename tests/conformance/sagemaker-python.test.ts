/** boto3 and the aws CLI, unchanged; only where this machine has them. */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { InferdError } from '#contract/errors'
import { AWS_ENVIRONMENT, COMMAND_TIMEOUT_MS, hasCommand } from './aws-commands.ts'
import { FakeModel, sayWords, type Script } from './fake-model.ts'
import { startTestServer, type TestServer } from './test-server.ts'

const run = promisify(execFile)
const CLIENT = join(import.meta.dirname, 'python/sagemaker_runtime.py')

/** The prompt says what goes wrong. */
const script: Script = async function* (request, signal) {
  const prompt = request.input.kind === 'text' ? request.input.text : ''
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
  'boto3 reads answers, parts and errors',
  async () => {
    const { stdout } = await run('python3', [CLIENT, target.url], { env: AWS_ENVIRONMENT, timeout: COMMAND_TIMEOUT_MS })
    const seen = JSON.parse(stdout) as Record<string, unknown>
    expect(seen).toMatchObject({
      text: [{ generated_text: 'Hello 🦊' }],
      variant: 'fake-model',
      attributes: 'a=1',
      chat: 'Hello 🦊',
      broken: 'ModelStreamError',
      fault: { class: 'ModelError', status: 424, OriginalStatusCode: 400, OriginalMessage: expect.stringContaining('parameters.temperature') },
      nobody: { class: 'ValidationError', status: 400 },
      csv: { class: 'ModelError', status: 415, OriginalStatusCode: 415 },
      overloaded: { class: 'ServiceUnavailable', status: 503 },
      loading: { class: 'ModelNotReadyException', status: 429 },
    })
    expect(String(seen['stream'])).toContain('"generated_text":"Hello 🦊"')
  },
  COMMAND_TIMEOUT_MS,
)

test.runIf(hasCommand('aws', '--version'))(
  'the aws CLI writes an answer to its file',
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'inferd-'))
    const file = join(folder, 'answer.json')
    const invocation = ['--endpoint-name', 'fake-model', '--content-type', 'application/json', '--body', `fileb://${join(folder, 'body.json')}`, file]
    await writeFile(join(folder, 'body.json'), '{"inputs": "x"}')
    const { stdout } = await run('aws', ['sagemaker-runtime', 'invoke-endpoint', '--endpoint-url', target.url, '--output', 'json', ...invocation], {
      env: AWS_ENVIRONMENT,
      timeout: COMMAND_TIMEOUT_MS,
    })
    expect(JSON.parse(stdout)).toMatchObject({ InvokedProductionVariant: 'fake-model' })
    expect(JSON.parse(await readFile(file, 'utf8'))).toEqual([{ generated_text: 'Hello 🦊' }])
    await rm(folder, { recursive: true })
  },
  COMMAND_TIMEOUT_MS,
)
