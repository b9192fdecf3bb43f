/** `/healthz` and `/readyz`: the process is up; every model answers from its step loop. */
import { afterEach, expect, test } from 'vitest'
import { InferdError } from '#contract/errors'
import { directoryOf, FAKE_FACTS, FakeModel } from './fake-model.ts'
import { startTestServer, type TestServer, type TestServerArguments } from './test-server.ts'

const started: TestServer[] = []

async function start(args: TestServerArguments): Promise<TestServer> {
  const target = await startTestServer(args)
  started.push(target)
  return target
}

afterEach(async () => {
  await Promise.all(started.splice(0).map(({ server }) => server.close({ graceMs: 0 })))
})

test('healthz is up at once; readyz waits for every model and names what is missing', async () => {
  const loading = new FakeModel({ name: 'b', state: { kind: 'loading', loadedBytes: 1, totalBytes: 4 } })
  const target = await start({ models: directoryOf(new FakeModel({ name: 'a' }), loading) })
  const ready = async (): Promise<unknown> => {
    const response = await fetch(`${target.url}/readyz`)
    return [response.status, await response.json()]
  }
  expect((await fetch(`${target.url}/healthz`)).status).toBe(200)
  const load = { running: 1, waiting: 2, kvBlocks: 8, kvBlocksFree: 5 }
  const models = [
    { name: 'a', state: 'ready', load },
    { name: 'b', state: 'loading', progress: 0.25 },
  ]
  expect(await ready()).toEqual([503, { status: 'not_ready', missing: ['model b is loading'], models }])
  loading.state = { kind: 'ready', facts: FAKE_FACTS }
  expect(await ready()).toEqual([
    200,
    {
      status: 'ready',
      missing: [],
      models: [
        { name: 'a', state: 'ready', load },
        { name: 'b', state: 'ready', load },
      ],
    },
  ])
})

test('readyz does not wait for a step loop that hangs, and reports one that fails', async () => {
  const hanging = new FakeModel({ name: 'a', probe: () => new Promise(() => {}) })
  const failing = new FakeModel({ name: 'b', probe: () => Promise.reject(new InferdError('replica_lost', 'gone')) })
  const target = await start({ models: directoryOf(hanging, failing), options: { probeTimeoutMs: 50 } })
  const response = await fetch(`${target.url}/readyz`)
  expect([response.status, await response.json()]).toEqual([
    503,
    {
      status: 'not_ready',
      missing: ['model a is unresponsive', 'model b is unresponsive'],
      models: [
        { name: 'a', state: 'unresponsive' },
        { name: 'b', state: 'unresponsive', error: 'replica_lost' },
      ],
    },
  ])
})

test('a server without models is not ready', async () => {
  const target = await start({ models: directoryOf() })
  expect((await fetch(`${target.url}/readyz`)).status).toBe(503)
})

test('a server that is not ready says when to ask again', async () => {
  const model = new FakeModel({ state: { kind: 'loading', loadedBytes: 1, totalBytes: 4 } })
  const target = await start({ models: directoryOf(model) })
  expect((await fetch(`${target.url}/readyz`)).headers.get('retry-after')).toBe('5')
  model.state = { kind: 'ready', facts: FAKE_FACTS }
  expect((await fetch(`${target.url}/readyz`)).headers.get('retry-after')).toBeNull()
})

test('ping says in its status alone whether every model answers, and asks nobody who is there', async () => {
  const model = new FakeModel({ state: { kind: 'loading', loadedBytes: 1, totalBytes: 4 } })
  const target = await start({
    model,
    authenticate: async () => {
      throw new InferdError('unauthenticated', 'no key')
    },
  })
  const ping = async (): Promise<unknown> => {
    const response = await fetch(`${target.url}/ping`)
    return [response.status, await response.text()]
  }
  expect(await ping()).toEqual([503, ''])
  model.state = { kind: 'ready', facts: FAKE_FACTS }
  expect(await ping()).toEqual([200, ''])
  model.probe = () => new Promise(() => {})
  expect(await ping()).toEqual([503, ''])
})
