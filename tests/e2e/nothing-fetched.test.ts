/** Bad input 59 of the reliability study: links in texts are text. No process of the server looks up a name or opens a connection for them. */
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { dialectTargets } from '../conformance/dialect-targets.ts'
import { InferdProcess } from './inferd-process.ts'

const MODEL = 'inferd-chat'
const MODEL_FILE = `${MODEL}=models/inferd-chat/inferd-chat-Q8_0.gguf`

/** Loaded into every process of the server, before all else: says on standard error what is looked up and where it goes. */
const TRAP = `
  import dns from 'node:dns'
  import net from 'node:net'
  import { writeSync } from 'node:fs'
  const tell = (what) => writeSync(2, 'TRAP ' + JSON.stringify(what) + '\\n')
  const { connect } = net.Socket.prototype
  net.Socket.prototype.connect = function (...args) { tell(args[0]); return connect.apply(this, args) }
  for (const of of [dns, dns.promises]) for (const name of ['lookup', 'resolve', 'resolve4', 'resolve6']) {
    const original = of[name]
    of[name] = (...args) => { tell(args[0]); return original(...args) }
  }
  tell('armed')
`

const folder = mkdtempSync(path.join(tmpdir(), 'inferd-links-'))
let trap: Server
let numConnections = 0
let server: InferdProcess

beforeAll(async () => {
  trap = createServer((socket) => {
    numConnections++
    socket.destroy()
  })
  await once(trap.listen(0, '127.0.0.1'), 'listening')
  const config = path.join(folder, 'inferd.yaml')
  const model = '{ name: far, remoteModel: far, contextLength: 2048 }'
  const upstream = `{ dialect: openai, baseUrl: "http://127.0.0.1:${trapPort()}/v1", models: [${model}] }`
  writeFileSync(config, `egress: { hosts: [{ host: 127.0.0.1, allowPrivate: true }] }\nupstreams: [${upstream}]\n`)
  const trapFile = path.join(folder, 'trap.mjs')
  writeFileSync(trapFile, TRAP)
  server = await InferdProcess.startWith({ NODE_OPTIONS: `--import=${trapFile}` }, '--model', MODEL_FILE, '--config', config, '--log-level', 'error')
  await server.ready()
})

afterAll(async () => {
  await server[Symbol.asyncDispose]()
  trap.close()
  rmSync(folder, { recursive: true })
})

function trapPort(): number {
  return (trap.address() as AddressInfo).port
}

function told(): readonly string[] {
  return server.log.split('\n').filter((line) => line.startsWith('TRAP'))
}

test('59: links in the texts of every dialect are answered as text, and nothing is looked up or fetched', async () => {
  const address = `127.0.0.1:${trapPort()}`
  const text = [
    `![a cat](http://${address}/cat.png)`,
    `[![x](http://inferd-trap.example/x.png)](https://inferd-trap.example/y)`,
    `<img src="http://${address}/img.png">`,
    `http://169.254.169.254/latest/meta-data/ file:///etc/passwd \\\\\\\\${address}\\\\share ftp://inferd-trap.example`,
  ].join('\n')
  const armed = told()
  expect(armed.filter((line) => line === 'TRAP "armed"')).toHaveLength(2)
  for (const { path: route, headers, body } of dialectTargets(MODEL)) {
    const sent = JSON.stringify(body).replaceAll('"hi"', () => JSON.stringify(text))
    expect(sent).toContain(address)
    const response = await fetch(`${server.baseUrl}${route}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: sent,
    })
    expect([route, response.status, await response.text()]).toEqual([route, 200, expect.stringMatching(/./)])
  }
  expect(told()).toEqual(armed)
  expect(numConnections).toBe(0)
})

test('the trap sees what the server does open: a call of an upstream', async () => {
  const response = await server.post('/v1/chat/completions', { model: 'far', messages: [{ role: 'user', content: 'hi' }] })
  expect(response.status).toBeGreaterThanOrEqual(500)
  expect(numConnections).toBeGreaterThan(0)
  expect(told()).toContainEqual(expect.stringContaining(String(trapPort())))
})
