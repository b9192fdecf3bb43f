import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { InferdError } from '#contract/errors'
import { Egress } from './egress.ts'
import { DEFAULT_CLIENT_LIMITS, UpstreamClient } from './upstream-client.ts'

const NEVER = new AbortController().signal
const open: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of open.splice(0)) await close()
})

async function serve(listener: RequestListener): Promise<URL> {
  const server: Server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  open.push(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`)
}

function client(maxAnswerBytes = 1000): UpstreamClient {
  const made = new UpstreamClient(new Egress([{ host: '127.0.0.1', allowPrivate: true }]), { ...DEFAULT_CLIENT_LIMITS, maxAnswerBytes })
  open.push(() => made.close())
  return made
}

function ask(url: URL, signal = NEVER): Promise<string> {
  return client().postWhole('m', { url, headers: { authorization: 'Bearer secret' }, body: '{}' }, signal)
}

test('a redirect is not followed, to wherever it points', async () => {
  let numAsked = 0
  const target = await serve((_request, reply) => {
    numAsked++
    reply.end('ok')
  })
  const url = await serve((_request, reply) => reply.writeHead(307, { location: target.href }).end())
  await expect(ask(url)).rejects.toMatchObject({ code: 'upstream_failed', message: /307/ })
  expect(numAsked).toBe(0)
})

test('an answer without end is cut off at its cap', async () => {
  let hasClosed = false
  const url = await serve((_request, reply) => {
    const timer = setInterval(() => reply.write('x'.repeat(300)), 1)
    reply.on('close', () => {
      clearInterval(timer)
      hasClosed = true
    })
  })
  await expect(ask(url)).rejects.toMatchObject({ code: 'upstream_failed', message: /too much/ })
  await expect.poll(() => hasClosed).toBe(true)
})

test('an answer that breaks off, and a server that is not there, are failures without names', async () => {
  const url = await serve((_request, reply) => {
    reply.write('half')
    setTimeout(() => reply.destroy(), 5)
  })
  await expect(ask(url)).rejects.toMatchObject({ code: 'upstream_failed' })
  await open.shift()!()
  const error = (await ask(url).catch((thrown: unknown) => thrown)) as InferdError
  expect(error).toMatchObject({ code: 'upstream_failed', message: "the server behind the model 'm' cannot be reached" })
})

test('of a long refusal only the beginning is read, and none of its words are shown', async () => {
  const url = await serve((_request, reply) => reply.writeHead(500).end('secret '.repeat(100_000)))
  const error = (await ask(url).catch((thrown: unknown) => thrown)) as InferdError
  expect(error.code).toBe('upstream_failed')
  expect(error.message).not.toContain('secret')
})

test('a caller that leaves before the answer ends the connection, with its own reason', async () => {
  let hasClosed = false
  const caller = new AbortController()
  const url = await serve((request) => {
    request.socket.on('close', () => {
      hasClosed = true
    })
    caller.abort(new InferdError('cancelled', 'left'))
  })
  await expect(ask(url, caller.signal)).rejects.toMatchObject({ code: 'cancelled' })
  await expect.poll(() => hasClosed).toBe(true)
})

test('a name with several addresses is tried at each of them', async () => {
  const { port } = await serve((_request, reply) => reply.end('there'))
  // Nobody listens on the first one, as on ::1 of many a localhost.
  const addresses = async () => ['127.0.0.9', '127.0.0.1'].map((address) => ({ address, family: 4 as const }))
  const made = new UpstreamClient(new Egress([{ host: 'several.example', allowPrivate: true }], addresses))
  open.push(() => made.close())
  expect(await made.postWhole('m', { url: new URL(`http://several.example:${port}/`), headers: {}, body: '' }, NEVER)).toBe('there')
})
