import { expect, test } from 'vitest'
import { systemClock } from '#base/clock'
import { createServer, type InferenceServer } from './listener.ts'

function serverAt(host: string, port: number): InferenceServer {
  return createServer({
    models: { list: () => [], find: () => null },
    options: { host, port },
    log: { info: () => {}, warn: () => {}, error: () => {} },
    clock: systemClock,
  })
}

test('an address that cannot be had is an error in words, for each of the usual reasons', async () => {
  const first = serverAt('127.0.0.1', 0)
  const { port } = await first.listen()
  await expect(serverAt('127.0.0.1', port).listen()).rejects.toMatchObject({
    code: 'invalid_parameter',
    message: `cannot listen on 127.0.0.1 port ${port}: the port is in use`,
  })
  await expect(serverAt('203.0.113.1', port).listen()).rejects.toMatchObject({
    message: `cannot listen on 203.0.113.1 port ${port}: this machine does not have that address`,
  })
  await first.close()
})

test('a server closes twice, and without ever having listened', async () => {
  const server = serverAt('127.0.0.1', 0)
  await server.close()
  await server.close()
})
