/** What `inferd serve` keeps in its data folder is there after a crash: answers, files, and the word about what the crash cut short. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import OpenAI, { toFile } from 'openai'
import { afterAll, expect, test } from 'vitest'
import { InferdProcess } from './inferd-process.ts'

const MODEL = 'inferd-chat'
const folder = mkdtempSync(path.join(tmpdir(), 'inferd-kept-'))

afterAll(() => rmSync(folder, { recursive: true, force: true }))

function clientOf({ baseUrl }: InferdProcess): OpenAI {
  return new OpenAI({ baseURL: `${baseUrl}/v1`, apiKey: 'unused', maxRetries: 0 })
}

test('a killed server has kept what it said it keeps, and fails what it ran', async () => {
  const before = await (await InferdProcess.start('--data-dir', folder, '--drain-s', '1')).ready()
  const client = clientOf(before)
  const kept = await client.responses.create({ model: MODEL, input: 'What is the capital of France?', temperature: 0 })
  const file = await client.files.create({ file: await toFile(Buffer.from('{"a":1}\n'), 'a.jsonl'), purpose: 'user_data' })
  const endless = { model: MODEL, input: 'Tell me a story.', background: true, ignore_eos: true, max_output_tokens: 8000 }
  const cut = await client.responses.create(endless)
  while ((await client.responses.retrieve(cut.id)).status === 'queued') await sleep(5)
  expect((await client.responses.retrieve(cut.id)).status).toBe('in_progress')
  await before[Symbol.asyncDispose]()

  const after = await (await InferdProcess.start('--data-dir', folder, '--drain-s', '0')).ready()
  const again = clientOf(after)
  expect((await again.responses.retrieve(kept.id)).output_text).toBe(kept.output_text)
  expect(await again.responses.retrieve(cut.id)).toMatchObject({ status: 'failed', error: { code: 'server_error' } })
  expect(await (await again.files.content(file.id)).text()).toBe('{"a":1}\n')
  const next = await again.responses.create({ model: MODEL, input: 'And of Italy?', temperature: 0, previous_response_id: kept.id })
  expect(next.status).toBe('completed')

  const stopped = await again.responses.create(endless)
  after.child.kill('SIGTERM')
  expect(await after.exited()).toBe(0)
  const last = await (await InferdProcess.start('--data-dir', folder, '--drain-s', '1')).ready()
  const found = await clientOf(last).responses.retrieve(stopped.id)
  expect(found).toMatchObject({ status: 'failed', error: { message: expect.stringContaining('shutting down') as string } })
  await last[Symbol.asyncDispose]()
})
