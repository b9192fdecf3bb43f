/** Model files that change, lie or do not fit, seen from outside: bad inputs 74 to 77 of the reliability study. */
import { createHash } from 'node:crypto'
import { copyFileSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { encodeGgufHeader, tensorByteLength, type TypedValue } from '#engine/weights/gguf/gguf-writer'
import { openModelFiles } from '#engine/weights/model-files'
import { InferdProcess, serverSentEvents } from './inferd-process.ts'

const SHIPPED = 'models/inferd-chat/inferd-chat-Q8_0.gguf'
const CAPITAL = { model: 'm', messages: [{ role: 'user', content: 'What is the capital of France?' }], temperature: 0 }
const folder = mkdtempSync(path.join(tmpdir(), 'inferd-damage-'))

afterAll(() => rmSync(folder, { recursive: true }))

/** A model of our own to damage, under a name of its own. */
function copyOfShipped(name: string): string {
  const file = path.join(folder, name)
  copyFileSync(SHIPPED, file)
  return file
}

async function ask(server: InferdProcess, body: object = {}): Promise<readonly [number, unknown]> {
  const response = await server.post('/v1/chat/completions', { ...CAPITAL, ...body })
  return [response.status, await response.json()]
}

const RIGHT = [200, { choices: [{ message: { content: 'The capital of France is Paris.' } }] }]
const GONE = [404, { error: { code: 'model_not_found' } }]

test('74: weights that are not numbers fail their requests with non_finite_logits, whole, streamed and embedded, and the worker lives', async () => {
  const file = copyOfShipped('nan.gguf')
  const { tensors } = await openModelFiles(file)
  await tensors.close()
  const bytes = readFileSync(file)
  bytes.writeFloatLE(Number.NaN, tensors.tensors.get('output_norm.weight')!.byteOffset)
  writeFileSync(file, bytes)
  await using server = await (await InferdProcess.start('--model', `m=${file}`)).ready()
  const workerPids = server.workerPids()
  const failed = [500, { error: { code: 'non_finite_logits' } }]
  for (const body of [{}, { stream: true }, { n: 3, temperature: 1 }]) expect(await ask(server, body)).toMatchObject(failed)
  const embedding = await server.post('/v1/embeddings', { model: 'm', input: 'fox' })
  expect([embedding.status, await embedding.json()]).toMatchObject(failed)
  expect(await server.load()).toMatchObject({ running: 0, waiting: 0 })
  expect(server.workerPids()).toEqual(workerPids)
})

test('75: content that is not what its .sha256 promises ends the start with both digests', async () => {
  const file = copyOfShipped('flipped.gguf')
  const bytes = readFileSync(file)
  const promised = createHash('sha256').update(bytes).digest('hex')
  writeFileSync(`${file}.sha256`, `${promised}  flipped.gguf\n`)
  bytes[bytes.length - 1000]! ^= 1
  writeFileSync(file, bytes)
  await using server = await InferdProcess.start('--model', `m=${file}`)
  expect(await server.exited()).toBe(1)
  expect(server.log).toContain(`expected ${promised}, got ${createHash('sha256').update(bytes).digest('hex')}`)
})

test('76: a file truncated or rewritten while it is served harms no answer; the worker that starts on it later is refused and the gateway lives', async () => {
  const file = copyOfShipped('changing.gguf')
  const bytes = readFileSync(file)
  writeFileSync(`${file}.sha256`, createHash('sha256').update(bytes).digest('hex'))
  await using server = await (await InferdProcess.start('--model', `m=${file}`, `whole=${SHIPPED}`)).ready()
  truncateSync(file, 100_000)
  expect(await ask(server)).toMatchObject(RIGHT)
  bytes[bytes.length - 1000]! ^= 1
  writeFileSync(file, bytes)
  expect(await ask(server)).toMatchObject(RIGHT)
  for (const pid of server.workerPids()) process.kill(pid, 'SIGKILL')
  expect(await ask(server)).toMatchObject(GONE)
  expect(await ask(server, { model: 'whole' })).toMatchObject(RIGHT)
  expect(server.log).toContain('content is not what its .sha256 promises')
  expect((await fetch(`${server.baseUrl}/healthz`)).status).toBe(200)
  expect((await fetch(`${server.baseUrl}/readyz`)).status).toBe(503)
})

test('76: a server whose only model is lost stays up and says so', async () => {
  const file = copyOfShipped('lost.gguf')
  await using server = await (await InferdProcess.start('--model', `m=${file}`)).ready()
  const stream = await server.post('/v1/chat/completions', { ...CAPITAL, stream: true, max_tokens: 1500, ignore_eos: true })
  truncateSync(file, 50_000)
  let last: unknown = null
  for await (const event of serverSentEvents(stream)) {
    if (last === null) process.kill(server.workerPids()[0]!, 'SIGKILL')
    last = event
  }
  expect(last).toMatchObject({ error: { code: 'replica_lost' } })
  expect(await ask(server)).toMatchObject(GONE)
  expect((await fetch(`${server.baseUrl}/healthz`)).status).toBe(200)
})

test('77: a model larger than the memory is refused with need and have, before anything is read', async () => {
  const file = path.join(folder, 'huge.gguf')
  await writeHugeModel(file)
  await using server = await InferdProcess.start('--model', `m=${file}`)
  expect(await server.exited()).toBe(1)
  expect(server.log).toMatch(/"code":"insufficient_memory","reason":"the weights need \d{13} bytes, \d+ are free"/)
})

test('77: a KV cache that cannot hold one context is refused with need and have', async () => {
  await using server = await InferdProcess.start('--model', `m=${SHIPPED}`, '--kv-cache-mib', '1')
  expect(await server.exited()).toBe(1)
  expect(server.log).toMatch(/"reason":"the KV cache of one context of 2048 tokens needs \d+ bytes, 1048576 are left; serve a shorter context"/)
})

/** A sound header over terabytes of holes: the file takes no room on the disk. */
async function writeHugeModel(file: string): Promise<void> {
  const shipped = await openModelFiles(SHIPPED)
  await shipped.tensors.close()
  const { metadata: source } = shipped
  if (source.format !== 'gguf') expect.unreachable('the shipped model is a GGUF file')
  const hidden = 65_536
  const feedForward = 1_048_576
  const tokens = source.values.get('tokenizer.ggml.tokens') as readonly string[]
  const uint = (value: number): TypedValue => ({ type: 'uint32', value })
  const metadata = new Map<string, TypedValue>([
    ['general.architecture', { type: 'string', value: 'llama' }],
    ['llama.block_count', uint(4)],
    ['llama.context_length', uint(64)],
    ['llama.embedding_length', uint(hidden)],
    ['llama.feed_forward_length', uint(feedForward)],
    ['llama.attention.head_count', uint(512)],
    ['llama.attention.head_count_kv', uint(512)],
    ['llama.attention.layer_norm_rms_epsilon', { type: 'float32', value: 1e-5 }],
    ['llama.rope.freq_base', { type: 'float32', value: 10_000 }],
    ['tokenizer.ggml.model', { type: 'string', value: 'gpt2' }],
    ['tokenizer.ggml.tokens', { type: 'strings', value: tokens }],
    ['tokenizer.ggml.merges', { type: 'strings', value: [] }],
    ['tokenizer.ggml.eos_token_id', uint(0)],
  ])
  const layer = (index: number): [string, number[]][] => [
    [`blk.${index}.attn_norm.weight`, [hidden]],
    [`blk.${index}.attn_q.weight`, [hidden, hidden]],
    [`blk.${index}.attn_k.weight`, [hidden, hidden]],
    [`blk.${index}.attn_v.weight`, [hidden, hidden]],
    [`blk.${index}.attn_output.weight`, [hidden, hidden]],
    [`blk.${index}.ffn_norm.weight`, [hidden]],
    [`blk.${index}.ffn_gate.weight`, [feedForward, hidden]],
    [`blk.${index}.ffn_up.weight`, [feedForward, hidden]],
    [`blk.${index}.ffn_down.weight`, [hidden, feedForward]],
  ]
  const shapes: [string, number[]][] = [
    ['token_embd.weight', [tokens.length, hidden]],
    ...[0, 1, 2, 3].flatMap(layer),
    ['output_norm.weight', [hidden]],
  ]
  const tensors = shapes.map(([name, shape]) => ({ name, dtype: 'f32' as const, shape }))
  const header = encodeGgufHeader({ metadata, tensors })
  writeFileSync(file, header)
  truncateSync(file, header.length + tensors.reduce((sum, tensor) => sum + tensorByteLength(tensor), 0))
}
