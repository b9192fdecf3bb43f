/**
 * Bad input 102 of the reliability study: the heaviest bodies that are let in, beside a probe of the server's health every 100 ms. What blocks the
 * event loop of the gateway does so in every round; what another program on the machine delays does not, so the best of a few rounds counts.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { InferdProcess } from './inferd-process.ts'

const MODEL = 'inferd-chat'
/** Of the default limit, 4 MiB. */
const BODY_BYTES = 4 * 1024 * 1024
const PROBE_EVERY_MS = 100
const MOST_DELAY_MS = 200
const PROBES = 8
const ROUNDS = 12

let server: InferdProcess

/** Every text of every call is judged, and its answer looked for in the cache: both happen in the gateway. */
const PLATFORM = `
responseCache: { byDefault: exact, allowed: exact }
guardrails:
  definitions:
    - name: house
      policy:
        words: [{ text: voodoo }, { text: two words }]
        profanity: {}
        regexes: [{ name: ticket, pattern: 'T-[0-9]+' }]
        pii: [${['EMAIL', 'PHONE', 'IP_ADDRESS', 'URL', 'API_KEY', 'NAME'].map((type) => `{ type: ${type} }`).join(', ')}]
        contentFilters: [{ type: PROMPT_ATTACK, inputStrength: HIGH, outputStrength: NONE }]
  defaults: { '*': { guardrail: house } }
`
const folder = mkdtempSync(path.join(tmpdir(), 'inferd-heavy-'))

beforeAll(async () => {
  const config = path.join(folder, 'inferd.yaml')
  writeFileSync(config, PLATFORM)
  const model = `${MODEL}=models/inferd-chat/inferd-chat-Q8_0.gguf`
  server = await (await InferdProcess.start('--log-level', 'warn', '--config', config, '--model', model)).ready()
})

afterAll(async () => {
  rmSync(folder, { recursive: true })
  expect(server.log).not.toContain('model worker ended')
  await server[Symbol.asyncDispose]()
})

interface Heavy {
  readonly route: string
  readonly body: string
  readonly status: number
}

const user = (content: string): object => ({ role: 'user', content })
const fill = (bytes: number, piece: string): string => piece.repeat(Math.floor(bytes / Buffer.byteLength(piece)))

function chat(fields: object): string {
  return JSON.stringify({ model: MODEL, max_tokens: 2, messages: [user('hi')], ...fields })
}

function schemaOf(schema: object): string {
  return chat({ response_format: { type: 'json_schema', json_schema: { name: 'a', schema } } })
}

const ROOM = BODY_BYTES - 2000
const deepSchema = (levels: number): object =>
  levels === 0 ? { type: 'string' } : { type: 'object', properties: { a: deepSchema(levels - 1), b: { type: 'integer' } }, required: ['a'] }

const HEAVY: readonly (readonly [string, Heavy])[] = [
  ['one text', { route: '/v1/chat/completions', body: chat({ messages: [user(fill(ROOM, 'word '))] }), status: 400 }],
  ['text of one letter', { route: '/v1/completions', body: JSON.stringify({ model: MODEL, prompt: fill(ROOM, 'a') }), status: 400 }],
  ['escapes', { route: '/v1/completions', body: `{"model":"${MODEL}","prompt":"${fill(ROOM, String.raw`\u00e9\n`)}"}`, status: 400 }],
  ['messages', { route: '/v1/chat/completions', body: chat({ messages: Array.from({ length: 2048 }, () => user('x'.repeat(1900))) }), status: 400 }],
  ['token ids', { route: '/v1/completions', body: `{"model":"${MODEL}","prompt":[${fill(ROOM, '7,')}7]}`, status: 400 }],
  ['small values', { route: '/v1/chat/completions', body: chat({ metadata: JSON.parse(`[${fill(ROOM - 2, '[],')}0]`) as object }), status: 400 }],
  ['keys', { route: '/v1/chat/completions', body: `{${Array.from({ length: 300_000 }, (_, i) => `"k${i}":0`).join(',')}}`, status: 400 }],
  ['an enum', { route: '/v1/chat/completions', body: schemaOf({ enum: Array.from({ length: 9000 }, (_, i) => `value ${i}`) }), status: 200 }],
  ['a deep schema', { route: '/v1/chat/completions', body: schemaOf(deepSchema(24)), status: 200 }],
  ['a wide schema', { route: '/v1/chat/completions', body: schemaOf({ description: fill(ROOM, 'x'), type: 'string' }), status: 400 }],
  [
    'messages of another dialect',
    { route: '/v1/messages', body: JSON.stringify({ model: MODEL, max_tokens: 2, messages: [user(fill(ROOM, 'é '))] }), status: 400 },
  ],
]

/** The longest of some probes while such bodies come one after the other. */
async function mostDelayMs({ route, body, status: expected }: Heavy): Promise<number> {
  let isProbing = true
  const sendInTurn = async (): Promise<void> => {
    while (isProbing) {
      const response = await fetch(`${server.baseUrl}${route}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
      const text = await response.text()
      expect([response.status, text.slice(0, 300)]).toEqual([expected, expect.stringMatching(/./)])
    }
  }
  const sent = sendInTurn()
  const delays: Promise<number>[] = []
  while (delays.length < PROBES) {
    await sleep(PROBE_EVERY_MS)
    delays.push(probeMs())
  }
  const mostMs = Math.max(...(await Promise.all(delays)))
  isProbing = false
  await sent
  return mostMs
}

async function probeMs(): Promise<number> {
  const startMs = performance.now()
  const response = await fetch(`${server.baseUrl}/healthz`)
  expect([response.status, (await response.text()).length > 0]).toEqual([200, true])
  return performance.now() - startMs
}

test.each(HEAVY)(
  '102: beside %s, as large as may be, the probe is answered in 200 ms',
  async (_name, heavy) => {
    expect(Buffer.byteLength(heavy.body)).toBeLessThanOrEqual(BODY_BYTES)
    const rounds: number[] = []
    while (rounds.length < ROUNDS && !rounds.some((ms) => ms <= MOST_DELAY_MS)) rounds.push(await mostDelayMs(heavy))
    expect(Math.min(...rounds)).toBeLessThanOrEqual(MOST_DELAY_MS)
  },
  60_000,
)
