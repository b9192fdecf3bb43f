/** `inferd backup` beside a server under load, and a server on what `inferd restore` made of it. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import OpenAI, { toFile } from 'openai'
import { afterAll, expect, test } from 'vitest'
import { InferdProcess } from './inferd-process.ts'
import { runInferd } from './run-inferd.ts'

const MODEL = 'inferd-chat'
const top = mkdtempSync(path.join(tmpdir(), 'inferd-backup-e2e-'))
const [dataDir, backup, restored] = ['data', 'backup', 'restored'].map((name) => path.join(top, name)) as [string, string, string]

afterAll(() => rmSync(top, { recursive: true, force: true }))

interface UsageReport {
  readonly data: readonly { readonly requests: number; readonly output_tokens: number }[]
}

const usageOf = async (folder: string): Promise<UsageReport> =>
  JSON.parse((await runInferd(['usage', '--data-dir', folder, '--json', '--group-by', 'model'])).stdout) as UsageReport

/** What was acknowledged, by its id. */
interface Kept {
  readonly answers: Map<string, string>
  readonly files: Map<string, string>
}

async function load(client: OpenAI, kept: Kept, signal: AbortSignal): Promise<void> {
  for (let index = 0; !signal.aborted; index++) {
    const answer = await client.responses.create({ model: MODEL, input: `Count to ${index}.`, temperature: 0, max_output_tokens: 4 })
    kept.answers.set(answer.id, answer.output_text)
    const text = `{"line":${index}}\n`
    const file = await client.files.create({ file: await toFile(Buffer.from(text), `${index}.jsonl`), purpose: 'user_data' })
    kept.files.set(file.id, text)
  }
}

test('a backup that was made under load has everything that was acknowledged before it, and a server starts on it', async () => {
  const key = (await runInferd(['keys', 'create', '--data-dir', dataDir])).stdout.trim()
  const signing = await runInferd(['keys', 'create', '--kind', 'signing', '--data-dir', dataDir])
  expect(signing.exitCode).toBe(0)
  const kept: Kept = { answers: new Map(), files: new Map() }
  const stop = new AbortController()
  await using server = await (await InferdProcess.start('--data-dir', dataDir, '--drain-s', '2', '--log-level', 'warn')).ready()
  const client = new OpenAI({ baseURL: `${server.baseUrl}/v1`, apiKey: key, maxRetries: 0 })
  const loads = [load(client, kept, stop.signal), load(client, kept, stop.signal)]
  await expect.poll(() => kept.files.size, { timeout: 60_000 }).toBeGreaterThan(6)
  const before: Kept = { answers: new Map(kept.answers), files: new Map(kept.files) }
  const made = await runInferd(['backup', backup, '--data-dir', dataDir])
  expect(made).toMatchObject({ exitCode: 0, stderr: '' })
  const during = kept.files.size
  await expect.poll(() => kept.files.size, { timeout: 60_000 }).toBeGreaterThan(during)
  stop.abort()
  await Promise.all(loads)
  expect((await runInferd(['backup', backup, '--data-dir', dataDir])).stderr).toBe(
    `inferd: ${backup} is there already: a backup overwrites nothing\n`,
  )

  const spoilt = path.join(backup, 'data/files', readdirSync(path.join(backup, 'data/files'))[0]!)
  const bytes = readFileSync(spoilt)
  writeFileSync(spoilt, Buffer.from(bytes).fill(0x21, 1, 2))
  const refused = await runInferd(['restore', backup, '--data-dir', restored])
  const name = path.relative(backup, spoilt)
  expect(refused).toMatchObject({ exitCode: 1, stderr: `inferd: the backup is damaged: ${name} does not have the hash that the manifest gives\n` })
  expect(readdirSync(top).toSorted()).toEqual(['backup', 'data'])
  writeFileSync(spoilt, bytes)

  const back = await runInferd(['restore', backup, '--data-dir', restored])
  expect(back).toMatchObject({ exitCode: 0, stderr: '', stdout: expect.stringContaining(`${restored}: `) as string })
  expect((await runInferd(['restore', backup, '--data-dir', restored])).exitCode).toBe(1)
  expect((await runInferd(['audit', 'verify', '--data-dir', restored])).exitCode).toBe(0)
  const [usedThen, usedNow] = [(await usageOf(restored)).data[0]!, (await usageOf(dataDir)).data[0]!]
  expect(usedThen.requests).toBeGreaterThanOrEqual(before.answers.size - 2)
  expect(usedThen.requests).toBeLessThanOrEqual(usedNow.requests)
  await using other = await (await InferdProcess.start('--data-dir', restored, '--drain-s', '2', '--log-level', 'warn')).ready()
  const again = new OpenAI({ baseURL: `${other.baseUrl}/v1`, apiKey: key, maxRetries: 0 })
  for (const [id, text] of before.answers) expect((await again.responses.retrieve(id)).output_text).toBe(text)
  for (const [id, text] of before.files) expect(await (await again.files.content(id)).text()).toBe(text)
  for await (const { id } of again.files.list()) expect(await (await again.files.content(id)).text()).toMatch(/^\{"line":\d+\}\n$/)
  await expect(new OpenAI({ baseURL: `${other.baseUrl}/v1`, apiKey: 'no', maxRetries: 0 }).models.list()).rejects.toMatchObject({ status: 401 })
  expect((await runInferd(['keys', 'list', '--data-dir', restored])).stdout).toBe((await runInferd(['keys', 'list', '--data-dir', dataDir])).stdout)
})

test('where rows are on PostgreSQL the backup says whose work they are', async () => {
  const made = await runInferd(['backup', path.join(top, 'files-only'), '--data-dir', dataDir, '--store', 'postgres://app:hunter2@db.example/prod'])
  expect(made.stderr).toBe(
    'The rows are not in it: they are on PostgreSQL at db.example:5432, database prod. Copy them with pg_dump, before the backup of the files.\n',
  )
  expect(readdirSync(path.join(top, 'files-only/data'))).not.toContain('inferd.sqlite')
  const back = await runInferd(['restore', path.join(top, 'files-only'), '--data-dir', path.join(top, 'files-restored')])
  expect(back).toMatchObject({ exitCode: 0, stderr: expect.stringContaining('restore the dump of PostgreSQL') as string })
})
