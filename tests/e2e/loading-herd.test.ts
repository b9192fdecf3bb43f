/** Bad input 97 of the reliability study: a thousand calls of a model that is still loading, in every dialect. */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { dialectTargets, type DialectTarget, readError } from '../conformance/dialect-targets.ts'
import { InferdProcess } from './inferd-process.ts'
import { type PostedAnswer, TwoProtocolClient } from './two-protocol-client.ts'

const CALLS = 1000
const TARGETS = dialectTargets('inferd-chat')
const { signal } = new AbortController()

/** A worker that has begun to load and gets no further until it is let go on. */
async function stopLoading(server: InferdProcess): Promise<number> {
  while (server.workerPids().length === 0) await sleep(5)
  const [worker] = server.workerPids()
  process.kill(worker!, 'SIGSTOP')
  expect((await fetch(`${server.baseUrl}/readyz`)).status).toBe(503)
  return worker!
}

async function send(client: TwoProtocolClient, target: DialectTarget): Promise<PostedAnswer & { readonly target: DialectTarget }> {
  const posted = { path: target.path, headers: target.headers, body: JSON.stringify(target.body) }
  const answer = await (target.dialect === 'bedrock' ? client.postOverHttp2(posted, signal) : client.post(posted, signal))
  return { ...answer, target }
}

/** What the dialect says of a model that loads. */
const LOADING: Readonly<Record<DialectTarget['dialect'], readonly [number, string]>> = {
  openai: [503, 'model_loading'],
  anthropic: [529, 'overloaded_error'],
  bedrock: [429, 'ModelNotReadyException'],
  sagemaker: [429, 'ModelNotReadyException'],
  tgi: [503, 'overloaded'],
  oip: [503, ''],
}

test('97: a thousand calls of a loading model start one worker, wait for it and are answered', async () => {
  await using server = await InferdProcess.start('--log-level', 'info')
  using client = new TwoProtocolClient(server.baseUrl)
  const worker = await stopLoading(server)
  let numAnswered = 0
  const answers = Array.from({ length: CALLS }, (_, index) => send(client, TARGETS[index % TARGETS.length]!).finally(() => numAnswered++))
  await sleep(1000)
  expect([server.workerPids(), numAnswered]).toEqual([[worker], 0])
  process.kill(worker, 'SIGCONT')
  for (const { target, status } of await Promise.all(answers)) expect([target.path, status]).toEqual([target.path, 200])
  expect(server.workerPids()).toEqual([worker])
  expect(server.log).not.toContain('model worker ended')
}, 60_000)

test('97: who has waited ten seconds for a loading model is told when to come back, in the form of the dialect', async () => {
  await using server = await InferdProcess.start('--log-level', 'info')
  using client = new TwoProtocolClient(server.baseUrl)
  const worker = await stopLoading(server)
  for (const { target, status, headers, bytes } of await Promise.all(TARGETS.map((each) => send(client, each)))) {
    const plain = Object.entries(headers).filter(([name, value]) => !name.startsWith(':') && typeof value === 'string') as [string, string][]
    const { type, message } = await readError(target, new Response(new Uint8Array(bytes), { status, headers: plain }))
    expect([target.path, status, type], message).toEqual([target.path, ...LOADING[target.dialect]])
    expect(message).toContain('loading')
    expect(Number(headers['retry-after']), target.path).toBeGreaterThanOrEqual(1)
  }
  process.kill(worker, 'SIGCONT')
  await server.ready()
  expect(await send(client, TARGETS[0]!)).toMatchObject({ status: 200 })
}, 60_000)
