/** Models on demand in real processes: herds, sleep, kills, a memory for two of three, models that cannot start. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, expect, test } from 'vitest'
import { InferdProcess, serverSentEvents } from './inferd-process.ts'

const MODEL_FILE = path.resolve('models/inferd-chat/inferd-chat-Q8_0.gguf')
const MIB = 2 ** 20
/** A busy machine decides nothing. */
const PATIENCE = { holdS: 600 }
const folder = mkdtempSync(path.join(tmpdir(), 'inferd-on-demand-'))

afterAll(() => rmSync(folder, { recursive: true, force: true }))

interface PlatformModel {
  readonly name: string
  readonly path?: string
  readonly minReplicas?: 0
  readonly idleTimeoutS?: number
  readonly pin?: boolean
  readonly maxConcurrency?: number
}

let numFiles = 0

function startWith(models: readonly PlatformModel[], modelMemory: object = {}): Promise<InferdProcess> {
  const file = path.join(folder, `platform-${numFiles++}.json`)
  const entries = models.map((model) => ({ path: MODEL_FILE, minReplicas: 0, idleTimeoutS: 600, ...model }))
  writeFileSync(file, JSON.stringify({ models: entries, modelMemory: { ...PATIENCE, ...modelMemory }, admission: { maxWaitS: PATIENCE.holdS } }))
  return InferdProcess.start('--log-level', 'error', '--data-dir', path.join(folder, `data-${numFiles}`), '--config', file)
}

function ask(server: InferdProcess, model: string, body: object = {}): Promise<Response> {
  return server.post('/v1/completions', { model, prompt: 'The quick brown fox', max_tokens: 4, temperature: 0, ...body })
}

/** Sum of a metric over the label sets that have all of `labels`. */
async function metric(server: InferdProcess, name: string, ...labels: readonly string[]): Promise<number> {
  const text = await (await fetch(`${server.baseUrl}/metrics`)).text()
  const lines = text
    .split('\n')
    .filter((line) => line.startsWith(name) && /[ {]/.test(line.charAt(name.length)) && labels.every((label) => line.includes(label)))
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)
}

async function until(condition: () => boolean | Promise<boolean>, words: string, timeoutMs = 30_000): Promise<void> {
  for (const deadline = performance.now() + timeoutMs; performance.now() < deadline; await sleep(10)) if (await condition()) return
  throw new Error(`never: ${words}`)
}

interface ModelState {
  readonly name: string
  readonly state: string
  readonly error?: string
}

async function readiness(server: InferdProcess): Promise<{ readonly status: string; readonly models: readonly ModelState[] }> {
  return (await (await fetch(`${server.baseUrl}/readyz`)).json()) as { status: string; models: ModelState[] }
}

test('1,000 requests that meet a sleeping model are all answered by one start; idle, it gives its process and memory back', async () => {
  await using server = await (await startWith([{ name: 'sleeper', idleTimeoutS: 2 }], { budgetMib: 512 })).ready()
  expect((await readiness(server)).models).toEqual([{ name: 'sleeper', state: 'asleep' }])
  const answers = await Promise.all(
    Array.from({ length: 1000 }, async () => {
      const response = await ask(server, 'sleeper')
      const { choices, error } = (await response.json()) as { choices?: { text: string }[]; error?: { message: string } }
      return `${response.status} ${choices?.[0]?.text ?? error?.message}`
    }),
  )
  expect([...new Set(answers)]).toEqual(['200  jumps over the lazy'])
  expect(await metric(server, 'inferd_model_loads_total')).toBe(1)
  // The process that read the file's header lingers for 10 s.
  await until(() => server.workerPids().length === 0, 'every worker is gone', 120_000)
  expect(await metric(server, 'inferd_model_memory_used_bytes')).toBe(0)
  expect(await metric(server, 'inferd_model_unloads_total', 'reason="idle"')).toBe(1)
  expect(await readiness(server)).toMatchObject({ status: 'ready', models: [{ name: 'sleeper', state: 'asleep' }] })
  for (const phase of ['wait', 'spawn', 'load', 'first_token', 'total'])
    expect(await metric(server, 'inferd_cold_start_seconds_count', `phase="${phase}"`), phase).toBe(1)
})

