/** A server that is killed or stopped in the middle of batches: every record is once in the output, and what was finished runs no second time. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import Anthropic from '@anthropic-ai/sdk'
import OpenAI, { toFile } from 'openai'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { EchoUpstream } from '../kills/echo-upstream.ts'
import { InferdProcess } from './inferd-process.ts'

const NUM_RECORDS = 400
const NUM_ENDS = 3
/** Of one batch: what the kill cuts short. */
const MAX_IN_FLIGHT = 32
const ANSWER_MS = 25

const folder = mkdtempSync(path.join(tmpdir(), 'inferd-batch-crash-'))
const config = path.join(folder, 'platform.yaml')
/** The outside journal: how often each record was asked for. */
let upstream: EchoUpstream

beforeAll(async () => {
  upstream = await EchoUpstream.start({ name: /record \w+-\d+/, answerMs: ANSWER_MS })
  writeFileSync(config, upstream.yaml)
})

afterAll(() => {
  upstream[Symbol.dispose]()
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
      while (upstream.asked.size < target) await sleep(5)
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
    expect(parsed.every(({ custom_id, response }) => response.body.choices[0]?.message.content === `record ${custom_id}`)).toBe(true)
    const results = await Array.fromAsync(await anthropic(server).messages.batches.results(other.id))
    expect(results.map(({ custom_id, result }) => [custom_id, result.type])).toEqual(names('a').map((name) => [name, 'succeeded']))
    const files = (await openai(server).files.list({ purpose: 'batch_output' })).data
    expect(files).toHaveLength(2)

    expect(upstream.asked.size).toBe(2 * NUM_RECORDS)
    expect(upstream.numCalls - upstream.asked.size).toBeLessThanOrEqual(NUM_ENDS * 2 * MAX_IN_FLIGHT)
    await server[Symbol.asyncDispose]()
  },
)
