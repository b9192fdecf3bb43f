/** The ledger of a real server: streams, whole answers and a stream whose reader leaves, as the usage API and the command tell them. */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { afterAll, expect, test } from 'vitest'
import { InferdProcess } from './inferd-process.ts'

const MODEL = 'inferd-chat'
const DATA_DIR = mkdtempSync(path.join(tmpdir(), 'inferd-usage-'))

afterAll(() => rmSync(DATA_DIR, { recursive: true }))

/** What `inferd usage` prints. */
async function usageCommand(...args: string[]): Promise<string> {
  const command = ['--conditions=inferd-source', 'src/main.ts', 'usage', ...args]
  return (await promisify(execFile)(process.execPath, command, { cwd: path.resolve(import.meta.dirname, '../..') })).stdout
}

interface Row {
  readonly day: string
  readonly model: string
  readonly requests: number
  readonly errors: number
  readonly input_tokens: number
  readonly output_tokens: number
}

test('a reader who leaves is charged what the model had computed, and the same prompt costs the same whole and streamed', async () => {
  await using server = await (await InferdProcess.start('--log-level', 'warn', '--data-dir', DATA_DIR)).ready()
  const rows = async (): Promise<readonly Row[]> => {
    const response = await fetch(`${server.baseUrl.replace(/\/v1$/, '')}/inferd/v1/usage?group_by=model,day`)
    return ((await response.json()) as { readonly data: readonly Row[] }).data
  }
  const ask = (extra: object, signal: AbortSignal | null = null): Promise<Response> =>
    fetch(`${server.baseUrl.replace(/\/v1$/, '')}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: MODEL, messages: [{ role: 'user', content: 'What is the capital of France?' }], temperature: 0, ...extra }),
      signal,
    })
  const whole = (await (await ask({})).json()) as { readonly usage: { readonly prompt_tokens: number; readonly completion_tokens: number } }
  const once = { input_tokens: whole.usage.prompt_tokens, output_tokens: whole.usage.completion_tokens }
  expect(await rows()).toMatchObject([{ model: MODEL, requests: 1, errors: 0, ...once }])
  await (await ask({ stream: true })).text()
  expect(await rows()).toMatchObject([{ requests: 2, input_tokens: 2 * once.input_tokens, output_tokens: 2 * once.output_tokens }])
  const controller = new AbortController()
  const response = await ask({ stream: true, ignore_eos: true, max_tokens: 4000 }, controller.signal)
  const reader = response.body!.getReader()
  for (let chunks = 0; chunks < 5; chunks++) await reader.read()
  controller.abort()
  await expect.poll(async () => (await rows())[0]?.errors, { timeout: 5000 }).toBe(1)
  const [total] = await rows()
  const { output_tokens: atOnce } = total!
  expect(total!.input_tokens).toBe(3 * once.input_tokens)
  expect(atOnce - 2 * once.output_tokens).toBeGreaterThanOrEqual(4)
  await sleep(200)
  expect((await rows())[0]?.output_tokens).toBe(atOnce)
  const ofStore = await usageCommand('--data-dir', DATA_DIR, '--group-by', 'model,day', '--json')
  const ofServer = await usageCommand('--url', server.baseUrl.replace(/\/v1$/, ''), '--group-by', 'model,day', '--json')
  expect(ofStore).toBe(ofServer)
  expect(await usageCommand('--data-dir', DATA_DIR)).toMatch(new RegExp(`^team +model .*\\nlocal +${MODEL} +3 +1 `))
})