test('a call that is refused before it needs the model wakes nothing', async () => {
  await using server = await (await startWith([{ name: 'sleeper' }])).ready()
  expect((await ask(server, 'sleeper', { max_tokens: -1 })).status).toBe(400)
  expect((await ask(server, 'sleeper', { prompt: 'x', max_tokens: 1, temperature: 9 })).status).toBe(400)
  expect((await readiness(server)).models).toEqual([{ name: 'sleeper', state: 'asleep' }])
  expect(await metric(server, 'inferd_model_cache_requests_total')).toBe(0)
})

test('a worker that is killed while its model wakes is replaced, and every held call is answered', async () => {
  await using server = await (await startWith([{ name: 'sleeper' }])).ready()
  const reader = server.workerPids()
  const answers = Array.from({ length: 20 }, () => ask(server, 'sleeper'))
  let killed = 0
  await until(() => {
    const [worker] = server.workerPids().filter((pid) => !reader.includes(pid))
    if (worker !== undefined) process.kill((killed = worker), 'SIGKILL')
    return worker !== undefined
  }, 'a worker is there')
  const statuses = (await Promise.all(answers)).map(({ status }) => status)
  expect(new Set(statuses)).toEqual(new Set([200]))
  expect(server.workerPids()).not.toContain(killed)
  expect(await metric(server, 'inferd_model_loads_total')).toBe(1)
})

test('of three models with memory for two the one that was used least recently makes room, and none is ever refused', async () => {
  const names = ['a', 'b', 'c']
  await using server = await (
    await startWith(
      names.map((name) => ({ name })),
      { budgetMib: 300 },
    )
  ).ready()
  const states = async (): Promise<string> => (await readiness(server)).models.map(({ state }) => state).join(' ')
  for (const [name, after] of [
    ['a', 'ready asleep asleep'],
    ['b', 'ready ready asleep'],
    ['a', 'ready ready asleep'],
    ['c', 'ready asleep ready'],
    ['b', 'asleep ready ready'],
  ] as const) {
    expect((await ask(server, name)).status).toBe(200)
    expect(await states()).toBe(after)
  }
  let isOver = false
  let mostBytes = 0
  const watching = (async () => {
    for (; !isOver; await sleep(50)) mostBytes = Math.max(mostBytes, await metric(server, 'inferd_model_memory_used_bytes'))
  })()
  // Closed loops on all three at once: nobody is idle, so turns are made by draining.
  const statuses = await Promise.all(
    names.flatMap((name) =>
      Array.from({ length: 3 }, async () => {
        const seen: number[] = []
        for (let turn = 0; turn < 8; turn++) seen.push((await ask(server, name)).status)
        return seen
      }),
    ),
  )
  isOver = true
  await watching
  expect(new Set(statuses.flat())).toEqual(new Set([200]))
  expect(mostBytes).toBeLessThanOrEqual(300 * MIB)
  expect(mostBytes).toBeGreaterThan(200 * MIB)
})

test('a stream that runs keeps its model up past its idle time, and through the wish of others for its memory', async () => {
  await using server = await (await startWith([{ name: 'a', idleTimeoutS: 1 }, { name: 'b' }], { budgetMib: 200, fairWaitS: 0 })).ready()
  const stream = await ask(server, 'a', { prompt: 'Once upon a time', max_tokens: 1500, stream: true, ignore_eos: true })
  const other = ask(server, 'b')
  let last: unknown
  let numPieces = 0
  for await (const event of serverSentEvents(stream)) {
    last = event
    numPieces++
  }
  expect([last, numPieces > 500]).toEqual(['[DONE]', true])
  expect((await other).status).toBe(200)
})

