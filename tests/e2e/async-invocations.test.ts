/**
 * Asynchronous invocations in real processes that are killed: what was accepted is answered once, whatever moment the kill came at
 * (docs/reference/bad-input.md, 104), and a payload that is larger than memory should be is not in memory.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer, request, type ClientRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, expect, test } from 'vitest'
import { SeededRandom } from '#base/random'
import { InferdProcess } from './inferd-process.ts'

const TIMEOUT_MS = 300_000
const folder = mkdtempSync(path.join(tmpdir(), 'inferd-async-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

interface View {
  readonly id: string
  readonly state: string
  readonly ended_at: string | null
  readonly output_location: string
}

/** Waits before the kill, in the order of a call's life. A server that has answered by then has accepted. */
const MOMENTS = ['half of the payload', 'all of the payload', 'a moment behind it', 'the answer', 'the run'] as const
type Moment = (typeof MOMENTS)[number]

function bodyOf(name: string): Buffer {
  // Long enough to be in several pieces on the wire.
  return Buffer.from(`{"inputs":${JSON.stringify(name)},${' '.repeat(200_000)}"parameters":{"max_new_tokens":3}}`)
}

function open({ baseUrl }: InferdProcess, name: string, length: number): ClientRequest {
  return request(`${baseUrl}/endpoints/inferd-chat/async`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'content-length': length, 'x-amzn-sagemaker-inference-id': name },
  })
}

/** The invocation, or null when the server died before its answer. */
function answerOf(call: ClientRequest): Promise<View | null> {
  return new Promise((resolve) => {
    call.on('error', () => resolve(null))
    call.on('response', (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', () => resolve(null))
      response.on('close', () =>
        resolve(response.complete && response.statusCode === 202 ? (JSON.parse(Buffer.concat(chunks).toString()) as View) : null),
      )
    })
  })
}

async function submit(server: InferdProcess, name: string): Promise<View> {
  const call = open(server, name, bodyOf(name).length)
  call.end(bodyOf(name))
  const view = await answerOf(call)
  expect(view, name).not.toBeNull()
  return view!
}

/** One call, and a kill at its moment. null = it was not accepted before the server was gone. */
async function killAt(moment: Moment, server: InferdProcess, name: string, random: SeededRandom): Promise<View | null> {
  const body = bodyOf(name)
  const call = open(server, name, body.length)
  const answer = answerOf(call)
  if (moment === 'half of the payload') {
    call.write(body.subarray(0, body.length / 2))
    await sleep(30)
  } else {
    await new Promise((resolve) => call.end(body, () => resolve(null)))
    if (moment === 'a moment behind it') await sleep(random.nextInt(25))
    if (moment === 'the answer' || moment === 'the run') await answer
    if (moment === 'the run') await sleep(random.nextInt(60))
  }
  server.child.kill('SIGKILL')
  await server.exited()
  return answer
}

function objectsIn(name: string): readonly string[] {
  const at = path.join(folder, 'data/objects/inferd-local/async', name)
  return readdirSync(at).toSorted()
}

test(
  '104: after kills at every moment of a call everything accepted has one result, and everything else none or one',
  async () => {
    const told = new Map<string, Set<string>>()
    const receiver = createServer((call, response) => {
      const chunks: Buffer[] = []
      call.on('data', (chunk: Buffer) => chunks.push(chunk))
      call.on('end', () => {
        const { Message, MessageId } = JSON.parse(Buffer.concat(chunks).toString()) as { readonly Message: string; readonly MessageId: string }
        const { inferenceId } = JSON.parse(Message) as { readonly inferenceId: string }
        told.set(inferenceId, (told.get(inferenceId) ?? new Set()).add(MessageId))
        response.end()
      })
    }).listen(0, '127.0.0.1')
    await new Promise((resolve) => receiver.once('listening', resolve))
    const { port } = receiver.address() as AddressInfo
    const config = path.join(folder, 'platform.json')
    const topics = [{ name: 'hook', url: `http://127.0.0.1:${port}/`, secret: 'env:INFERD_TEST_HOOK' }]
    writeFileSync(
      config,
      JSON.stringify({
        egress: { hosts: [{ host: '127.0.0.1', allowPrivate: true }] },
        jobs: { maxAttempts: 100 },
        asyncInference: { topics, successTopics: ['hook'], errorTopics: ['hook'] },
      }),
    )
    const start = (): Promise<InferdProcess> =>
      InferdProcess.startWith({ INFERD_TEST_HOOK: 'secret' }, '--data-dir', path.join(folder, 'data'), '--config', config)
    const random = new SeededRandom(104)
    const accepted = new Map<string, string>()
    const names: string[] = []
    for (let round = 0; round < 3; round++) {
      for (const moment of MOMENTS) {
        const server = await (await start()).ready()
        const name = `call-${round}-${MOMENTS.indexOf(moment)}`
        names.push(name)
        const view = await killAt(moment, server, name, random)
        if (view !== null) accepted.set(name, view.id)
      }
    }
    expect(accepted.size).toBeGreaterThanOrEqual(6)
    expect(accepted.has('call-0-0')).toBe(false)

    await using last = await (await start()).ready()
    for (const name of names) {
      // What was accepted is known by its name; what was not is accepted now.
      const { id } = await submit(last, name)
      if (accepted.has(name)) expect(id, name).toBe(accepted.get(name))
      accepted.set(name, id)
    }
    for (const id of accepted.values()) {
      const view = (): Promise<View> => fetch(`${last.baseUrl}/async/${id}`).then((answer) => answer.json() as Promise<View>)
      await expect.poll(async () => (await view()).ended_at, { timeout: 60_000 }).not.toBeNull()
      expect(await view()).toMatchObject({ state: 'succeeded' })
    }
    expect(objectsIn('output')).toEqual([...accepted.values()].map((id) => `${id}.out`).toSorted())
    for (const file of objectsIn('output')) {
      const text = readFileSync(path.join(folder, 'data/objects/inferd-local/async/output', file), 'utf8')
      expect(JSON.parse(text)).toEqual([{ generated_text: expect.any(String) as string }])
    }
    await expect.poll(() => told.size, { timeout: 60_000 }).toBe(names.length)
    expect([...told.values()].every((ids) => ids.size === 1)).toBe(true)
    receiver.close()
  },
  TIMEOUT_MS,
)

