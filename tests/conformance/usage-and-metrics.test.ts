/** Usage API, metrics page, report headers and trailers of a real server, with ledger, admission and prices behind a fake model. */
import { request as httpRequest } from 'node:http'
import OpenAI from 'openai'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { systemClock } from '#base/clock'
import { formatDecimal } from '#base/decimal'
import { SeededRandom } from '#base/random'
import { admissionSection } from '#config/platform-file/admission'
import { pricesSection } from '#config/platform-file/prices'
import { LOCAL_PRINCIPAL, type Principal } from '#contract/principal'
import { Admission } from '#platform/admission/admission'
import { admissionStage, admittedEmbedding } from '#platform/admission/admission-stage'
import { BudgetBook } from '#platform/admission/budget-book'
import { Ledger } from '#platform/metering/ledger'
import { Metering } from '#platform/metering/metering'
import { meteredEmbedding, meteringStage } from '#platform/metering/metering-stage'
import { PriceTable } from '#platform/metering/price-table'
import { usageReports } from '#platform/metering/usage-reports'
import { directModels } from '#platform/online/online-models'
import { composeStages } from '#platform/online/stage'
import { openStore, type Store } from '#platform/store/open-store'
import { insertEntries, sumOfCosts } from '#platform/store/usage-table'
import { NO_SERVICES } from '#server/services'
import { Metrics } from '#telemetry/metrics'
import { directoryOf, FakeModel } from './fake-model.ts'
import { startTestServer, type TestServer } from './test-server.ts'

const READER: Principal = { ...LOCAL_PRINCIPAL, keyId: 'reader', team: 'blue', scopes: ['inference', 'read'] }
const CALLER: Principal = { ...LOCAL_PRINCIPAL, keyId: 'caller', team: 'blue', scopes: ['inference'] }

let target: TestServer
let store: Store
let ledger: Ledger
let principal: Principal = LOCAL_PRINCIPAL

beforeAll(async () => {
  store = await openStore({ file: null })
  const log = { warn: () => {}, error: () => {} }
  ledger = new Ledger({ write: (entries, groupId) => insertEntries(store.db, entries, groupId), clock: systemClock, log })
  const prices = new PriceTable(pricesSection.parse({ '*': { input: '0.123457', output: '0.777777' } }))
  const admission = new Admission({
    config: admissionSection.parse({}),
    terms: { queueOf: (model) => model, candidates: (model) => [model], contextLength: () => null, maxSequences: () => null },
    prices,
    budgets: new BudgetBook({ spentSince: (subject, fromMs) => sumOfCosts(store.db, subject, fromMs) }),
    reservations: null,
    requestTimeoutMs: 600_000,
    clock: systemClock,
    random: new SeededRandom(1),
  })
  const metrics = new Metrics({
    version: '1.2.3',
    maxLabelValues: 8,
    figures: () => ({ queues: admission.figures, ledger: { lagMs: ledger.lagMs, numWaiting: ledger.numWaiting } }),
  })
  const metering = new Metering({ prices, ledger, settlement: admission, observers: [metrics], clock: systemClock })
  const model = new FakeModel()
  const direct = directModels(directoryOf(model))
  target = await startTestServer({
    model,
    online: {
      ...direct,
      generate: composeStages([meteringStage(metering), admissionStage(admission)], (call, signal) => direct.generate(call, signal)),
      embed: meteredEmbedding(
        metering,
        admittedEmbedding(admission, (call, signal) => direct.embed(call, signal)),
      ),
    },
    services: { ...NO_SERVICES, usage: usageReports(store, () => ledger.flush()), metrics },
    authenticate: async () => principal,
  })
})

afterAll(async () => {
  await target.server.close()
  await store.close()
})

function chat(stream: boolean): { readonly model: string; readonly messages: readonly object[]; readonly stream: boolean } {
  return { model: target.model.name, messages: [{ role: 'user', content: 'hello' }], stream }
}

/** Trailers are not seen by fetch. */
function trailersOf(body: object): Promise<NodeJS.Dict<string>> {
  const { promise, resolve, reject } = Promise.withResolvers<NodeJS.Dict<string>>()
  const request = httpRequest(
    `${target.url}/v1/chat/completions`,
    { method: 'POST', headers: { 'content-type': 'application/json' } },
    (response) => {
      response.resume().once('end', () => resolve({ announced: String(response.headers.trailer), ...response.trailers }))
    },
  )
  request.once('error', reject).end(JSON.stringify(body))
  return promise
}

interface Report {
  readonly data: readonly Readonly<Record<string, string | number>>[]
}

async function usage(query: string): Promise<Report> {
  const response = await fetch(`${target.url}/inferd/v1/usage?${query}`)
  expect(response.status).toBe(200)
  return (await response.json()) as Report
}