test('a model that cannot start says why, rests, and holds up nobody', async () => {
  const cut = path.join(folder, 'cut.gguf')
  writeFileSync(cut, readFileSync(MODEL_FILE))
  truncateSync(cut, 2_000_000)
  await using server = await startWith([{ name: 'good', pin: true }, { name: 'cut', path: cut }, { name: 'other' }], { budgetMib: 300 })
  const [good, bad, other] = await Promise.all(['good', 'cut', 'other'].map((name) => ask(server, name)))
  expect([good!.status, other!.status]).toEqual([200, 200])
  expect(bad!.status).toBeGreaterThanOrEqual(400)
  expect((await readiness(server)).models).toMatchObject([{ state: 'ready' }, { state: 'failed', error: 'invalid_model_file' }, { state: 'ready' }])
  expect((await ask(server, 'good')).status).toBe(200)
})

test('a model that is larger than the budget is refused with need and have', async () => {
  await using server = await startWith([{ name: 'large' }], { budgetMib: 100 })
  const response = await ask(server, 'large')
  expect(response.status).toBeGreaterThanOrEqual(500)
  expect(await response.text()).toMatch(/needs \d+ bytes; the memory budget has 104857600/)
  expect((await readiness(server)).models).toEqual([{ name: 'large', state: 'asleep', error: 'insufficient_memory' }])
})

test('the models of a folder are registered by the hundred without a process, and each of them answers when it is called', async () => {
  const models = path.join(folder, 'models')
  mkdirSync(models)
  for (let index = 0; index < 500; index++) symlinkSync(MODEL_FILE, path.join(models, `m${index}.gguf`))
  const file = path.join(folder, 'folder.json')
  writeFileSync(file, JSON.stringify({ modelFolders: [{ path: models, prefix: 'shop/' }], modelMemory: { budgetMib: 300 } }))
  await using server = await InferdProcess.start('--log-level', 'error', '--data-dir', path.join(folder, 'data-folder'), '--config', file)
  const { data } = (await (await fetch(`${server.baseUrl}/v1/models`)).json()) as { data: { id: string }[] }
  expect((await readiness(server)).status).toBe('ready')
  expect([data.length, data.some(({ id }) => id === 'shop/m499'), server.workerPids().length]).toEqual([500, true, 0])
  for (const index of [7, 499, 250, 7]) expect((await ask(server, `shop/m${index}`)).status).toBe(200)
  expect(await metric(server, 'inferd_models', 'state="ready"')).toBe(2)
  expect((await ask(server, 'shop/m500')).status).toBe(404)
  const invoke = (target: string): Promise<Response> =>
    server.post(
      '/endpoints/shop/invocations',
      { inputs: 'The quick brown fox', parameters: { max_new_tokens: 4 } },
      {
        headers: { 'content-type': 'application/json', 'x-amzn-sagemaker-target-model': target },
      },
    )
  const invoked = await invoke('shop/m9.tar.gz')
  expect([invoked.status, await invoked.text()]).toEqual([200, expect.stringContaining('jumps over')])
})

test('maxConcurrency is what a model is given at a time; the next call waits its turn', async () => {
  await using server = await (await startWith([{ name: 'one', maxConcurrency: 1 }])).ready()
  const tell = { prompt: 'Once upon a time', max_tokens: 1500, stream: true, ignore_eos: true }
  const [first, second] = [await ask(server, 'one', tell), ask(server, 'one')]
  await until(async () => (await metric(server, 'inferd_queue_requests')) === 1, 'the second call waits')
  expect(await metric(server, 'inferd_running_choices')).toBe(1)
  await first.body!.cancel()
  expect((await second).status).toBe(200)
})

test('with a budget the models of --model are always on and in the ledger, and a sleeping one cannot have their memory', async () => {
  const file = path.join(folder, 'beside.json')
  writeFileSync(file, JSON.stringify({ models: [{ name: 'sleeper', path: MODEL_FILE, minReplicas: 0 }], modelMemory: { budgetMib: 200 } }))
  const args = ['--log-level', 'error', '--data-dir', path.join(folder, 'data-beside'), '--config', file, '--model', `always=${MODEL_FILE}`]
  await using server = await (await InferdProcess.start(...args)).ready()
  expect((await readiness(server)).models.map(({ name, state }) => `${name} ${state}`)).toEqual(['always ready', 'sleeper asleep'])
  expect((await ask(server, 'always')).status).toBe(200)
  expect(await (await ask(server, 'sleeper')).text()).toMatch(/needs \d+ bytes; the memory budget has \d+ for it/)
})
