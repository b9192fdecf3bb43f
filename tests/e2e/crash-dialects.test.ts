/** Processes that are killed: a worker under streams of every dialect, and the gateway under load with budgets on. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, expect, test } from 'vitest'
import { bodyWith, dialectTargets, type DialectTarget } from '../conformance/dialect-targets.ts'
import { InferdProcess } from './inferd-process.ts'
import { countReservations, picosOf, readLedger } from './ledger-rows.ts'
import { runInferd } from './run-inferd.ts'
import { TwoProtocolClient, type Posted, type PostedAnswer } from './two-protocol-client.ts'

const MODEL = 'inferd-chat'
const folder = mkdtempSync(path.join(tmpdir(), 'inferd-crash-'))

afterAll(() => rmSync(folder, { recursive: true, force: true }))

function send(client: TwoProtocolClient, { dialect }: DialectTarget, posted: Posted): Promise<PostedAnswer> {
  const { signal } = new AbortController()
  return dialect === 'bedrock' ? client.postOverHttp2(posted, signal) : client.post(posted, signal)
}

/** How a stream says that it broke, and how it would have said that it is whole; in every dialect. */
const ENDINGS: Readonly<Record<DialectTarget['dialect'], { readonly broken: RegExp; readonly whole: RegExp }>> = {
  openai: { broken: /"code":"(replica_lost|server_error)"/, whole: /\[DONE\]|response\.completed/ },
  anthropic: { broken: /event: error\ndata: .*"api_error"/, whole: /message_stop/ },
  bedrock: { broken: /modelStreamErrorException/, whole: /messageStop|message_stop/ },
  sagemaker: { broken: /ModelStreamError|StreamBroken/, whole: /generated_text":"|\[DONE\]/ },
  tgi: { broken: /"error_type":"generation"/, whole: /generated_text":"/ },
  oip: { broken: /data: \{"error":/, whole: /finish_reason/ },
}

test('87: a worker killed under streams of every dialect ends each within a second in its own words, and none as whole', async () => {
  await using server = await (await InferdProcess.start('--log-level', 'error')).ready()
  using client = new TwoProtocolClient(server.baseUrl)
  const streams = dialectTargets(MODEL).filter(({ isStream }) => isStream)
  // Greedy, and a text that the model goes on with for ever: a story would be over by itself, now and then before the kill.
  const endless = (target: DialectTarget): string => {
    const long = JSON.parse(bodyWith(target, target.maxTokens!, '1500').replace('"hi"', '"aaaaaaaaaaaaaaaa"')) as DialectTarget['body']
    return bodyWith({ ...target, body: long }, target.temperature!, '0')
  }
  let numBegun = 0
  const allBegun = Promise.withResolvers<undefined>()
  const onBegun = (): void => {
    if (++numBegun === streams.length) allBegun.resolve(undefined)
  }
  const answers = streams.map(async (target) => {
    const { status, bytes } = await send(client, target, { path: target.path, headers: target.headers, body: endless(target), onBegun })
    return { path: target.path, dialect: target.dialect, status, text: bytes.toString('latin1'), endedMs: performance.now() }
  })
  await allBegun.promise
  process.kill(server.workerPids()[0]!, 'SIGKILL')
  const killedMs = performance.now()
  for (const { path: route, dialect, status, text, endedMs } of await Promise.all(answers)) {
    const { broken, whole } = ENDINGS[dialect]
    expect([route, status], text).toEqual([route, 200])
    expect(text, route).toMatch(broken)
    expect(text, route).not.toMatch(whole)
    expect(endedMs - killedMs, route).toBeLessThan(1000)
  }
  await server.ready()
  for (const target of streams) {
    const posted = { path: target.path, headers: target.headers, body: JSON.stringify(target.body) }
    expect([target.path, (await send(client, target, posted)).status]).toEqual([target.path, 200])
  }
})

const BUDGET_USD = '1.5'
const RESERVATION_S = 2
const CLIENTS = 12
/** Generous: the machine may be busy. */
const GROUP_AND_WRITE_MS = 400
/** What a call is refused with whose most does not fit the budget. */
const OUT_OF_BUDGET: Readonly<Record<DialectTarget['dialect'], number>> = {
  openai: 429,
  anthropic: 402,
  bedrock: 400,
  sagemaker: 403,
  tgi: 429,
  oip: 429,
}

test('29: a gateway killed under load counts nothing twice, spends no more than the budget, and lets go of what it held', async () => {
  const file = path.join(folder, 'inferd.yaml')
  const dataDir = path.join(folder, 'data')
  writeFileSync(file, `prices:\n  ${MODEL}: { input: 1, output: 1000 }\nadmission:\n  reservationS: ${RESERVATION_S}\n`)
  const created = await runInferd(['keys', 'create', '--data-dir', dataDir, '--budget-usd', BUDGET_USD, '--budget-period', 'total'])
  const authorization = { authorization: `Bearer ${created.stdout.trim()}` }
  const start = async (): Promise<InferdProcess> =>
    (await InferdProcess.start('--log-level', 'error', '--data-dir', dataDir, '--config', file)).ready()
  const targets = dialectTargets(MODEL).filter(({ maxTokens }) => maxTokens !== null)
  const told = new Map<string, { readonly cost: bigint; readonly atMs: number }>()
  let killedMs: readonly number[] = []
  const problems: string[] = []
  for (let round = 0; round < 3; round++) {
    const server = await start()
    using client = new TwoProtocolClient(server.baseUrl)
    let isKilled = false
    const sendInTurn = async (_: unknown, index: number): Promise<void> => {
      for (let turn = 0; !isKilled; turn++) {
        const target = targets[(index + turn * CLIENTS) % targets.length]!
        const id = `round-${round}-${index}-${turn}`
        const posted = { path: target.path, headers: { ...target.headers, ...authorization, 'x-request-id': id }, body: JSON.stringify(target.body) }
        const answer = await send(client, target, posted).catch(() => null)
        if (answer === null || isKilled) return
        const cost = answer.headers['x-inferd-cost-usd']
        if (answer.status === 200 && typeof cost === 'string') told.set(id, { cost: picosOf(cost), atMs: performance.now() })
        else if (answer.status !== OUT_OF_BUDGET[target.dialect]) problems.push(`${target.path}: ${answer.status} ${answer.bytes.toString('latin1')}`)
      }
    }
    const work = Promise.all(Array.from({ length: CLIENTS }, sendInTurn))
    await sleep(600 + 300 * round)
    isKilled = true
    killedMs = [...killedMs, performance.now()]
    server.child.kill('SIGKILL')
    await Promise.all([work, server.exited()])
    await sleep(RESERVATION_S * 1000)
  }
  expect(problems).toEqual([])
  const last = await start()
  expect(countReservations(dataDir)).toBe(0)
  const rows = readLedger(dataDir)
  expect(new Set(rows.map(({ requestId }) => requestId)).size).toBe(rows.length)
  for (const { requestId, cost } of rows) {
    expect(cost).toBeGreaterThanOrEqual(0n)
    if (told.has(requestId)) expect([requestId, cost]).toEqual([requestId, told.get(requestId)!.cost])
  }
  // A group of records waits 50 ms and is then written: only what was answered in that time before a kill may have no record.
  const lost = [...told].filter(([id, { atMs }]) => {
    const isLate = killedMs.some((killMs) => atMs > killMs - GROUP_AND_WRITE_MS && atMs <= killMs)
    return !isLate && !rows.some(({ requestId }) => requestId === id)
  })
  expect(lost).toEqual([])
  expect(rows.reduce((sum, { cost }) => sum + cost, 0n)).toBeLessThanOrEqual(picosOf(BUDGET_USD))
  expect(told.size).toBeGreaterThan(20)
  await last[Symbol.asyncDispose]()
}, 180_000)
