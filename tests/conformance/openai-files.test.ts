/** Files with the official OpenAI client and with raw forms: kept by contents, per team, under limits, over restarts. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import OpenAI, { toFile } from 'openai'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { systemClock } from '#base/clock'
import { LOCAL_PRINCIPAL } from '#contract/principal'
import { DEFAULT_FILE_LIMITS, DiskFileShelf } from '#platform/files/file-shelf'
import { openStore, type Store } from '#platform/store/open-store'
import { NO_SERVICES } from '#server/services'
import { rejection } from './openai-suite.ts'
import { startTestServer, type TestServer } from './test-server.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'inferd-files-'))
let store: Store
let shelf: DiskFileShelf
let target: TestServer
let client: OpenAI

const open = (): Promise<DiskFileShelf> =>
  DiskFileShelf.open({
    ...DEFAULT_FILE_LIMITS,
    store,
    clock: systemClock,
    folder,
    onDamage: () => {},
    maxFileBytes: 2_000_000,
    maxTeamBytes: 5_000_000,
    maxTeamFiles: 8,
  })

function clientOf(team: string): OpenAI {
  return new OpenAI({ baseURL: `${target.url}/v1`, apiKey: 'unused', maxRetries: 0, defaultHeaders: { 'x-team': team } })
}

beforeAll(async () => {
  store = await openStore({ file: null })
  shelf = await open()
  target = await startTestServer({
    options: { bodyLimitBytes: 1000 },
    services: { ...NO_SERVICES, files: shelf },
    authenticate: async ({ headers }) => ({ ...LOCAL_PRINCIPAL, team: String(headers['x-team']) }),
  })
  client = clientOf('red')
})

afterAll(async () => {
  await target.server.close({ graceMs: 0 })
  await store.close()
  rmSync(folder, { recursive: true, force: true })
})

const contents = (): string[] => readdirSync(folder).filter((name) => name !== 'incoming')
const incoming = (): string[] => readdirSync(path.join(folder, 'incoming'))

test('a file larger than any other body is kept, listed, read and deleted; equal contents are kept once', async () => {
  const bytes = Buffer.alloc(1_500_000, 'line of a batch\n')
  const first = await client.files.create({ file: await toFile(bytes, 'a.jsonl'), purpose: 'batch' })
  expect(first).toMatchObject({ object: 'file', bytes: 1_500_000, filename: 'a.jsonl', purpose: 'batch' })
  const second = await client.files.create({
    purpose: 'user_data',
    file: await toFile(bytes, 'ä "b".txt'),
    expires_after: { anchor: 'created_at', seconds: 3600 },
  })
  expect(second).toMatchObject({ filename: 'ä "b".txt', expires_at: second.created_at + 3600 })
  expect(contents()).toHaveLength(1)
  expect(await client.files.retrieve(first.id)).toEqual(first)
  const ids: string[] = []
  for await (const { id } of client.files.list({ limit: 1, order: 'asc' })) ids.push(id)
  expect(ids.toSorted()).toEqual([first.id, second.id].toSorted())
  expect((await client.files.list({ purpose: 'batch' })).data).toEqual([first])
  expect(Buffer.from(await (await client.files.content(second.id)).arrayBuffer()).equals(bytes)).toBe(true)
  expect(await client.files.delete(first.id)).toEqual({ id: first.id, object: 'file', deleted: true })
  expect(contents()).toHaveLength(1)
  await client.files.delete(second.id)
  expect([contents(), incoming()]).toEqual([[], []])
})

test('a file of another team does not exist', async () => {
  const { id } = await client.files.create({ file: await toFile(Buffer.from('x'), 'x'), purpose: 'user_data' })
  const other = clientOf('blue')
  for (const attempt of [
    () => other.files.retrieve(id),
    () => other.files.content(id),
    () => other.files.delete(id),
    () => other.files.list({ after: id }),
  ]) {
    expect(await rejection(attempt())).toMatchObject({ status: 404, code: 'not_found' })
  }
  expect((await other.files.list()).data).toEqual([])
  await client.files.delete(id)
})

async function post(parts: readonly (readonly [string, string | File])[], headers: Record<string, string> = {}): Promise<unknown> {
  const form = new FormData()
  for (const [name, value] of parts) form.append(name, value)
  const response = await fetch(`${target.url}/v1/files`, { method: 'POST', body: form, headers: { 'x-team': 'red', ...headers } })
  const { error } = (await response.json()) as { error: { code: string; param: string | null } }
  return [response.status, error.code, error.param]
}

const FILE = new File(['abc'], 'x.jsonl')

test.each([
  ['no file', [['purpose', 'batch']], [400, 'invalid_parameter', 'file']],
  [
    'a file without a name',
    [
      ['file', 'text'],
      ['purpose', 'batch'],
    ],
    [400, 'invalid_parameter', 'file'],
  ],
  [
    'two files',
    [
      ['file', FILE],
      ['file', FILE],
      ['purpose', 'batch'],
    ],
    [400, 'invalid_parameter', 'file'],
  ],
  ['no purpose', [['file', FILE]], [400, 'invalid_parameter', 'purpose']],
  [
    'two purposes',
    [
      ['purpose', 'batch'],
      ['purpose', 'batch'],
      ['file', FILE],
    ],
    [400, 'invalid_parameter', 'purpose'],
  ],
  [
    'a purpose that is not offered',
    [
      ['purpose', 'fine-tune'],
      ['file', FILE],
    ],
    [400, 'unsupported_parameter', 'purpose'],
  ],
  [
    'an unknown purpose',
    [
      ['purpose', 'fun'],
      ['file', FILE],
    ],
    [400, 'invalid_parameter', 'purpose'],
  ],
  [
    'an unknown field',
    [
      ['file', FILE],
      ['porpoise', 'batch'],
    ],
    [400, 'invalid_parameter', 'porpoise'],
  ],
  ['a long field', [['purpose', 'x'.repeat(5000)]], [413, 'payload_too_large', null]],
  [
    'an expiry that is too soon',
    [
      ['file', FILE],
      ['purpose', 'batch'],
      ['expires_after[anchor]', 'created_at'],
      ['expires_after[seconds]', '1'],
    ],
    [400, 'invalid_parameter', 'expires_after.seconds'],
  ],
  [
    'a file over the limit',
    [
      ['purpose', 'batch'],
      ['file', new File([Buffer.alloc(2_000_001)], 'big')],
    ],
    [413, 'payload_too_large', null],
  ],
] as const)('%s is refused and leaves nothing behind', async (_name, parts, expected) => {
  expect(await post(parts)).toEqual(expected)
  expect([contents(), incoming()]).toEqual([[], []])
})

test('a body that is no form, and one whose sender leaves, leave nothing behind', async () => {
  const send = (body: string | ReadableStream, type: string, signal?: AbortSignal): Promise<Response> =>
    fetch(`${target.url}/v1/files`, {
      method: 'POST',
      body,
      headers: { 'x-team': 'red', 'content-type': type },
      duplex: 'half',
      ...(signal ? { signal } : {}),
    } as RequestInit)
  expect((await send('{}', 'application/json')).status).toBe(415)
  expect((await send('junk', 'multipart/form-data; boundary=b')).status).toBe(400)
  const leaving = new AbortController()
  const half = new ReadableStream({
    pull(controller) {
      controller.enqueue(Buffer.from('--b\r\ncontent-disposition: form-data; name="file"; filename="x"\r\n\r\nabc'))
      return new Promise((resolve) => setTimeout(() => resolve(leaving.abort()), 50))
    },
  })
  await expect(send(half, 'multipart/form-data; boundary=b', leaving.signal)).rejects.toThrow()
  for (let waits = 0; waits < 200 && incoming().length > 0; waits++) await new Promise((resolve) => setTimeout(resolve, 5))
  expect([contents(), incoming()]).toEqual([[], []])
})

test('a team that keeps too much is refused until it deletes', async () => {
  const big = (index: number): Promise<OpenAI.FileObject> =>
    toFile(Buffer.alloc(1_900_000, index), `${index}`).then((file) => client.files.create({ file, purpose: 'user_data' }))
  const kept = [await big(1), await big(2)]
  expect(await rejection(big(3))).toMatchObject({ status: 413, code: 'payload_too_large' })
  for (const { id } of kept) await client.files.delete(id)
  const small = (index: number): Promise<OpenAI.FileObject> =>
    toFile(Buffer.from(`${index}`), `${index}`).then((file) => client.files.create({ file, purpose: 'user_data' }))
  for (let index = 0; index < 8; index++) await small(index)
  expect(await rejection(small(9))).toMatchObject({ status: 413 })
  for await (const { id } of client.files.list()) await client.files.delete(id)
})

test('the result of accepted work is kept once under its id, also where the team keeps too much', async () => {
  const full = await toFile(Buffer.alloc(1_999_999, 'a'), 'a')
  const kept = [await client.files.create({ file: full, purpose: 'user_data' })]
  const publish = async (text: string): Promise<string> => {
    const upload = await shelf.receiveResult('red', 'file-result')
    await upload.write(Buffer.from(text))
    const { id } = await upload.commit({ filename: 'out', purpose: 'batch_output', expiresAfterS: null })
    return id
  }
  const large = 'x'.repeat(4_000_000)
  expect(await publish(large)).toBe('file-result')
  expect(await publish('another')).toBe('file-result')
  expect(await (await client.files.content('file-result')).text()).toBe(large)
  expect(await rejection(client.files.create({ file: full, purpose: 'user_data' }))).toMatchObject({ status: 413 })
  await client.files.delete('file-result')
  for (const { id } of kept) await client.files.delete(id)
  expect([contents(), incoming()]).toEqual([[], []])
})

test('a start cleans up what a crash has left and keeps what is named', async () => {
  const { id } = await client.files.create({ file: await toFile(Buffer.from('kept'), 'x'), purpose: 'user_data' })
  writeFileSync(path.join(folder, 'f'.repeat(64)), 'an orphan')
  writeFileSync(path.join(folder, 'incoming', 'upload-1'), 'half')
  const again = await open()
  expect([contents().length, incoming()]).toEqual([1, []])
  const file = await again.get('red', id)
  expect(file).not.toBe(null)
  if (file !== null) expect(Buffer.concat(await Array.fromAsync(again.read(file))).toString()).toBe('kept')
  await client.files.delete(id)
})

test('a server without a shelf says so', async () => {
  const bare = await startTestServer()
  expect((await fetch(`${bare.url}/v1/files`)).status).toBe(400)
  await bare.server.close({ graceMs: 0 })
})
