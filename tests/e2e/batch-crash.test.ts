/** A server that is killed or stopped in the middle of batches: every record is once in the output, and what was finished runs no second time. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import Anthropic from '@anthropic-ai/sdk'
import OpenAI, { toFile } from 'openai'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { InferdProcess } from './inferd-process.ts'

const NUM_RECORDS = 400
const NUM_ENDS = 3
/** Of one batch: what the kill cuts short. */
const MAX_IN_FLIGHT = 32
const ANSWER_MS = 25

const folder = mkdtempSync(path.join(tmpdir(), 'inferd-batch-crash-'))
const config = path.join(folder, 'platform.yaml')
/** The outside journal: how often each record was asked for, by its text. */
const asked = new Map<string, number>()
let upstream: Server

beforeAll(async () => {
  upstream = createServer((request, response) => {
    void (async () => {
      const pieces: Buffer[] = []
      for await (const piece of request) pieces.push(piece as Buffer)
      const text = /record \w+-\d+/.exec(Buffer.concat(pieces).toString())?.[0] ?? 'none'
      asked.set(text, (asked.get(text) ?? 0) + 1)
      await sleep(ANSWER_MS)
      const choices = [{ index: 0, message: { role: 'assistant', content: `This is ${text}.` }, finish_reason: 'stop' }]
      response.setHeader('content-type', 'application/json')
      response.end(
        JSON.stringify({
          id: 'c',
          object: 'chat.completion',
          created: 1,
          model: 'far',
          choices,
          usage: { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 },
        }),
      )
    })().catch(() => response.destroy())
  })
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve))
  const { port } = upstream.address() as AddressInfo
  const models = '[{ name: far, remoteModel: far, contextLength: 4096 }]'
  const far = `{ dialect: openai, baseUrl: "http://127.0.0.1:${port}/v1", models: ${models} }`
  writeFileSync(config, `egress: { hosts: [{ host: 127.0.0.1, allowPrivate: true }] }\nupstreams: [${far}]\n`)
})

afterAll(() => {
  upstream.close()
  upstream.closeAllConnections()
  rmSync(folder, { recursive: true, force: true })
})

const start = async (): Promise<InferdProcess> =>
  (await InferdProcess.start('--config', config, '--data-dir', path.join(folder, 'data'), '--log-level', 'error', '--drain-s', '0')).ready()
const openai = ({ baseUrl }: InferdProcess): OpenAI => new OpenAI({ baseURL: `${baseUrl}/v1`, apiKey: 'unused', maxRetries: 0 })
const anthropic = ({ baseUrl }: InferdProcess): Anthropic => new Anthropic({ baseURL: baseUrl, apiKey: 'unused', maxRetries: 0 })

const names = (kind: string): string[] => Array.from({ length: NUM_RECORDS }, (_, index) => `${kind}-${index}`)
const messages = (name: string): { readonly role: 'user'; readonly content: string }[] => [{ role: 'user', content: `record ${name}` }]

function inputFile(): string {
  const line = (name: string): object => ({
    custom_id: name,
    method: 'POST',
    url: '/v1/chat/completions',
    body: { model: 'far', messages: messages(name) },
  })
  return names('o')
    .map((name) => JSON.stringify(line(name)))
    .join('\n')
}

test(
  'killed twice and stopped once, each batch has every record once, and only what was in flight was asked for again',
  { timeout: 180_000 },
  async () => {
    let server = await start()
    const file = await openai(server).files.create({ file: await toFile(Buffer.from(inputFile()), 'in.jsonl'), purpose: 'batch' })
    const order = { input_file_id: file.id, endpoint: '/v1/chat/completions', completion_window: '24h' } as const
    const one = await openai(server).batches.create(order)
    const requests = names('a').map((name) => ({ custom_id: name, params: { model: 'far', max_tokens: 9, messages: messages(name) } }))
    const other = await anthropic(server).messages.batches.create({ requests })
    for (let kills = 0; kills < NUM_ENDS; kills++) {
      const target = ((kills + 1) * NUM_RECORDS * 2) / (NUM_ENDS + 2)
      while (asked.size < target) await sleep(5)
      // One of them is told to stop instead: what it answers then is no outcome.
      server.child.kill(kills === 1 ? 'SIGTERM' : 'SIGKILL')
      await server.exited()
      server = await start()
    }
    for (;;) {
      const [first, second] = [await openai(server).batches.retrieve(one.id), await anthropic(server).messages.batches.retrieve(other.id)]
      expect(['in_progress', 'finalizing', 'completed']).toContain(first.status)
      if (first.status === 'completed' && second.processing_status === 'ended') break
      await sleep(50)
    }
    const batch = await openai(server).batches.retrieve(one.id)
    expect(batch).toMatchObject({
      request_counts: { total: NUM_RECORDS, completed: NUM_RECORDS, failed: 0 },
      usage: { total_tokens: 7 * NUM_RECORDS },
    })
    const lines = (await (await openai(server).files.content(batch.output_file_id ?? '')).text()).trimEnd().split('\n')
    const parsed = lines.map((text) => JSON.parse(text) as { custom_id: string; response: { body: OpenAI.ChatCompletion } })
    expect(parsed.map(({ custom_id }) => custom_id)).toEqual(names('o'))
    expect(parsed.every(({ custom_id, response }) => response.body.choices[0]?.message.content === `This is record ${custom_id}.`)).toBe(true)
    const results = await Array.fromAsync(await anthropic(server).messages.batches.results(other.id))
    expect(results.map(({ custom_id, result }) => [custom_id, result.type])).toEqual(names('a').map((name) => [name, 'succeeded']))
    const files = (await openai(server).files.list({ purpose: 'batch_output' })).data
    expect(files).toHaveLength(2)

    const total = [...asked.values()].reduce((sum, count) => sum + count, 0)
    expect(asked.size).toBe(2 * NUM_RECORDS)
    expect(total - asked.size).toBeLessThanOrEqual(NUM_ENDS * 2 * MAX_IN_FLIGHT)
    await server[Symbol.asyncDispose]()
  },
)
