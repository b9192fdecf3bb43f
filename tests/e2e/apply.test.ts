/** `inferd apply`, `diff` and `status` against a real server. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { InferdProcess } from './inferd-process.ts'
import { runInferd } from './run-inferd.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'inferd-apply-'))
const data = path.join(folder, 'data')
let server: InferdProcess

beforeAll(async () => {
  server = await start()
})

afterAll(async () => {
  await server[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

const config = path.join(folder, 'platform.yaml')

async function start(): Promise<InferdProcess> {
  writeFileSync(config, 'provisioned: { inferd-chat: { maxUnits: 2, inputTokensPerMinute: 60000 } }\n')
  return (await InferdProcess.start('--log-level', 'warn', '--data-dir', data, '--config', config)).ready()
}

interface Ended {
  readonly code: number | null
  readonly output: string
}

async function inferd(...args: readonly string[]): Promise<Ended> {
  const { exitCode, stdout, stderr } = await runInferd([...args, '--url', server.baseUrl])
  return { code: exitCode, output: stdout + stderr }
}

function write(document: string): string {
  const file = path.join(folder, 'inferd.yaml')
  writeFileSync(file, document)
  return file
}

const STEPS = '{ name: s, metric: tokens, above: 1000000, changes: [{ from: 0, by: 1 }] }'
const DAILY = '{ name: daily, at: cron(0 8 * * ? *), timezone: Europe/Berlin, max: 2 }'
const FIRST = `
models: [{ name: chat, served: inferd-chat, kvCacheMib: 16 }]
endpoints:
  - name: support
    variants: [{ model: chat, scaling: { max: 2, metric: concurrency, target: 8, steps: [${STEPS}], schedules: [${DAILY}] } }]
  - name: nightly
    variants: [{ model: chat, serverless: {} }]
`

test('a document is applied, waited for and shown; again there is nothing to change', async () => {
  const file = write(FIRST)
  const before = await inferd('diff', '-f', file)
  expect(before.code).toBe(2)
  expect(before.output).toMatch(/^\+ create {2}model chat-[0-9a-f]{8}\n\+ create {2}configuration support-[0-9a-f]{8}\n/)
  expect((await inferd('apply', '-f', file)).output).toContain('6 changes to make: give --yes, there is no terminal to ask at')
  const dry = await inferd('apply', '--dry-run', '-f', file)
  expect(dry).toEqual({ code: 0, output: before.output })
  expect((await inferd('status')).output).toMatch(/^no endpoints\n/)
  const made = await inferd('apply', '-y', '-f', file)
  expect(made.output).toContain('support: InService; main 1/1 replicas\n')
  expect(made.code).toBe(0)
  const status = await inferd('status')
  expect(status.output).toMatch(/support +InService +main +chat-[0-9a-f]{8} +1 +1\/1 +1-2\n/)
  expect(status.output).toMatch(/nightly +InService +main +chat-[0-9a-f]{8} +1 +asleep\n/)
  expect(status.output).toMatch(/\nmodels: .*1 ready.*; memory: [\d.]+ MiB; waiting: 0 calls, 0 asynchronous\n$/)
  expect(await inferd('diff', '-f', file)).toEqual({ code: 0, output: 'nothing to change\n' })
  expect(await inferd('apply', '-y', '-f', file)).toEqual({ code: 0, output: 'nothing to change\n' })
  for (const model of ['support', 'nightly']) {
    const answer = await server.post('/v1/chat/completions', { model, max_tokens: 4, messages: [{ role: 'user', content: 'Hi' }] })
    expect(answer.status).toBe(200)
  }
  const compared = await inferd('compare', 'support')
  expect(compared).toEqual({ code: 1, output: expect.stringContaining('calls in that time went to main@1') as string })
  const { output } = await inferd('status', '--json')
  expect((JSON.parse(output) as { endpoints: { name: string }[] }).endpoints.map(({ name }) => name)).toEqual(['support', 'nightly'])
})

test('a change is a rollout; one that is rolled back ends with the reason and another exit code', async () => {
  const changed = FIRST.replace('{ model: chat, scaling', '{ model: chat, weight: 2, scaling')
  const file = write(changed)
  expect((await inferd('diff', '-f', file)).output).toContain('~ update  endpoint support\n            variants[0].weight: 1 -> 2\n')
  expect((await inferd('apply', '-y', '-f', file)).code).toBe(0)
  expect(await inferd('diff', '-f', file)).toEqual({ code: 0, output: 'nothing to change\n' })
  const broken = changed.replace('weight: 2', 'weight: 3').replace('served: inferd-chat, kvCacheMib: 16', 'object: "s3://inferd-local/none.gguf"')
  const ended = await inferd('apply', '-y', '-f', write(broken))
  expect(ended.code).toBe(1)
  expect(ended.output).toContain("endpoint 'support' was rolled back: there is no model at s3://inferd-local/none.gguf")
  expect((await inferd('status')).output).toMatch(/support +InService +main +chat-[0-9a-f]{8} +2 /)
})

test('a server that starts again has it all, and prune takes away what the document does not name', async () => {
  await server[Symbol.asyncDispose]()
  server = await start()
  const file = write(FIRST.replace('{ model: chat, scaling', '{ model: chat, weight: 2, scaling').replace(/ {2}- name: nightly\n.*\n/, ''))
  expect((await inferd('status')).output).toContain('nightly')
  expect((await inferd('apply', '-y', '-f', file)).code).toBe(0)
  expect((await inferd('status')).output).toContain('nightly')
  expect((await inferd('apply', '-y', '-f', file, '--prune')).code).toBe(0)
  expect((await inferd('status')).output).not.toContain('nightly')
})

test('a scaled variant comes by a rollout, another number of replicas without one, and nothing is left to do', async () => {
  const other = FIRST.replace(
    / {4}variants: \[.*scaling.*\n/,
    '    variants: [{ model: chat, replicas: 1 }, { name: b, model: chat, scaling: { max: 2, metric: tokens, target: 5 } }]\n',
  )
  const made = await inferd('apply', '-y', '-f', write(other))
  expect(made.output).toContain('. later   scaling support/b\n            when the rollout has ended\n')
  expect(made.output).toMatch(/\nsupport: Updating, [^]*\nsupport: InService; main 1\/1, b 1\/1 replicas\n[^]*\+ create {2}scaling support\/b\n/)
  const file = write(other.replace('replicas: 1', 'replicas: 2'))
  expect((await inferd('diff', '-f', file)).output).toBe('~ update  endpoint support\n            main.replicas: 1 -> 2\n')
  expect((await inferd('apply', '-y', '-f', file)).code).toBe(0)
  expect(await inferd('diff', '-f', file)).toEqual({ code: 0, output: 'nothing to change\n' })
})

test('an endpoint is deleted by its name', async () => {
  expect(await inferd('delete', 'endpoint', 'support')).toEqual({ code: 0, output: 'endpoint support deleted\n' })
  expect(await inferd('delete', 'endpoint', 'support')).toEqual({ code: 1, output: "inferd: there is no endpoint 'support'\n" })
  expect((await inferd('status')).output).not.toContain('support')
})

test('what is no document is refused by its place before the server is asked', async () => {
  const unknown = await inferd('apply', '-y', '-f', write('models: [{ name: a, path: /etc/passwd }]'))
  expect(unknown.output).toMatch(/inferd\.yaml: models\.0: Unrecognized key: "path"/)
  const broken = await inferd('diff', '-f', write('models: [{ name: a, served: b, }\nendpoints: []\n'))
  expect(broken.output).toMatch(/inferd\.yaml: .* at line \d, column \d+/)
  expect([unknown.code, broken.code]).toEqual([1, 1])
})

test('units of throughput are bought by the document, changed and given back', async () => {
  const bought = (units: number): string => `provisioned: [{ name: ours, model: inferd-chat, units: ${units} }]\n`
  expect((await inferd('apply', '-y', '-f', write(bought(1)))).output).toContain('+ create  throughput ours\n')
  const answer = await server.post('/v1/chat/completions', {
    model: 'ours',
    max_tokens: 4,
    service_tier: 'default',
    messages: [{ role: 'user', content: 'Hi' }],
  })
  expect(await answer.json()).toMatchObject({ service_tier: 'scale' })
  expect((await inferd('apply', '-y', '-f', write(bought(2)))).output).toContain('! replace throughput ours\n')
  expect((await inferd('apply', '-y', '-f', write(bought(3)))).output).toContain('3 units')
  expect((await inferd('apply', '-y', '-f', write(bought(2)))).code).toBe(0)
  expect((await inferd('apply', '-y', '--prune', '-f', write('models: []'))).output).toContain('- delete  throughput ours\n')
})

test('once there is a key, one is needed, and its scope decides', async () => {
  const key = (await runInferd(['keys', 'create', '--scope', 'read', '--data-dir', data])).stdout.trim()
  let without = await inferd('status')
  for (let tries = 0; tries < 20 && without.code === 0; tries++) without = await inferd('status')
  expect(without.output).toMatch(/needs a key.*; give one by --key or INFERD_KEY\n/)
  expect((await inferd('status', '--key', key)).code).toBe(0)
  const refused = await inferd('apply', '-y', '-f', write(FIRST), '--key', key)
  expect(refused.output).toContain('operate')
  expect(refused.code).toBe(1)
})

test('no file and no server are said so', async () => {
  expect((await inferd('diff', '-f', path.join(folder, 'none.yaml'))).output).toContain('none.yaml: ENOENT')
  const gone = await runInferd(['status', '--url', 'http://127.0.0.1:9'])
  expect(gone.stderr).toContain('no server answers at http://127.0.0.1:9')
  expect(gone.exitCode).toBe(1)
})
