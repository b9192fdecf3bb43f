/** `inferd keys` beside a running server, on one data directory: made, used, limited, revoked, refused, and in the audit log. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, expect, test } from 'vitest'
import { InferdProcess } from './inferd-process.ts'
import { runInferd } from './run-inferd.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'inferd-keys-e2e-'))
const DATA = ['--data-dir', path.join(folder, 'data')]
const hadHome = existsSync(path.join(homedir(), '.inferd'))
afterAll(() => rmSync(folder, { recursive: true }))

async function inferd(...args: string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await runInferd([...args, ...DATA])
  expect([exitCode, exitCode === 0 ? '' : stderr]).toEqual([0, ''])
  return stdout.trim()
}

async function statusOf(server: InferdProcess, token: string): Promise<number> {
  return (await fetch(`${server.baseUrl}/v1/models`, { headers: { authorization: `Bearer ${token}` } })).status
}

test('a key made beside a running server opens it, and closes it to everybody else; revoked, it is refused', async () => {
  await using server = await InferdProcess.start(...DATA)
  expect((await fetch(`${server.baseUrl}/v1/models`)).status).toBe(200)
  const token = await inferd('keys', 'create', '--name', 'first', '--team', 'red', '--scope', 'inference,read', '--rpm', '60')
  expect(token).toMatch(/^inferd_sk_/)
  const deadline = performance.now() + 30_000
  while ((await fetch(`${server.baseUrl}/v1/models`)).status !== 401 && performance.now() < deadline) await sleep(100)
  expect((await fetch(`${server.baseUrl}/v1/models`)).status).toBe(401)
  expect(await statusOf(server, token)).toBe(200)
  const id = token.split('_')[2]!
  expect(JSON.parse(await inferd('keys', 'show', id))).toMatchObject({ state: 'active', team: 'red', limits: { requestsPerMinute: 60 } })
  expect(await inferd('keys', 'limits', id, '--rpm', 'none', '--budget-usd', '2.50', '--budget-period', 'day')).toBe(`${id}: $2.5 a day`)
  expect(await inferd('teams', 'limits', 'red', '--tpm', '1000')).toBe('red: 1000 tokens/min')
  expect(await inferd('teams', 'list')).toBe('red: 1000 tokens/min')
  const next = await inferd('keys', 'rotate', id, '--overlap', '0s')
  while ((await statusOf(server, token)) !== 401 && performance.now() < deadline) await sleep(100)
  expect([await statusOf(server, token), await statusOf(server, next)]).toEqual([401, 200])
  await inferd('keys', 'revoke', next.split('_')[2]!)
  while ((await statusOf(server, next)) !== 401 && performance.now() < deadline) await sleep(100)
  expect(await statusOf(server, next)).toBe(401)
  expect(await inferd('keys', 'list')).toMatch(/revoked .*red {2}first[\s\S]*expired .*red {2}first/)
  server.child.kill('SIGTERM')
  expect(await server.exited()).toBe(0)
  for (const secret of [token, next]) expect(server.log).not.toContain(secret.split('_')[3]!)
}, 120_000)

test('the audit log has what was done, and says when it was changed', async () => {
  const file = path.join(folder, 'data', 'audit.jsonl')
  const events = readFileSync(file, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => (JSON.parse(line) as { event: string }).event)
  expect(events).toEqual(expect.arrayContaining(['key.create', 'key.limits', 'team.limits', 'key.rotate', 'key.revoke', 'login.failed']))
  expect(await inferd('audit', 'verify')).toBe(`the audit log is whole: ${events.length} lines`)
  writeFileSync(file, readFileSync(file, 'utf8').replace('"team":"red"', '"team":"blue"'))
  const { exitCode, stderr } = await runInferd(['audit', 'verify', ...DATA])
  expect([exitCode, stderr]).toEqual([1, `inferd: ${file}, line 1: the line is damaged: its hash is not that of its text\n`])
})

test('an address that others reach is served once there is a key, and to nobody without one', async () => {
  await using server = await InferdProcess.start('--host', '0.0.0.0', ...DATA)
  const url = server.baseUrl.replace('0.0.0.0', '127.0.0.1')
  expect((await fetch(`${url}/healthz`)).status).toBe(200)
  expect((await fetch(`${url}/v1/models`)).status).toBe(401)
})

test('what cannot be done is told in one sentence', async () => {
  const refusals: readonly (readonly [readonly string[], string])[] = [
    [['keys', 'revoke', 'nobody'], 'there is no key nobody'],
    [['keys', 'create', '--scope', 'all'], "--scope must be one or more of inference, read, operate, admin, not 'all'"],
    [['keys', 'create', '--expires-in', 'soon'], "--expires-in must be a length of time as 30m, 12h or 90d, not 'soon'"],
    [['keys', 'create', '--rpm', '0'], "--rpm must be a whole number from 1 to 1000000000000, not '0'"],
    [['keys', 'create', '--name', 'a\nb'], '--name must be 1 to 128 characters without control characters'],
  ]
  for (const [args, sentence] of refusals) {
    expect(await runInferd([...args, ...DATA])).toEqual({ exitCode: 1, stdout: '', stderr: `inferd: ${sentence}\n` })
  }
})

test('the tests leave the home of the user alone', () => {
  expect(existsSync(path.join(homedir(), '.inferd'))).toBe(hadHome)
})
