/** Bad input 64 of the reliability study: what one team sent is in no cache of another, neither its KV blocks nor its whole answers. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { dialectTargets, type DialectTarget } from '../conformance/dialect-targets.ts'
import { InferdProcess } from './inferd-process.ts'
import { readCacheHits } from './ledger-rows.ts'
import { runInferd } from './run-inferd.ts'

/** One team's name begins as the other's: names are no prefixes of each other where they are hashed. */
const TEAMS = ['red', 'red1', 'blue'] as const
type Team = (typeof TEAMS)[number]

/** Of several KV blocks. */
const STORY = 'The quick brown fox jumps over the lazy dog and runs on through the dark forest until the morning comes. '.repeat(4)
const TARGETS = dialectTargets('inferd-chat').filter(({ path: route }) => route !== '/v1/embeddings')

const folder = mkdtempSync(path.join(tmpdir(), 'inferd-teams-'))
const dataDir = path.join(folder, 'data')
const keys = new Map<Team, string>()
let server: InferdProcess
let numCalls = 0

beforeAll(async () => {
  for (const team of TEAMS) keys.set(team, (await runInferd(['keys', 'create', '--data-dir', dataDir, '--team', team])).stdout.trim())
  const config = path.join(folder, 'inferd.yaml')
  writeFileSync(config, 'responseCache: { allowed: exact }\n')
  const model = 'inferd-chat=models/inferd-chat/inferd-chat-Q8_0.gguf'
  server = await (await InferdProcess.start('--data-dir', dataDir, '--config', config, '--model', model, '--log-level', 'error')).ready()
})

afterAll(async () => {
  await server[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true })
})

/** The id of the call, when it is answered. */
async function send(
  team: Team,
  target: DialectTarget,
  { text, mode = 'off', more = {} }: { text: string; mode?: string; more?: object },
): Promise<string> {
  const id = `call-${++numCalls}`
  const body = JSON.stringify({ ...target.body, ...more }).replaceAll('"hi"', () => JSON.stringify(text))
  const headers = {
    'content-type': 'application/json',
    ...target.headers,
    authorization: `Bearer ${keys.get(team)}`,
    'x-request-id': id,
    'x-inferd-cache': mode,
  }
  const response = await fetch(`${server.baseUrl}${target.path}`, { method: 'POST', headers, body })
  expect([target.path, response.status], await response.text()).toEqual([target.path, 200])
  return id
}

/** Of the calls in turn: tokens from KV blocks that were there, and whether the whole answer was. */
async function hitsOf(ids: readonly string[]): Promise<readonly { readonly hasTokens: boolean; readonly responseCache: string }[]> {
  await expect.poll(() => ids.filter((id) => !readCacheHits(dataDir).has(id)), { timeout: 10_000 }).toEqual([])
  const hits = readCacheHits(dataDir)
  return ids.map((id) => hits.get(id)!).map(({ cachedTokens, responseCache }) => ({ hasTokens: cachedTokens > 0, responseCache }))
}

const MISS = { hasTokens: false, responseCache: 'none' }

test('64: a prompt of one team is computed anew for every other team, in every dialect; its own team finds it', async () => {
  for (const [index, target] of TARGETS.entries()) {
    const text = `${index}. ${STORY}`
    const ids: string[] = []
    for (const team of ['red', 'red1', 'blue', 'red'] as const) ids.push(await send(team, target, { text }))
    expect([target.path, await hitsOf(ids)]).toEqual([target.path, [MISS, MISS, MISS, { hasTokens: true, responseCache: 'none' }]])
  }
})

test('64: a salt that spells another team finds nothing of it', async () => {
  const [target] = TARGETS
  const text = `Salted. ${STORY}`
  const ids = [await send('red', target!, { text })]
  for (const salt of ['red', '3:red:', '3:red', ':red:']) ids.push(await send('blue', target!, { text, more: { cache_salt: salt } }))
  expect(await hitsOf(ids)).toEqual(ids.map(() => MISS))
})

test('64: an answer that is kept for one team is given to no other, in every dialect', async () => {
  for (const [index, target] of TARGETS.entries()) {
    const text = `Kept ${index}.`
    const ids: string[] = []
    for (const team of ['red', 'red', 'red1', 'blue'] as const) ids.push(await send(team, target, { text, mode: 'exact' }))
    const kinds = (await hitsOf(ids)).map(({ responseCache }) => responseCache)
    expect([target.path, kinds]).toEqual([target.path, ['none', 'exact', 'none', 'none']])
  }
})
