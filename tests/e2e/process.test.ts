/** Real processes: a worker that dies, clients that leave, a server that drains, files that are not models. */
import { once } from 'node:events'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { InferdProcess, serverSentEvents } from './inferd-process.ts'

const MODEL_FILE = 'models/inferd-chat/inferd-chat-Q8_0.gguf'
const LONG_STORY = {
  model: 'inferd-chat',
  messages: [{ role: 'user', content: 'Tell me a short story about a fox.' }],
  stream: true,
  max_tokens: 1500,
  ignore_eos: true,
}
const CAPITAL = { model: 'inferd-chat', messages: [{ role: 'user', content: 'What is the capital of France?' }], temperature: 0 }

async function askCapital(server: InferdProcess): Promise<string> {
  const response = await server.post('/v1/chat/completions', CAPITAL)
  expect(response.status).toBe(200)
  return ((await response.json()) as { choices: { message: { content: string } }[] }).choices[0]!.message.content
}

test('a worker killed in mid-stream ends the stream with an error event and no [DONE], and the next request works', async () => {
  await using server = await (await InferdProcess.start()).ready()
  const response = await server.post('/v1/chat/completions', LONG_STORY)
  const seen: unknown[] = []
  for await (const event of serverSentEvents(response)) {
    seen.push(event)
    if (seen.length === 5) process.kill(server.workerPids()[0]!, 'SIGKILL')
  }
  expect(seen).not.toContain('[DONE]')
  expect(seen.at(-1)).toMatchObject({ error: { code: 'replica_lost' } })
  expect(await askCapital(server)).toBe('The capital of France is Paris.')
})

test('a worker killed before the first byte costs the client nothing: the request runs again on the next worker', async () => {
  await using server = await (await InferdProcess.start()).ready()
  const [workerPid] = server.workerPids()
  process.kill(workerPid!, 'SIGSTOP')
  const answers = [askCapital(server), askCapital(server)]
  await sleep(300)
  process.kill(workerPid!, 'SIGKILL')
  expect(await Promise.all(answers)).toEqual(['The capital of France is Paris.', 'The capital of France is Paris.'])
})

test('a worker that hangs makes the server not ready, and is replaced', async () => {
  await using server = await (await InferdProcess.start('--hang-s', '1')).ready()
  const [workerPid] = server.workerPids()
  process.kill(workerPid!, 'SIGSTOP')
  const readiness = await fetch(`${server.baseUrl}/readyz`)
  expect([readiness.status, await readiness.json()]).toMatchObject([503, { missing: ['model inferd-chat is unresponsive'] }])
  expect((await fetch(`${server.baseUrl}/healthz`)).status).toBe(200)
  await server.ready()
  expect(server.workerPids()).not.toContain(workerPid)
  expect(await askCapital(server)).toBe('The capital of France is Paris.')
})

test('who interrupts twice does not wait for the drain, and no worker is left', async () => {
  await using server = await (await InferdProcess.start()).ready()
  const [workerPid] = server.workerPids()
  const response = await server.post('/v1/chat/completions', LONG_STORY)
  const events = serverSentEvents(response)
  await events.next()
  server.child.kill('SIGINT')
  await sleep(50)
  server.child.kill('SIGINT')
  expect(await server.exited()).toBe(130)
  for (let attempt = 0; attempt < 100 && isAlive(workerPid!); attempt++) await sleep(20)
  expect(isAlive(workerPid!)).toBe(false)
})

test('the gateway maps no model file', async () => {
  await using server = await (await InferdProcess.start()).ready()
  const mapsAndFiles = readFileSync(`/proc/${server.pid}/maps`, 'utf8')
  expect(mapsAndFiles).not.toContain('.gguf')
  expect(mapsAndFiles).not.toContain('inferd_native')
})

test('SIGTERM lets a running stream end, refuses new connections, and exits 0 without children', async () => {
  await using server = await (await InferdProcess.start()).ready()
  const response = await server.post('/v1/chat/completions', { ...LONG_STORY, max_tokens: 400 })
  const [workerPid] = server.workerPids()
  const seen: unknown[] = []
  for await (const event of serverSentEvents(response)) {
    seen.push(event)
    if (seen.length === 3) {
      server.child.kill('SIGTERM')
      await sleep(50)
      const { hostname, port } = new URL(server.baseUrl)
      await expect(once(connect(Number(port), hostname), 'connect')).rejects.toThrow('ECONNREFUSED')
    }
  }
  expect(seen.at(-1)).toBe('[DONE]')
  expect(await server.exited()).toBe(0)
  expect(() => process.kill(workerPid!, 0)).toThrow('ESRCH')
})

test('a stream that outlives the drain time ends with an error event', async () => {
  await using server = await (await InferdProcess.start('--drain-s', '0')).ready()
  const response = await server.post('/v1/chat/completions', LONG_STORY)
  const seen: unknown[] = []
  for await (const event of serverSentEvents(response)) {
    seen.push(event)
    if (seen.length === 3) server.child.kill('SIGTERM')
  }
  expect(seen).not.toContain('[DONE]')
  expect(seen.at(-1)).toMatchObject({ error: { code: 'shutting_down' } })
  expect(await server.exited()).toBe(0)
})

test('a gateway that is killed takes its worker with it', async () => {
  await using server = await (await InferdProcess.start()).ready()
  const [workerPid] = server.workerPids()
  server.child.kill('SIGKILL')
  await server.exited()
  for (let attempt = 0; attempt < 100 && isAlive(workerPid!); attempt++) await sleep(50)
  expect(isAlive(workerPid!)).toBe(false)
})

test('a damaged model file ends the start with a named reason', async () => {
  const file = path.join(mkdtempSync(path.join(tmpdir(), 'inferd-e2e-')), 'broken.gguf')
  writeFileSync(file, 'GGUF\x03\0\0\0 and then nothing of sense')
  await using server = await InferdProcess.start('--model', file)
  expect(await server.exited()).toBe(1)
  expect(server.log).toContain('invalid_model_file')
})

test('a model that fails leaves the others serving', async () => {
  const file = path.join(mkdtempSync(path.join(tmpdir(), 'inferd-e2e-')), 'broken.gguf')
  writeFileSync(file, 'not a model')
  await using server = await InferdProcess.start('--model', `broken=${file}`, `inferd-chat=${MODEL_FILE}`)
  for (let attempt = 0; attempt < 200 && !server.log.includes('model ready'); attempt++) await sleep(20)
  expect(await askCapital(server)).toBe('The capital of France is Paris.')
  const refused = await server.post('/v1/chat/completions', { ...CAPITAL, model: 'broken' })
  expect([refused.status, await refused.json()]).toMatchObject([404, { error: { code: 'model_not_found' } }])
})

test('a client that closes its socket stops the work behind it', async () => {
  await using server = await (await InferdProcess.start()).ready()
  const { hostname, port } = new URL(server.baseUrl)
  const body = JSON.stringify({ ...LONG_STORY, max_tokens: 1900 })
  for (let client = 0; client < 20; client++) {
    const socket = connect(Number(port), hostname)
    socket.write(
      `POST /v1/chat/completions HTTP/1.1\r\nHost: ${hostname}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    )
    await new Promise((resolve) => socket.once('data', resolve))
    socket.destroy()
  }
  await expect.poll(() => server.load(), { timeout: 5000 }).toMatchObject({ running: 0, waiting: 0 })
  const { kvBlocks, kvBlocksFree } = await server.load()
  expect(kvBlocksFree).toBe(kvBlocks)
  expect(await askCapital(server)).toBe('The capital of France is Paris.')
})

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
