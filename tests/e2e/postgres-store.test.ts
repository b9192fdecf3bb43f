/** `inferd serve` on PostgreSQL, with keys made by the command, while the database is killed and started again. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, expect, test } from 'vitest'
import { HAS_POSTGRES, query, startPostgres } from '../stores/postgres-server.ts'
import { InferdProcess } from './inferd-process.ts'
import { runInferd } from './run-inferd.ts'

const MODEL = 'inferd-chat'
const NUM_KILLS = 4
const NUM_CLIENTS = 4

const folder = mkdtempSync(path.join(tmpdir(), 'inferd-on-postgres-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** An answer that came whole. */
interface Acknowledged {
  readonly requestId: string
  readonly responseId: string
}

interface Refused {
  readonly status: number
  readonly type: string
}

const NAME = HAS_POSTGRES ? '' : ' (this machine has no initdb)'

test.runIf(HAS_POSTGRES)(`answers that were given are kept and counted once, however often the database is killed${NAME}`, async () => {
  await using postgres = await startPostgres()
  const url = await postgres.makeDatabase()
  const data = ['--data-dir', folder, '--store', url]
  const key = (await runInferd(['keys', 'create', ...data])).stdout.trim()
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${key}` }
  await using server = await (await InferdProcess.start(...data, '--log-level', 'warn', '--drain-s', '2')).ready()
  const acknowledged: Acknowledged[] = []
  const refused: Refused[] = []
  const ask = async (): Promise<void> => {
    const body = { model: MODEL, input: 'Hello', max_output_tokens: 1, temperature: 0, store: true }
    const response = await server.post('/v1/responses', body, { headers })
    const answer = (await response.json()) as { readonly id: string; readonly error: { readonly type: string } | null }
    if (response.status === 200) return void acknowledged.push({ requestId: response.headers.get('x-request-id') ?? '', responseId: answer.id })
    refused.push({ status: response.status, type: answer.error?.type ?? '' })
    await sleep(50)
  }
  const stop = new AbortController()
  const clients = Array.from({ length: NUM_CLIENTS }, async () => {
    while (!stop.signal.aborted) await ask()
  })
  const more = (count: () => number): Promise<void> => {
    const before = count()
    return expect.poll(count, { timeout: 60_000, interval: 20 }).toBeGreaterThan(before + NUM_CLIENTS)
  }
  for (let kill = 0; kill < NUM_KILLS; kill++) {
    await more(() => acknowledged.length)
    await postgres.crash()
    await more(() => refused.length)
    expect((await fetch(`${server.baseUrl}/healthz`)).status).toBe(200)
    await postgres.start()
  }
  await more(() => acknowledged.length)
  stop.abort()
  await Promise.all(clients)
  expect(refused.filter(({ status, type }) => status < 500 || type === '')).toEqual([])
  for (const { responseId } of acknowledged) {
    expect((await fetch(`${server.baseUrl}/v1/responses/${responseId}`, { headers })).status).toBe(200)
  }
  server.child.kill('SIGTERM')
  expect(await server.exited()).toBe(0)
  const rows = await query(url, `select request_id, count(*)::int as n from usage where error is null group by request_id`)
  const numRecords = new Map(rows.map((row) => [row['request_id'] as string, row['n'] as number]))
  expect(acknowledged.filter(({ requestId }) => numRecords.get(requestId) !== 1)).toEqual([])
  expect([...numRecords.values()].filter((n) => n !== 1)).toEqual([])
  const usage = await runInferd(['usage', ...data, '--json', '--group-by', 'model'])
  expect(JSON.parse(usage.stdout)).toMatchObject({ data: [{ model: MODEL }] })
  expect(await runInferd(['audit', 'verify', ...data])).toMatchObject({ exitCode: 0 })
})

test.runIf(HAS_POSTGRES)(`a server whose database is away still ends in order, within its grace${NAME}`, async () => {
  await using postgres = await startPostgres()
  const data = ['--data-dir', path.join(folder, 'ending'), '--store', await postgres.makeDatabase()]
  await using server = await (await InferdProcess.start(...data, '--auth', 'off', '--log-level', 'warn', '--drain-s', '1')).ready()
  const body = { model: MODEL, messages: [{ role: 'user', content: 'Hello' }], max_tokens: 1 }
  await postgres.crash()
  expect((await server.post('/v1/chat/completions', body)).status).toBe(200)
  const startMs = performance.now()
  server.child.kill('SIGTERM')
  expect(await server.exited()).toBe(0)
  expect(performance.now() - startMs).toBeLessThan(20_000)
  expect(server.log).toContain('usage records could not be written')
})

test.runIf(HAS_POSTGRES)(`a store that cannot be opened ends the command with one sentence and no password${NAME}`, async () => {
  await using postgres = await startPostgres()
  const url = (await postgres.makeDatabase()).replace('inferd@', 'inferd:hunter2@')
  await postgres.crash()
  for (const args of [['keys', 'list'], ['usage'], ['serve', '--port', '0']]) {
    const { exitCode, stderr, stdout } = await runInferd([...args, '--data-dir', folder, '--store', url])
    expect(exitCode).toBe(1)
    expect(stderr).toMatch(/^inferd: the store at 127\.0\.0\.1:\d+, database store_1, cannot be opened: connect ECONNREFUSED .*\n$/)
    expect(stdout + stderr).not.toContain('hunter2')
  }
  const missing = await runInferd(['keys', 'list', '--data-dir', folder, '--store', url, '--store-password-from', 'env:NO_SUCH_VARIABLE'])
  expect(missing.stderr).toBe('inferd: there is no secret at env:NO_SUCH_VARIABLE\n')
})
