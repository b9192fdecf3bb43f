/** `inferd keys session` beside a real server: an AWS profile that gets its credentials from it, one ledger, one limit, and the end of the key. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Sha256 } from '@aws-crypto/sha256-js'
import { BedrockRuntimeClient, ConverseCommand } from '@aws-sdk/client-bedrock-runtime'
import { SignatureV4 } from '@smithy/signature-v4'
import { afterAll, expect, test } from 'vitest'
import { InferdProcess } from './inferd-process.ts'
import { runInferd } from './run-inferd.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'inferd-sessions-e2e-'))
const DATA = ['--data-dir', path.join(folder, 'data')]
const MAIN = path.resolve(import.meta.dirname, '../../src/main.ts')
const converse = new ConverseCommand({
  modelId: 'inferd-chat',
  messages: [{ role: 'user', content: [{ text: 'Hi' }] }],
  inferenceConfig: { maxTokens: 1 },
})

const before = { ...process.env }
afterAll(() => {
  process.env = before
  rmSync(folder, { recursive: true })
})

async function inferd(...args: string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await runInferd([...args, ...DATA])
  expect([exitCode, exitCode === 0 ? '' : stderr]).toEqual([0, ''])
  return stdout.trim()
}

/** `NAME=value` lines. */
function variables(text: string): Readonly<Record<string, string>> {
  return Object.fromEntries(text.split('\n').map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]))
}

async function nameOf(client: BedrockRuntimeClient): Promise<string> {
  return client.send(converse).then(
    () => 'good',
    (error: Error) => error.name,
  )
}

/** Of GetSessionToken as AWS's Security Token Service is asked. */
async function statusOfIssue({ baseUrl }: InferdProcess, credentials: { readonly accessKeyId: string; readonly secretAccessKey: string }) {
  const { hostname, port, host } = new URL(baseUrl)
  const body = 'Action=GetSessionToken&Version=2011-06-15'
  const headers = { host, 'content-type': 'application/x-www-form-urlencoded' }
  const signer = new SignatureV4({ credentials, region: 'us-east-1', service: 'sts', sha256: Sha256 })
  const signed = await signer.sign({ method: 'POST', protocol: 'http:', hostname, port: Number(port), path: '/', query: {}, headers, body })
  return (await fetch(`${baseUrl}/`, { method: 'POST', headers: signed.headers, body })).status
}

test('a profile with `inferd keys session` as its credential process calls, spends from its key and ends with it', async () => {
  const made = variables(await inferd('keys', 'create', '--kind', 'signing', '--scope', 'inference,read', '--rpm', '3'))
  const id = made['AWS_ACCESS_KEY_ID']!
  await using server = await (await InferdProcess.start('--log-level', 'warn', ...DATA)).ready()
  const config = path.join(folder, 'config')
  const command = [process.execPath, '--conditions=inferd-source', MAIN, 'keys', 'session', id, '--json', ...DATA].join(' ')
  writeFileSync(config, `[profile inferd]\nregion = us-east-1\ncredential_process = ${command}\n`)
  for (const name of Object.keys(process.env)) if (name.startsWith('AWS_')) delete process.env[name]
  Object.assign(process.env, { AWS_CONFIG_FILE: config, AWS_SHARED_CREDENTIALS_FILE: path.join(folder, 'none'), AWS_PROFILE: 'inferd' })
  const profiled = new BedrockRuntimeClient({ endpoint: server.baseUrl, maxAttempts: 1 })
  expect(await nameOf(profiled)).toBe('good')
  expect((await profiled.config.credentials()).accessKeyId).toMatch(/^ASIA/)
  const said = variables(await inferd('keys', 'session', id, '--duration', '900'))
  expect(Object.keys(said)).toEqual(['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN', 'AWS_CREDENTIAL_EXPIRATION'])
  expect(Math.round((Date.parse(said['AWS_CREDENTIAL_EXPIRATION']!) - Date.now()) / 60_000)).toBe(15)
  const credentials = {
    accessKeyId: said['AWS_ACCESS_KEY_ID']!,
    secretAccessKey: said['AWS_SECRET_ACCESS_KEY']!,
    sessionToken: said['AWS_SESSION_TOKEN']!,
  }
  const second = new BedrockRuntimeClient({ endpoint: server.baseUrl, region: 'us-east-1', credentials, maxAttempts: 1 })
  expect([await nameOf(second), await nameOf(second), await nameOf(second)]).toEqual(['good', 'good', 'ThrottlingException'])
  expect(await nameOf(profiled)).toBe('ThrottlingException')
  const longTerm = { accessKeyId: id, secretAccessKey: made['AWS_SECRET_ACCESS_KEY']! }
  expect([await statusOfIssue(server, longTerm), await statusOfIssue(server, credentials)]).toEqual([200, 403])
  await inferd('keys', 'revoke', id)
  const deadline = performance.now() + 30_000
  while ((await nameOf(second)) === 'ThrottlingException' && performance.now() < deadline) await sleep(200)
  expect([await nameOf(second), await nameOf(profiled)]).toEqual(['UnrecognizedClientException', 'UnrecognizedClientException'])
  const report = JSON.parse(await inferd('usage', '--group-by', 'key', '--json')) as {
    readonly data: readonly { key: string; output_tokens: number }[]
  }
  expect(report.data.map(({ key, output_tokens }) => [key, output_tokens])).toEqual([[id, 3]])
  server.child.kill('SIGTERM')
  expect(await server.exited()).toBe(0)
  for (const secret of [credentials.secretAccessKey, credentials.sessionToken]) expect(server.log).not.toContain(secret)
}, 120_000)

test('the audit log has each session of the command, the number of those from the server, and nothing that proves one', () => {
  const lines = readFileSync(path.join(folder, 'data', 'audit.jsonl'), 'utf8')
  expect(lines.match(/"session.create","actor":"cli:/g)).toHaveLength(2)
  expect(lines).toMatch(/"session.create","actor":"INFERDAK\w{12}","details":\{"count":1\}/)
  expect(lines).not.toContain('inferd_st_')
})

test('what cannot be done is told in one sentence', async () => {
  const bearer = (await inferd('keys', 'create')).split('_')[2]!
  const refusals: readonly (readonly [readonly string[], string])[] = [
    [['nobody'], 'there is no key nobody'],
    [[bearer], `key ${bearer} is no signing key: temporary credentials are for AWS signatures`],
    [[bearer, '--duration', '899'], "--duration must be a number of seconds from 900 to 129600, not '899'"],
    [[bearer, '--duration', '1h'], "--duration must be a number of seconds from 900 to 129600, not '1h'"],
  ]
  for (const [args, sentence] of refusals) {
    expect(await runInferd(['keys', 'session', ...args, ...DATA])).toEqual({ exitCode: 1, stdout: '', stderr: `inferd: ${sentence}\n` })
  }
}, 60_000)
