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

async function start(): Promise<InferdProcess> {
  return (await InferdProcess.start('--log-level', 'warn', '--data-dir', data)).ready()
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

const FIRST = `
models: [{ name: chat, served: inferd-chat, kvCacheMib: 16 }]
endpoints:
  - name: support
    variants: [{ model: chat, scaling: { max: 2, metric: concurrency, target: 8 } }]
  - name: nightly
    variants: [{ model: chat, serverless: {} }]
`

test('a document is applied, waited for and shown; again there is nothing to change', async () => {
  const file = write(FIRST)
  const before = await inferd('diff', '-f', file)
  expect(before.code).toBe(2)
  expect(before.output).toMatch(/^\+ create {2}model chat-[0-9a-f]{8}\n\+ create {2}configuration support-[0-9a-f]{8}\n/)
  const made = await inferd('apply', '-f', file)
  expect(made.output).toMatch(/support +InService +main +chat-[0-9a-f]{8} +1 +1\/1 +1-2/)
  expect(made.output).toMatch(/nightly +InService +main +chat-[0-9a-f]{8} +1 +asleep/)
  expect(made.code).toBe(0)
  expect(await inferd('diff', '-f', file)).toEqual({ code: 0, output: 'nothing to change\n' })
  expect(await inferd('apply', '-f', file)).toEqual({ code: 0, output: 'nothing to change\n' })
  for (const model of ['support', 'nightly']) {
    const answer = await server.post('/v1/chat/completions', { model, max_tokens: 4, messages: [{ role: 'user', content: 'Hi' }] })
    expect(answer.status).toBe(200)
  }
  const { output } = await inferd('status', '--json')
  expect((JSON.parse(output) as { endpoints: { name: string }[] }).endpoints.map(({ name }) => name)).toEqual(['support', 'nightly'])
})

test('a change is a rollout; one that is rolled back ends with the reason and another exit code', async () => {
  const changed = FIRST.replace('{ model: chat, scaling', '{ model: chat, weight: 2, scaling')
  const file = write(changed)
  expect((await inferd('diff', '-f', file)).output).toContain('~ update  endpoint support\n            variants[0].weight: 1 -> 2\n')
  expect((await inferd('apply', '-f', file)).code).toBe(0)
  const broken = changed.replace('weight: 2', 'weight: 3').replace('served: inferd-chat, kvCacheMib: 16', 'object: "s3://inferd-local/none.gguf"')
  const ended = await inferd('apply', '-f', write(broken))
  expect(ended.code).toBe(1)
  expect(ended.output).toContain("endpoint 'support' is InService: there is no model at s3://inferd-local/none.gguf")
  expect((await inferd('status')).output).toMatch(/support +InService +main +chat-[0-9a-f]{8} +2 /)
})

test('a server that starts again has it all, and prune takes away what the document does not name', async () => {
  await server[Symbol.asyncDispose]()
  server = await start()
  const file = write(FIRST.replace('{ model: chat, scaling', '{ model: chat, weight: 2, scaling').replace(/ {2}- name: nightly\n.*\n/, ''))
  expect((await inferd('status')).output).toContain('nightly')
  expect((await inferd('apply', '-f', file)).code).toBe(0)
  expect((await inferd('status')).output).toContain('nightly')
  expect((await inferd('apply', '-f', file, '--prune')).code).toBe(0)
  for (let tries = 0; tries < 100 && (await inferd('status')).output.includes('nightly'); tries++);
  expect((await inferd('status')).output).not.toContain('nightly')
})

test.each([
  ['models: [{ name: a }]', /models\.0: give either served or object/],
  ['models: [{ name: a, served: b, object: "s3://x/y" }]', /give either served or object/],
  ['models: [{ name: a, path: /etc/passwd }]', /Unrecognized key: "path"/],
  ['endpoints: [{ name: e, variants: [] }]', /endpoints\.0\.variants: /],
  ['endpoints: [{ name: e, variants: [{ model: none }] }]', /names the model 'none', which models does not have/],
  ['endpoints: [{ name: "../e", variants: [{ model: a }] }]', /endpoints\.0\.name: /],
  ['models: [{ name: a, served: b }, { name: a, served: c }]', /two models have the name 'a'/],
  [
    'models: [{ name: a, served: b }]\nendpoints: [{ name: e, variants: [{ model: a, serverless: {}, replicas: 2 }] }]',
    /a serverless variant has neither replicas nor scaling/,
  ],
  [
    'models: [{ name: a, served: b }]\nendpoints: [{ name: e, variants: [{ model: a, scaling: { min: 3, max: 2, metric: tokens, target: 1 } }] }]',
    /min must not be above max/,
  ],
  ['models: [{ name: a, served: b }]\nendpoints: [{ name: e, variants: [{ model: a }], rollout: { kind: slow } }]', /endpoints\.0\.rollout\.kind: /],
  ['models: [{ name: a, served: b, }', /Flow|flow|expected/],
  ['a: 1\na: 2', /Map keys must be unique/],
  ['- 1', /expected object/],
])('%j is refused by its place', async (document, words) => {
  const ended = await inferd('apply', '-f', write(document))
  expect(ended.output).toMatch(words)
  expect(ended.code).toBe(1)
})

test('no file and no server are said so', async () => {
  expect((await inferd('diff', '-f', path.join(folder, 'none.yaml'))).output).toContain('none.yaml: ENOENT')
  const gone = await runInferd(['status', '--url', 'http://127.0.0.1:9'])
  expect(gone.stderr).toContain('no server answers at http://127.0.0.1:9')
  expect(gone.exitCode).toBe(1)
})