test(
  'a payload of 256 MiB is on the disk when it is accepted, and was never in memory; the model’s own bound is told in the failure',
  async () => {
    const dataDir = path.join(folder, 'large')
    await using server = await (await InferdProcess.start('--data-dir', dataDir)).ready()
    const numBytes = 256 * 2 ** 20
    const before = server.residentBytes()
    let largest = before
    const watch = setInterval(() => (largest = Math.max(largest, server.residentBytes())), 5)
    const call = open(server, 'large', numBytes)
    const answer = answerOf(call)
    const piece = Buffer.alloc(2 ** 20, ' ')
    for (let sent = 0; sent < numBytes; sent += piece.length) if (!call.write(piece)) await new Promise((resolve) => call.once('drain', resolve))
    call.end()
    const view = await answer
    clearInterval(watch)
    expect(view).not.toBeNull()
    // Buffers that wait for the collector: 62 MiB after 64, 71 after 256, 64 after 1,024 (measured).
    expect((largest - before) / 2 ** 20).toBeLessThan(128)
    const events = await (await fetch(`${server.baseUrl}/async/${view!.id}/events`)).text()
    expect(events).toContain('event: failed')
    expect(events).toContain(`the input has ${numBytes} bytes`)
    expect(statSync(path.join(dataDir, `objects/inferd-local/async/output/${view!.id}.error`)).size).toBeGreaterThan(0)
  },
  TIMEOUT_MS,
)

test(
  'a backlog wakes the endpoint that sleeps: one start, every invocation answered, no policy',
  async () => {
    const config = path.join(folder, 'sleeping.json')
    const model = path.resolve('models/inferd-chat/inferd-chat-Q8_0.gguf')
    writeFileSync(config, JSON.stringify({ models: [{ name: 'inferd-chat', path: model, minReplicas: 0, idleTimeoutS: 600 }] }))
    await using server = await (await InferdProcess.start('--data-dir', path.join(folder, 'sleeping'), '--config', config)).ready()
    const readiness = await (await fetch(`${server.baseUrl}/readyz`)).json()
    expect(readiness).toMatchObject({ models: [{ name: 'inferd-chat', state: 'asleep' }] })
    const views = await Promise.all(Array.from({ length: 20 }, (_, index) => submit(server, `wake-${index}`)))
    for (const { id } of views) expect(await (await fetch(`${server.baseUrl}/async/${id}/events`)).text()).toContain('event: succeeded')
    const page = await (await fetch(`${server.baseUrl}/metrics`)).text()
    expect(page).toMatch(/inferd_model_loads_total\{[^}]*\} 1\n/)
    expect(page).toContain('inferd_async_invocations_total{endpoint="inferd-chat",outcome="succeeded"} 20')
  },
  TIMEOUT_MS,
)

test(
  'a server that is told to go gives back what it runs: exit 0, no failed attempt, and the next one answers',
  async () => {
    const dataDir = path.join(folder, 'drained')
    const config = path.join(folder, 'drained.json')
    // One attempt that went wrong would be the last.
    writeFileSync(config, JSON.stringify({ jobs: { maxAttempts: 1 } }))
    const start = (): Promise<InferdProcess> => InferdProcess.start('--data-dir', dataDir, '--config', config, '--drain-s', '5')
    const first = await (await start()).ready()
    const views = await Promise.all(Array.from({ length: 12 }, (_, index) => submit(first, `drained-${index}`)))
    first.child.kill('SIGTERM')
    expect(await first.exited()).toBe(0)
    await using second = await (await start()).ready()
    for (const { id } of views) expect(await (await fetch(`${second.baseUrl}/async/${id}/events`)).text()).toContain('event: succeeded')
  },
  TIMEOUT_MS,
)
