/**
 * Gateways in front of one mock model, interleaved in one run: inferd with the mock as an upstream, the LiteLLM proxy and Portkey's
 * gateway, each pinned to one core, load and mock on the other. Closed loop over keep-alive connections; streams of 100 events sent at once,
 * and whole answers. No gateway caches, logs or retries.
 *
 * Install the peers outside of the repository first: `python3 -m venv FOLDER/litellm && FOLDER/litellm/bin/pip install 'litellm[proxy]'`,
 * `npm install --prefix FOLDER/portkey @portkey-ai/gateway hono@4.9.7 @hono/node-server@1.3.3` (with later versions of these two, which its
 * package allows, Portkey 1.15.2 answers every stream with 500).
 * Arguments: FOLDER [ROUNDS [SECONDS [CONNECTIONS]]].
 */
import { type ChildProcess, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { emit, recordOf } from '../record.ts'
import type { LoadOrder, LoadResult } from './load-client.ts'
import { compileSubjects, GATEWAY_CORE, LOAD_CORE } from './processes.ts'

const MOCK_PORT = 9101
const ROOT = path.resolve(import.meta.dirname, '../..')
const MASTER_KEY = 'sk-bench-0123456789abcdef0123456789abcdef0123456789abcdef'

interface Subject {
  readonly name: string
  readonly port: number
  readonly model: string
  readonly headers: Readonly<Record<string, string>>
  readonly process: ChildProcess | null
}

interface MeasuredRun extends LoadResult {
  /** Of the subject's process: what neighbours on the machine spoil least. */
  readonly cpuMs: number
}

type Mode = 'stream' | 'whole'

const [folder, rounds = '5', seconds = '4', connections = '16'] = process.argv.slice(2)
if (folder === undefined) throw new RangeError('FOLDER [ROUNDS [SECONDS [CONNECTIONS]]]')
const temporary = mkdtempSync(path.join(tmpdir(), 'inferd-peers-'))

function pinned(core: string, command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
  const child = spawn('taskset', ['-c', core, command, ...args], { cwd: ROOT, stdio: 'ignore', env: { ...process.env, ...env } })
  process.once('exit', () => child.kill('SIGKILL'))
  return child
}

function startInferd(): Subject {
  const file = path.join(temporary, 'inferd.yaml')
  writeFileSync(
    file,
    `upstreams:
  - dialect: openai
    baseUrl: http://127.0.0.1:${MOCK_PORT}/v1
    maxConcurrentCalls: 1000
    models: [{ name: mock, remoteModel: mock, contextLength: 100000 }]
egress: { hosts: [{ host: 127.0.0.1, allowPrivate: true }] }
`,
  )
  const args = ['dist/main.js', 'serve', '--config', file, '--port', '9104', '--data-dir', path.join(temporary, 'data'), '--log-level', 'error']
  return { name: 'inferd', port: 9104, model: 'mock', headers: {}, process: pinned(GATEWAY_CORE, process.execPath, args) }
}

function startLiteLlm(): Subject {
  const file = path.join(temporary, 'litellm.yaml')
  const model = `  - model_name: mock\n    litellm_params:\n      model: openai/mock\n      api_base: http://127.0.0.1:${MOCK_PORT}/v1\n      api_key: none\n`
  writeFileSync(file, `model_list:\n${model}litellm_settings:\n  num_retries: 0\n  telemetry: false\ngeneral_settings:\n  disable_spend_logs: true\n`)
  const args = ['--config', file, '--port', '9102', '--host', '127.0.0.1', '--num_workers', '1']
  const child = pinned(GATEWAY_CORE, path.join(folder!, 'litellm/bin/litellm'), args, { LITELLM_MASTER_KEY: MASTER_KEY, LITELLM_LOG: 'ERROR' })
  return { name: 'litellm', port: 9102, model: 'mock', headers: { authorization: `Bearer ${MASTER_KEY}` }, process: child }
}

function startPortkey(): Subject {
  const entry = path.join(folder!, 'portkey/node_modules/@portkey-ai/gateway/build/start-server.js')
  const headers = { authorization: 'Bearer none', 'x-portkey-provider': 'openai', 'x-portkey-custom-host': `http://127.0.0.1:${MOCK_PORT}/v1` }
  const child = pinned(GATEWAY_CORE, process.execPath, [entry, '--headless', '--port=9103'])
  return { name: 'portkey', port: 9103, model: 'mock', headers, process: child }
}

function bodyOf(subject: Subject, mode: Mode): string {
  return JSON.stringify({ model: subject.model, stream: mode === 'stream', messages: [{ role: 'user', content: 'hi' }] })
}

async function untilAnswering(subject: Subject): Promise<void> {
  for (let tries = 0; tries < 240; tries++) {
    const response = await fetch(`http://127.0.0.1:${subject.port}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...subject.headers },
      body: bodyOf(subject, 'whole'),
    }).catch(() => null)
    if (response?.ok === true) return
    await delay(500)
  }
  throw new RangeError(`${subject.name} does not answer`)
}

async function measure(client: ChildProcess, order: LoadOrder): Promise<LoadResult> {
  client.send(order)
  const [result] = (await once(client, 'message')) as [LoadResult]
  return result
}

/** Of the process so far: user and system, in units of 10 ms. */
function cpuMsOf({ process: child }: Subject): number {
  if (child?.pid === undefined) return 0
  const fields = readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 10
}

function median(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[Math.floor(values.length / 2)] ?? 0
}

async function main(): Promise<void> {
  compileSubjects()
  pinned(LOAD_CORE, process.execPath, [path.join(import.meta.dirname, 'mock-upstream.ts'), String(MOCK_PORT)])
  await delay(500)
  const direct: Subject = { name: 'mock itself', port: MOCK_PORT, model: 'mock', headers: {}, process: null }
  const subjects = [direct, startInferd(), startPortkey(), startLiteLlm()]
  for (const subject of subjects) await untilAnswering(subject)
  const client = fork(path.join(import.meta.dirname, 'load-client.ts'), [], { execArgv: [] })
  if (client.pid !== undefined) spawn('taskset', ['-cp', LOAD_CORE, String(client.pid)], { stdio: 'ignore' })
  const results = new Map<string, MeasuredRun[]>()
  for (let round = 0; round <= Number(rounds); round++) {
    for (const mode of ['stream', 'whole'] as const) {
      for (const subject of subjects) {
        const order = { port: subject.port, path: '/v1/chat/completions', headers: subject.headers, body: bodyOf(subject, mode) }
        const durationMs = round === 0 ? 1500 : Number(seconds) * 1000
        const cpuMs = cpuMsOf(subject)
        const loaded = await measure(client, { ...order, numConnections: Number(connections), durationMs })
        const result = { ...loaded, cpuMs: cpuMsOf(subject) - cpuMs }
        const key = `${mode} ${subject.name}`
        // Round 0 warms everybody up.
        if (round > 0) results.set(key, [...(results.get(key) ?? []), result])
      }
    }
  }
  for (const [key, runs] of results) {
    const rates = runs.map(({ numAnswers, elapsedMs }) => (numAnswers * 1000) / elapsedMs)
    const ours = results.get(`${key.split(' ')[0]} inferd`)!.map(({ numAnswers, elapsedMs }) => (numAnswers * 1000) / elapsedMs)
    const record = (metric: string, unit: string, values: readonly number[]): void =>
      emit(recordOf({ suite: 'gateway-peers', case: `${key}, ${connections} connections`, metric, unit }, values))
    record('answers', '1/s', rates)
    record(
      'processor time an answer',
      'us',
      runs.map(({ cpuMs, numAnswers }) => (cpuMs * 1000) / numAnswers),
    )
    record(
      'p50',
      'ms',
      runs.map(({ latencyMs }) => latencyMs.p50),
    )
    record(
      'p99',
      'ms',
      runs.map(({ latencyMs }) => latencyMs.p99),
    )
    record('failures', '', [runs.reduce((sum, { numFailures }) => sum + numFailures, 0)])
    const [mode, ...name] = key.split(' ')
    if (name.join(' ') === 'inferd') continue
    const figure = { suite: 'gateway-peers', case: `${mode} inferd, ${connections} connections`, metric: 'answers beside', unit: '1/s' }
    emit({ ...recordOf(figure, ours), peer: name.join(' '), peerValue: median(rates), ratio: median(ours) / median(rates) })
  }
  client.disconnect()
  for (const subject of subjects) subject.process?.kill('SIGTERM')
  process.exit(0)
}

await main()