test('the cost is the same to the last digit in header, trailer, ledger and metric', async () => {
  const whole = await new OpenAI({ baseURL: `${target.url}/v1`, apiKey: 'none' }).chat.completions
    .create({ model: target.model.name, messages: [{ role: 'user', content: 'hello' }] })
    .withResponse()
  const counts = whole.data.usage!
  const cost = BigInt(counts.prompt_tokens) * 123_457n + BigInt(counts.completion_tokens) * 777_777n
  const text = formatDecimal(cost, 12)
  expect(whole.response.headers.get('x-inferd-cost-usd')).toBe(text)
  const trailers = await trailersOf(chat(true))
  expect(trailers.announced).toContain('x-inferd-cost-usd')
  expect(trailers['x-inferd-cost-usd']).toBe(text)
  const { data } = await usage('group_by=key,model')
  expect(data).toMatchObject([{ key: 'local', model: target.model.name, requests: 2, errors: 0, cost_usd: formatDecimal(2n * cost, 12) }])
  const page = await (await fetch(`${target.url}/metrics`)).text()
  const sample = new RegExp(`^inferd_cost_usd_total\\{team="local",model="${target.model.name}",tier="default"\\} (\\S+)$`, 'm').exec(page)
  expect(sample?.[1]).toBe(String(Number(formatDecimal(2n * cost, 12))))
})

test('embeddings have their cost in a header and their record', async () => {
  const response = await fetch(`${target.url}/v1/embeddings`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: target.model.name, input: 'hello' }),
  })
  expect(response.status).toBe(200)
  expect(Number(response.headers.get('x-inferd-cost-usd'))).toBeGreaterThan(0)
})

test('a report can be cut by time and summed by day', async () => {
  const today = new Date().toISOString().slice(0, 10)
  expect((await usage('group_by=day')).data).toMatchObject([{ day: today }])
  expect((await usage(`from=${today}T00:00:00Z&group_by=team`)).data).toMatchObject([{ team: 'local' }])
  expect((await usage('to=2020-01-01')).data).toMatchObject([{ requests: 0, cost_usd: '0' }])
  expect((await usage('to=2020-01-01&group_by=team')).data).toEqual([])
})

test.each([
  ['group_by=colour', 'group_by'],
  ['group_by=key,key', 'group_by'],
  ['from=yesterday', 'from'],
  ['from=2026-13-45', 'from'],
  ['from=2026-02-01&to=2026-01-01', 'to'],
  ['group_by=day&group_by=key', 'group_by'],
  ['drop=table', 'drop'],
  [`team=${'x'.repeat(300)}`, 'team'],
])('a bad query is refused by the name of its parameter: %s', async (query, param) => {
  const response = await fetch(`${target.url}/inferd/v1/usage?${query}`)
  expect(response.status).toBe(400)
  expect(await response.json()).toMatchObject({ error: { code: 'invalid_parameter', param } })
})

test('names that look like SQL are names', async () => {
  expect((await usage(`key=${encodeURIComponent("' OR 1=1 --")}&group_by=key`)).data).toEqual([])
})

test('a key sees the usage of its own team only, and none without the scope', async () => {
  principal = READER
  expect((await usage('group_by=team')).data).toEqual([])
  expect((await fetch(`${target.url}/inferd/v1/usage?team=local`)).status).toBe(400)
  principal = CALLER
  expect((await fetch(`${target.url}/inferd/v1/usage`)).status).toBe(403)
  expect((await fetch(`${target.url}/metrics`)).status).toBe(403)
  principal = LOCAL_PRINCIPAL
})

test('the page of a key without the scope admin has the samples of no other team', async () => {
  const teamsOf = async (): Promise<readonly string[]> => {
    const page = await (await fetch(`${target.url}/metrics`)).text()
    expect(page).toContain('inferd_build_info{version="1.2.3"} 1')
    return [...page.matchAll(/[{,]team="([^"]*)"/g)].map(([, team]) => team!)
  }
  expect(await teamsOf()).toContain('local')
  principal = { ...READER, team: 'lo"cal' }
  expect(await teamsOf()).toEqual([])
  principal = { ...READER, team: 'local' }
  expect(await teamsOf()).toContain('local')
  principal = LOCAL_PRINCIPAL
})

test('the metrics page parses, line by line', async () => {
  const response = await fetch(`${target.url}/metrics`)
  expect(response.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/)
  const lines = (await response.text()).split('\n').filter((line) => line !== '')
  const sample = /^[a-z_]+(\{([a-z_]+="[^"]*",?)*\})? (-?[0-9.]+(e[+-]?\d+)?|NaN|\+Inf)$/
  expect(lines.filter((line) => !line.startsWith('# ') && !sample.test(line))).toEqual([])
  expect(lines.some((line) => line.startsWith('gen_ai_server_request_duration_seconds_count{'))).toBe(true)
  expect(lines).toContain('inferd_build_info{version="1.2.3"} 1')
})

test('the line of a request names the trace of its caller, and nothing that is none', async () => {
  const traceId = '0af7651916cd43dd8448eb211c80319c'
  for (const traceparent of [`00-${traceId}-b7ad6b7169203331-01`, `x'; drop table usage; --`]) {
    await (await fetch(`${target.url}/inferd/v1/usage`, { headers: { traceparent } })).text()
  }
  await expect.poll(() => target.lines.filter(({ fields }) => Reflect.get(fields, 'traceId') === traceId).length).toBe(1)
  expect(target.lines.filter(({ fields }) => 'traceId' in fields).length).toBe(1)
})
