/** inferd as SageMaker starts it in a container: any address, no credentials on /invocations, and nothing else is open. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { InferdProcess } from './inferd-process.ts'

let folder: string
let server: InferdProcess
let url: string

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'inferd-image-'))
  server = await InferdProcess.start('--host', '0.0.0.0', '--auth', 'container', '--data-dir', folder, '--log-level', 'warn')
  url = `http://127.0.0.1:${new URL(server.baseUrl).port}`
})

afterAll(async () => {
  await server[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

function invoke(target: string): Promise<Response> {
  const body = JSON.stringify({ inputs: 'The capital of France is', parameters: { max_new_tokens: 4 } })
  return fetch(`${url}${target}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
}

test('/ping tells when the model is there, and /invocations answers without a key', async () => {
  await expect.poll(async () => (await fetch(`${url}/ping`)).status, { timeout: 20_000 }).toBe(200)
  const answer = await invoke('/invocations')
  expect(answer.status).toBe(200)
  expect(await answer.json()).toMatchObject([{ generated_text: expect.any(String) as string }])
})

test('no other path is open, however it is spelled', async () => {
  const paths = [
    '/v1/models',
    '/endpoints/inferd-chat/invocations',
    '/metrics',
    '/invocations/../v1/models',
    '//invocations',
    '/invocations/x',
    '/nowhere',
  ]
  for (const target of paths)
    expect([target, (await fetch(`${url}${target}`)).status]).toEqual([target, expect.toSatisfy((status) => status === 401 || status === 403)])
})
