/** Bad input 98 of the reliability study: a call on a connection that was idle when the server began to drain. */
import { expect, test } from 'vitest'
import { dialectTargets, readError } from './dialect-targets.ts'
import { FakeModel } from './fake-model.ts'
import { post, RawClient } from './raw-client.ts'
import { startTestServer } from './test-server.ts'

test.each(dialectTargets('fake-model').map((target) => ({ ...target, title: `${target.path}${target.isStream ? ', streamed' : ''}` })))(
  '98: $title on an idle connection of a server that drains is refused in words, and the connection closed behind them',
  async (target) => {
    const server = await startTestServer({ model: new FakeModel({ name: 'fake-model' }) })
    const idle = await RawClient.open(server.port)
    idle.send('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n')
    await idle.answer()
    const closed = server.server.close({ graceMs: 10_000 })
    const seen = idle.received.length
    idle.send(post({ path: target.path, body: JSON.stringify(target.body), headers: Object.entries(target.headers).map((pair) => pair.join(': ')) }))
    expect(await idle.untilClosed()).toBe(true)
    await closed
    const [head = '', body = ''] = idle.received.slice(seen).split('\r\n\r\n')
    const [first = '', ...lines] = head.split('\r\n')
    const headers = Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 2)]))
    const status = Number(first.split(' ')[1])
    expect([status, headers['connection']]).toEqual([target.dialect === 'anthropic' ? 529 : 503, 'close'])
    const { message } = await readError(target, new Response(body, { status, headers }))
    expect(message).toContain('shutting down')
    expect(server.model.requests).toEqual([])
  },
)
