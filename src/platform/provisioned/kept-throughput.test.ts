/** What was sold, over both stores: by several servers at once, over restarts, with hours in the ledger once. */
import { beforeEach, expect, test } from 'vitest'
import { FakeClock } from '#base/fake-clock'
import { pricesSection } from '#config/platform-file/prices'
import type { ProvisionedOrder } from '#contract/provisioned'
import type { RouteDefinition } from '#platform/routing/route-definition'
import type { Store } from '#platform/store/open-store'
import { ResourceTable } from '#platform/store/resource-rows'
import { sumUsage } from '#platform/store/usage-table'
import { onEachStore } from '../../../tests/stores/each-store.ts'
import { StoredThroughput } from './throughput-desk.ts'
import { KeptThroughput } from './kept-throughput.ts'
import { UnitBook } from './unit-book.ts'

const HOUR_MS = 3_600_000
const STEP_MS = 600_000
const MODELS = { chat: { maxUnits: 4, inputTokensPerMinute: 100, outputTokensPerMinute: 100 } }
const UNIT = pricesSection.parse({ chat: { modelUnit: { perHour: '10' } } })['chat']!.modelUnit
const ORDER: ProvisionedOrder = { team: 'red', keyId: 'k', name: 'mine', model: 'chat', units: 2, commitment: 'none', tags: {}, token: null }
const FILTER = { team: 'red', keyId: null, model: null, fromMs: null, toMs: null }

let store: Store
let clock: FakeClock

interface Server {
  readonly keeper: KeptThroughput
  readonly desk: StoredThroughput
  readonly routes: Map<string, RouteDefinition>
  readonly charged: bigint[]
}

/** One of the store; the test says when it looks. */
function openServer(): Server {
  const routes = new Map<string, RouteDefinition>()
  const charged: bigint[] = []
  const keeper = new KeptThroughput({
    store,
    book: new UnitBook(),
    models: MODELS,
    priceOf: () => ({ name: 'chat', unit: UNIT }),
    putRoute: (route) => void routes.set(route.name, route),
    removeRoute: (name) => void routes.delete(name),
    onCharge: ({ cost }) => charged.push(cost),
    clock,
    log: { warn: () => {}, error: (fields: unknown) => expect.unreachable(JSON.stringify(fields)) },
  })
  const desk = new StoredThroughput({
    table: new ResourceTable(store.db),
    models: MODELS,
    modelOf: (name) => (name === 'chat' ? 'chat' : null),
    isFreeName: (name) => name !== 'chat' && !routes.has(name),
    keeper,
    clock,
  })
  return { keeper, desk, routes, charged }
}

async function paid(): Promise<{ readonly usd: number; readonly requests: number }> {
  const [total] = await sumUsage(store.db, FILTER, { groupBy: [], limit: 1 })
  return { usd: Number(total!.cost) / 1e12, requests: total!.numRequests }
}

/** The time passes, and each server does what it does every few seconds. */
async function pass(durationMs: number, servers: readonly Server[]): Promise<void> {
  for (let passed = 0; passed < durationMs; passed += STEP_MS) {
    await clock.advance(STEP_MS)
    await Promise.all(servers.map(({ keeper }) => keeper.tick()))
  }
}

onEachStore(({ open }) => {
  beforeEach(async () => {
    store = await open()
    clock = new FakeClock()
    await store.db.deleteFrom('resource').execute()
    await store.db.deleteFrom('usage').execute()
  })

  test('two servers of one store bill each hour once, and the last stretch at its end', async () => {
    const servers = [openServer(), openServer()]
    for (const { keeper } of servers) await keeper.sync()
    await servers[0]!.desk.create(ORDER)
    await pass(5 * HOUR_MS + STEP_MS, servers)
    expect(await paid()).toEqual({ usd: 100, requests: 0 })
    await pass(HOUR_MS / 2 - STEP_MS, servers)
    await servers[1]!.desk.remove({ team: 'red', who: 'mine' })
    expect(await paid()).toEqual({ usd: 110, requests: 0 })
    expect(servers.flatMap(({ charged }) => charged).reduce((sum, each) => sum + each, 0n)).toBe(110_000_000_000_000n)
    await pass(2 * HOUR_MS, servers)
    expect((await paid()).usd).toBe(110)
  })

  test('what one server sells the other serves, and forgets with it', async () => {
    const [seller, other] = [openServer(), openServer()]
    for (const { keeper } of [seller, other]) await keeper.sync()
    const { id } = await seller.desk.create(ORDER)
    expect(seller.routes.get('mine')).toMatchObject({ team: 'red', aliases: [id], variants: [{ model: 'chat' }] })
    await pass(10_000, [seller, other])
    expect(other.routes.has('mine')).toBe(true)
    await other.desk.rename({ team: 'red', who: id }, 'renamed')
    await pass(10_000, [seller, other])
    expect([...seller.routes.keys()]).toEqual(['renamed'])
    await seller.desk.remove({ team: 'red', who: 'renamed' })
    await pass(10_000, [seller, other])
    expect([other.routes.size, seller.routes.size]).toEqual([0, 0])
  })

  test('a server that comes back serves what was sold, and bills nothing for the night in which none ran', async () => {
    const before = openServer()
    await before.keeper.sync()
    await before.desk.create(ORDER)
    await pass(2 * HOUR_MS + STEP_MS, [before])
    await clock.advance(8 * HOUR_MS)
    const after = openServer()
    await after.keeper.sync()
    expect(after.routes.has('mine')).toBe(true)
    await pass(3 * HOUR_MS + 2 * STEP_MS, [after])
    expect((await paid()).usd).toBeCloseTo(100, 6)
  })

  test('two servers do not sell the last units twice', async () => {
    const [left, right] = [openServer(), openServer()]
    const orders = [left, right].flatMap(({ desk }, index) => [1, 2].map((each) => desk.create({ ...ORDER, name: `order-${index}-${each}` })))
    const outcomes = await Promise.allSettled(orders)
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(2)
    for (const outcome of outcomes) if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'quota_exceeded' })
  })

  test('another team sees nothing of it, and cannot touch it', async () => {
    const { desk } = openServer()
    const { id } = await desk.create(ORDER)
    const query = { team: 'blue', who: id }
    expect(await desk.list('blue')).toEqual([])
    await expect(desk.get(query)).rejects.toMatchObject({ code: 'resource_not_found' })
    await expect(desk.rename(query, 'x')).rejects.toMatchObject({ code: 'resource_not_found' })
    await expect(desk.remove(query)).rejects.toMatchObject({ code: 'resource_not_found' })
    await expect(desk.create({ ...ORDER, team: 'blue' })).rejects.toMatchObject({ code: 'conflict' })
  })
})
