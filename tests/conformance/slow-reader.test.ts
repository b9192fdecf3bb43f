/** From the socket to the worker: a client that stops reading its stream costs a bounded queue, and its request is aborted. */
import { expect, test } from 'vitest'
import { systemClock } from '#base/clock'
import type { GenerateEvent } from '#contract/generate'
import type { EngineOptions } from '#engine/engine'
import { ModelRegistry } from '#platform/registry/model-registry'
import type { CallId } from '#platform/replicas/messages'
import type { SpawnWorker } from '#platform/replicas/worker-process'
import { FAKE_FACTS } from './fake-model.ts'
import { post, RawClient } from './raw-client.ts'
import { startTestServer } from './test-server.ts'

const TEXT = 'x'.repeat(1024)

/** A worker that speaks as fast as the event loop turns, until its call is aborted. */
class FloodingWorker {
  numEvents = 0
  readonly aborted: CallId[] = []

  readonly spawn: SpawnWorker = (listeners) => {
    const say = (call: CallId, ...events: readonly GenerateEvent[]): void => {
      this.numEvents += events.length
      listeners.onMessage({ type: 'events', calls: events.map(() => call), events })
    }
    const flood = (call: CallId): void => {
      if (this.aborted.includes(call)) return
      say(call, ...Array.from({ length: 16 }, (): GenerateEvent => ({ type: 'text-delta', choice: 0, text: TEXT, logprobs: null })))
      setImmediate(flood, call)
    }
    setImmediate(() => listeners.onMessage({ type: 'ready', facts: FAKE_FACTS }))
    return {
      pid: 1,
      send: (message) => {
        if (message.type === 'abort') this.aborted.push(message.call)
        if (message.type === 'close') setImmediate(() => listeners.onExit('closed'))
        if (message.type !== 'generate') return
        say(message.call, { type: 'response-start', promptTokens: 1, cachedTokens: 0 })
        flood(message.call)
      },
      kill: () => listeners.onExit('killed'),
    }
  }
}

test('86: a stream that nobody reads ends as overloaded long before it stalls, and the worker is told to stop', async () => {
  const worker = new FloodingWorker()
  const registry = new ModelRegistry()
  registry.add('m', { engine: { modelPath: 'none' } as EngineOptions, spawn: worker.spawn, clock: systemClock })
  const target = await startTestServer({ models: registry })
  const client = await RawClient.open(target.port)
  client.socket.pause()
  client.send(post({ body: JSON.stringify({ model: 'm', stream: true, messages: [{ role: 'user', content: 'hi' }] }) }))
  await expect.poll(() => worker.aborted.length, { timeout: 10_000 }).toBe(1)
  const numSaid = worker.numEvents
  client.socket.resume()
  expect(await client.until(() => client.received.includes('0\r\n\r\n'), 10_000)).toBe(true)
  expect(client.received).toContain('"code":"overloaded"')
  expect(client.received).not.toContain('[DONE]')
  expect(worker.numEvents).toBe(numSaid)
  // What was queued when the reader was given up still arrives: the bound, and what the sockets hold.
  expect(numSaid).toBeLessThan(4096 + 16_384)
  client.destroy()
  await target.server.close({ graceMs: 0 })
  await registry.stop()
})
