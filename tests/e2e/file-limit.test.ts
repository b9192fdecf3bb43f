/** A process at its limit of open files: it lives, and serves again when there are some. */
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { InferdProcess } from './inferd-process.ts'

const FREE_FILES = 4
const NUM_CONNECTIONS = 12

test('103: a gateway without free files refuses connections, keeps what runs, and serves again afterwards', async () => {
  await using server = await (await InferdProcess.start('--log-level', 'error')).ready()
  const ask = (): Promise<Response> =>
    server.post('/v1/completions', { model: 'inferd-chat', prompt: 'Once', max_tokens: 4 }, { signal: AbortSignal.timeout(10_000) })
  expect((await ask()).status).toBe(200)
  const limitFiles = (soft: string): void => void execFileSync('prlimit', ['--pid', String(server.pid), `--nofile=${soft}`])
  limitFiles(`${server.numOpenFiles() + FREE_FILES}:`)
  const sockets = Array.from({ length: NUM_CONNECTIONS }, (): Socket =>
    connect(Number(new URL(server.baseUrl).port), '127.0.0.1').on('error', () => {}),
  )
  await sleep(500)
  expect(server.child.exitCode).toBeNull()
  for (const socket of sockets) socket.destroy()
  for (const socket of sockets) if (!socket.closed) await once(socket, 'close')
  await expect.poll(async () => (await ask()).status, { timeout: 10_000 }).toBe(200)
  limitFiles('1024:')
  expect((await fetch(`${server.baseUrl}/readyz`)).status).toBe(200)
})
