/** Clients that speak HTTP/2 in clear text by themselves: the AWS SDK for JavaScript with its default handler, and curl. */
import { execFile, execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:http2'
import { promisify } from 'node:util'
import { BedrockRuntimeClient, ConverseCommand, ConverseStreamCommand } from '@aws-sdk/client-bedrock-runtime'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { InferdError } from '#contract/errors'
import { directModels } from '#platform/online/online-models'
import { directoryOf, FakeModel, sayNothing, sayWords } from './fake-model.ts'
import { startTestServer, type TestServer } from './test-server.ts'

const run = promisify(execFile)
const TEXT = 'Hello wörld 🦊'
const ASK = { modelId: 'fake/model', messages: [{ role: 'user' as const, content: [{ text: 'hi' }] }] }

let target: TestServer
let model: FakeModel
let client: BedrockRuntimeClient

beforeAll(async () => {
  model = new FakeModel()
  const direct = directModels(directoryOf(model))
  target = await startTestServer({
    model,
    online: {
      ...direct,
      generate: (call, signal) => {
        call.report.servedBy = 'fake/model'
        return direct.generate(call, signal)
      },
    },
  })
  client = new BedrockRuntimeClient({
    endpoint: target.url,
    region: 'us-east-1',
    maxAttempts: 1,
    credentials: { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret' },
  })
})

beforeEach(() => {
  model.script = sayWords(['Hello', ' ', 'wörld', ' 🦊'])
})

afterAll(async () => {
  client.destroy()
  await target.server.close({ graceMs: 0 })
})

function hasCurl(): boolean {
  try {
    return execFileSync('curl', ['--version']).includes('HTTP2')
  } catch {
    return false
  }
}

test('the Bedrock client with its own HTTP/2 handler: whole and streamed', async () => {
  expect(client.config.requestHandler.constructor.name).toContain('Http2')
  const whole = await client.send(new ConverseCommand(ASK))
  expect(whole.output?.message?.content).toEqual([{ text: TEXT }])
  const { stream } = await client.send(new ConverseStreamCommand(ASK))
  let text = ''
  for await (const event of stream ?? []) text += event.contentBlockDelta?.delta?.text ?? ''
  expect(text).toBe(TEXT)
})

test('the Bedrock client reads errors over HTTP/2, and its abort ends one request only', async () => {
  model.script = async function* () {
    yield* []
    throw new InferdError('overloaded', 'in words')
  }
  await expect(client.send(new ConverseCommand(ASK))).rejects.toMatchObject({
    name: 'ServiceUnavailableException',
    $metadata: { httpStatusCode: 503 },
  })
  model.script = sayNothing
  const [leaving, staying] = [new AbortController(), new AbortController()]
  const left = client.send(new ConverseCommand(ASK), { abortSignal: leaving.signal }).catch((error: unknown) => error)
  const stayed = client.send(new ConverseCommand(ASK), { abortSignal: staying.signal }).catch((error: unknown) => error)
  await expect.poll(() => model.numRunning).toBe(2)
  leaving.abort()
  await left
  await expect.poll(() => model.numRunning).toBe(1)
  staying.abort()
  await stayed
  await expect.poll(() => model.numRunning).toBe(0)
})

test('what became of a call arrives in trailers of HTTP/2', async () => {
  const session = connect(target.url)
  const stream = session.request({ ':method': 'POST', ':path': '/v1/chat/completions', 'content-type': 'application/json' })
  stream.end(JSON.stringify({ model: 'fake/model', stream: true, messages: [{ role: 'user', content: 'hi' }] }))
  stream.resume()
  const [trailers] = (await once(stream, 'trailers')) as [Record<string, unknown>]
  expect(trailers['x-inferd-model']).toBe('fake/model')
  await once(stream, 'close')
  expect(stream.rstCode).toBe(0)
  session.destroy()
})

test.runIf(hasCurl())('curl with prior knowledge: an answer, a stream, a refusal with an unread body', async () => {
  const curl = async (...args: readonly string[]): Promise<string> => {
    const all = [
      '--silent',
      '--show-error',
      '--noproxy',
      '*',
      '--http2-prior-knowledge',
      '--max-time',
      '20',
      '--write-out',
      '\n%{http_version} %{http_code}',
    ]
    return (await run('curl', [...all, '--header', 'content-type: application/json', ...args])).stdout
  }
  const url = `${target.url}/v1/chat/completions`
  const body = { model: 'fake/model', messages: [{ role: 'user', content: 'hi' }] }
  const whole = await curl('--data', JSON.stringify(body), url)
  expect(whole).toContain(TEXT)
  expect(whole.endsWith('\n2 200')).toBe(true)
  expect(await curl('--data', JSON.stringify({ ...body, stream: true }), url)).toMatch(/data: \[DONE\]\n\n\n2 200$/)
  expect((await curl('--data', JSON.stringify({ ...body, temperature: 9 }), url)).endsWith('\n2 400')).toBe(true)
  expect((await curl('--header', 'host: evil.example', '--data', 'x'.repeat(100_000), url)).endsWith('\n2 421')).toBe(true)
})
